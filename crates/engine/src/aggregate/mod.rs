//! Aggregates over dense group numbers: each keeps its values in arrays by group and takes whole columns in. No group
//! keys here.
//!
//! Two ways in. The quick one: [`Accumulator::has_room`] says from the magnitudes of a batch that nothing can overflow,
//! then [`Accumulator::fold`] takes it. The careful one, row by row: [`Accumulator::fits`], and only if all aggregates
//! of the row said yes, `fold` for this row. Both give the same values, since rows are added in order either way.

mod average;

mod count;

mod deviation;

mod distinct;

mod extremes;

mod first_last;

mod hyper_log_log;

mod kernel;

mod list;

mod peak;

mod plain;

mod quantile;

mod sum;

mod top;

mod xxh64;

use std::ops::Range;

use millrace_plan::{Aggregate, AggregateFunction};

use crate::aggregate::distinct::Distinct;
pub(crate) use crate::aggregate::peak::Peak;
use crate::aggregate::plain::Plain;
pub(crate) use crate::aggregate::xxh64::xxh64;
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Rows, View};

/// What an aggregate reads of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Argument<'a> {
    /// What it is computed over. Null where a row takes no part, for whatever reason.
    pub(crate) values: View<'a>,
    /// What it is ordered by, never null where `values` is not; for others the same as `values`.
    pub(crate) by: View<'a>,
    /// Event times of the rows.
    pub(crate) times: &'a [i64],
}

/// One aggregate's values for all groups.
pub(crate) struct Accumulator {
    plain: Plain,
    /// Lets the first of several equal values through.
    distinct: Option<Distinct>,
}

impl Accumulator {
    /// Without groups.
    pub(crate) fn new(aggregate: &Aggregate) -> Self {
        let distinct = aggregate.distinct || aggregate.function == AggregateFunction::CountDistinct;
        Self {
            plain: Plain::new(aggregate),
            distinct: distinct.then(|| Distinct::new(aggregate)),
        }
    }

    /// Whether `rows` values of at most this magnitude can be folded in, whatever they are, so that even `panes`
    /// accumulators that each have said so can be merged in any order. False: ask for each row.
    pub(crate) fn has_room(&mut self, peak: Peak, rows: usize, panes: usize) -> bool {
        let room = |distinct: &mut Distinct| distinct.has_room(peak, rows);
        self.plain.has_room(peak, rows, panes) && self.distinct.as_mut().is_none_or(room)
    }

    /// Whether the value of a row can be folded into a group. None: into a group that does not exist yet.
    pub(crate) fn fits(&mut self, argument: Argument<'_>, row: usize, group: Option<u32>) -> bool {
        let known = match &mut self.distinct {
            None => false,
            Some(distinct) => distinct.knows(argument.values, row, group),
        };
        known || self.plain.fits(argument, row, group)
    }

    /// Makes groups up to this number. A new group has seen no value.
    pub(crate) fn grow(&mut self, groups: usize) {
        self.plain.grow(groups);
        if let Some(distinct) = &mut self.distinct {
            distinct.grow(groups);
        }
    }

    /// Takes the rows' values into their groups. NULL leaves a group as it is.
    pub(crate) fn fold(&mut self, argument: Argument<'_>, rows: Rows<'_>) {
        match &mut self.distinct {
            None => self.plain.fold(argument, rows),
            Some(distinct) => self.plain.fold(argument, distinct.new_rows(argument.values, rows)),
        }
    }

    /// The same, appending the group's result after each row.
    pub(crate) fn fold_and_emit(&mut self, argument: Argument<'_>, rows: Rows<'_>, out: &mut ColumnBuilder) {
        match &mut self.distinct {
            None => self.plain.fold_and_emit(argument, rows, out),
            Some(distinct) => rows.each(|row, group| {
                let one = Rows {
                    rows: Some(&[row as u32]),
                    groups: &[group as u32],
                };
                self.plain.fold(argument, distinct.new_rows(argument.values, one));
                self.plain.append(group..group + 1, out);
            }),
        }
    }

    /// Appends the results of these groups.
    pub(crate) fn append(&self, groups: Range<usize>, out: &mut ColumnBuilder) {
        self.plain.append(groups, out);
    }

    /// Folds groups of `other` into these: its group `from + n` into `groups[n]`, as if all its rows came after all rows
    /// here. A group that has seen nothing becomes equal to what is folded into it. Returns the first `n` that would
    /// overflow; groups before it are in, it and later ones not.
    pub(crate) fn merge(&mut self, other: &Self, from: usize, groups: &[u32]) -> Option<usize> {
        let pairs = groups.iter().map(|group| *group as usize).zip(from..);
        match (&mut self.distinct, &other.distinct) {
            (None, None) => self.plain.merge(&other.plain, pairs),
            (Some(distinct), Some(other_distinct)) => {
                let (there, mut pairs) = ((&other.plain, other_distinct), pairs);
                pairs.position(|(into, from)| !distinct.merge(&mut self.plain, into, there, from))
            }
            _ => unreachable!("only equal aggregates are merged"),
        }
    }

    /// Forgets all groups, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        if let Some(distinct) = &mut self.distinct {
            distinct.clear();
        }
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.plain.bytes() + self.distinct.as_ref().map_or(0, Distinct::bytes)
    }

    /// Writes the groups' values, not their number.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.plain.save(out);
        if let Some(distinct) = &self.distinct {
            distinct.save(out);
        }
    }

    /// Writes one group as `save` would if there were no other. `one` is an accumulator of the same aggregate, kept for its
    /// memory.
    pub(crate) fn put(&self, group: usize, one: &mut Self, out: &mut Vec<u8>) {
        if self.distinct.is_none() && self.plain.put(group, out) {
            return;
        }
        one.clear();
        one.grow(1);
        let full = one.merge(self, group, &[0]);
        debug_assert_eq!(full, None, "what fits once fits twice");
        one.save(out);
    }

    /// Reads what `save` wrote for this many groups of the same aggregate, in place of what is here.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.plain.load(reader, groups)?;
        match &mut self.distinct {
            None => Ok(()),
            Some(distinct) => distinct.load(reader, groups),
        }
    }
}

#[cfg(test)]
mod tests;
