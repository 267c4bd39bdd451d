//! Aggregates over dense group numbers: each keeps its values in arrays by group and takes whole columns in. No hash
//! tables and no keys here.
//!
//! Two ways in. The quick one: [`Accumulator::has_room`] says from the magnitudes of a batch that nothing can overflow,
//! then [`Accumulator::fold`] takes it. The careful one, row by row: [`Accumulator::fits`], and only if all aggregates
//! of the row said yes, `fold` for this row. Both give the same values, since rows are added in order either way.

mod average;

mod count;

mod deviation;

mod extremes;

mod kernel;

mod peak;

mod sum;

use std::ops::Range;

use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_plan::{Aggregate, AggregateFunction, FieldType};

use crate::aggregate::average::{DecimalMean, DoubleMean, WholeMean};
use crate::aggregate::count::Count;
use crate::aggregate::deviation::Deviation;
use crate::aggregate::extremes::{Extreme, ExtremeFlag, ExtremeText};
use crate::aggregate::kernel::{Presence, Slice, State, fits, fold, fold_and_emit};
pub(crate) use crate::aggregate::peak::Peak;
use crate::aggregate::sum::{DoubleSum, ExactSum};
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Rows, Values, View};

/// One aggregate's values for all groups.
pub(crate) enum Accumulator {
    Count(Count),
    SumInt64(ExactSum<i64>),
    SumFloat64(DoubleSum),
    SumDecimal(ExactSum<i128>),
    ExtremeBoolean(ExtremeFlag),
    ExtremeInt64(Extreme<Int64Type>),
    ExtremeFloat64(Extreme<Float64Type>),
    ExtremeDecimal(Extreme<Decimal128Type>),
    ExtremeString(ExtremeText),
    ExtremeTimestamp(Extreme<TimestampMillisecondType>),
    MeanInt64(WholeMean),
    MeanFloat64(DoubleMean),
    MeanDecimal(DecimalMean),
    Deviation(Deviation),
}

/// Evaluates `$body` with the typed state.
macro_rules! with_state {
    ($accumulator:expr, $state:ident => $body:expr) => {
        match $accumulator {
            Accumulator::Count($state) => $body,
            Accumulator::SumInt64($state) => $body,
            Accumulator::SumFloat64($state) => $body,
            Accumulator::SumDecimal($state) => $body,
            Accumulator::ExtremeBoolean($state) => $body,
            Accumulator::ExtremeInt64($state) => $body,
            Accumulator::ExtremeFloat64($state) => $body,
            Accumulator::ExtremeDecimal($state) => $body,
            Accumulator::ExtremeString($state) => $body,
            Accumulator::ExtremeTimestamp($state) => $body,
            Accumulator::MeanInt64($state) => $body,
            Accumulator::MeanFloat64($state) => $body,
            Accumulator::MeanDecimal($state) => $body,
            Accumulator::Deviation($state) => $body,
        }
    };
}

/// Evaluates `$body` with the typed state and the typed argument.
macro_rules! with_argument {
    ($accumulator:expr, $view:expr, ($state:ident, $source:ident) => $body:expr) => {{
        let nulls = $view.nulls;
        macro_rules! slice {
            ($values:expr, $typed:expr) => {{
                let ($state, $source) = (
                    $typed,
                    &Slice {
                        values: $values,
                        nulls,
                    },
                );
                $body
            }};
        }
        match ($accumulator, $view.values) {
            (Accumulator::Count($state), _) => {
                let $source = &Presence { nulls };
                $body
            }
            (Accumulator::SumInt64(state), Values::Whole(values)) => slice!(values, state),
            (Accumulator::SumFloat64(state), Values::Double(values)) => slice!(values, state),
            (Accumulator::SumDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Accumulator::ExtremeBoolean($state), Values::Boolean(values)) => {
                let $source = &values;
                $body
            }
            (Accumulator::ExtremeInt64(state), Values::Whole(values)) => slice!(values, state),
            (Accumulator::ExtremeFloat64(state), Values::Double(values)) => slice!(values, state),
            (Accumulator::ExtremeDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Accumulator::ExtremeString($state), Values::Text(values)) => {
                let $source = &values;
                $body
            }
            (Accumulator::ExtremeTimestamp(state), Values::Whole(values)) => slice!(values, state),
            (Accumulator::MeanInt64(state), Values::Whole(values)) => slice!(values, state),
            (Accumulator::MeanFloat64(state), Values::Double(values)) => slice!(values, state),
            (Accumulator::MeanDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Accumulator::Deviation(state), Values::Whole(values)) => slice!(values, state),
            (Accumulator::Deviation(state), Values::Double(values)) => slice!(values, state),
            (Accumulator::Deviation(state), Values::Decimal(values)) => slice!(values, state),
            _ => unreachable!("the plan types the arguments of aggregates"),
        }
    }};
}

impl Accumulator {
    /// Without groups.
    pub(crate) fn new(aggregate: &Aggregate) -> Self {
        let argument = aggregate.argument.as_ref().map(|argument| &argument.field_type);
        let scale = if let Some(FieldType::Decimal { scale, .. }) = argument {
            *scale
        } else {
            0
        };
        let largest = aggregate.function == AggregateFunction::Max;
        match (aggregate.function, argument) {
            (AggregateFunction::Count, _) => Self::Count(Count::default()),
            (AggregateFunction::Sum, Some(FieldType::Int64)) => Self::SumInt64(ExactSum::default()),
            (AggregateFunction::Sum, Some(FieldType::Float64)) => Self::SumFloat64(DoubleSum::default()),
            (AggregateFunction::Sum, Some(FieldType::Decimal { .. })) => Self::SumDecimal(ExactSum::default()),
            (AggregateFunction::Avg, Some(FieldType::Int64)) => Self::MeanInt64(WholeMean::default()),
            (AggregateFunction::Avg, Some(FieldType::Float64)) => Self::MeanFloat64(DoubleMean::default()),
            (AggregateFunction::Avg, Some(FieldType::Decimal { .. })) => Self::MeanDecimal(DecimalMean::new(scale)),
            (AggregateFunction::Stddev, Some(FieldType::Int64 | FieldType::Float64 | FieldType::Decimal { .. })) => {
                Self::Deviation(Deviation::new(scale))
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(argument)) => Self::extreme(argument, largest),
            _ => unreachable!("the plan refuses other arguments"),
        }
    }

    fn extreme(argument: &FieldType, largest: bool) -> Self {
        match argument {
            FieldType::Boolean => Self::ExtremeBoolean(ExtremeFlag::new(largest)),
            FieldType::Int64 => Self::ExtremeInt64(Extreme::new(largest)),
            FieldType::Float64 => Self::ExtremeFloat64(Extreme::new(largest)),
            FieldType::Decimal { .. } => Self::ExtremeDecimal(Extreme::new(largest)),
            FieldType::String => Self::ExtremeString(ExtremeText::new(largest)),
            FieldType::Timestamp => Self::ExtremeTimestamp(Extreme::new(largest)),
            FieldType::Array(_) => unreachable!("the plan refuses lists as arguments"),
        }
    }

    /// Whether `rows` values of at most this magnitude can be folded in, whatever they are. False: ask for each row.
    pub(crate) fn has_room(&mut self, peak: Peak, rows: usize) -> bool {
        with_state!(self, state => state.has_room(peak, rows))
    }

    /// Whether the value of a row can be folded into a group. None: into a group that does not exist yet.
    pub(crate) fn fits(&mut self, argument: View<'_>, row: usize, group: Option<u32>) -> bool {
        with_argument!(self, argument, (state, source) => fits(state, source, row, group))
    }

    /// Makes groups up to this number. A new group has seen no value.
    pub(crate) fn grow(&mut self, groups: usize) {
        with_state!(self, state => state.grow(groups));
    }

    /// Takes the rows' values into their groups. NULL leaves a group as it is.
    pub(crate) fn fold(&mut self, argument: View<'_>, rows: Rows<'_>) {
        with_argument!(self, argument, (state, source) => fold(state, source, rows));
    }

    /// The same, appending the group's result after each row.
    pub(crate) fn fold_and_emit(&mut self, argument: View<'_>, rows: Rows<'_>, out: &mut ColumnBuilder) {
        with_argument!(self, argument, (state, source) => fold_and_emit(state, source, rows, out));
    }

    /// Appends the results of these groups.
    pub(crate) fn append(&self, groups: Range<usize>, out: &mut ColumnBuilder) {
        with_state!(self, state => kernel::append(state, groups, out));
    }

    /// Folds the groups of `other` into these: its group `n` into `groups[n]`, as if all its rows came after all rows
    /// here. Returns the first group of `other` that would overflow; groups before it are in, it and later ones not.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for stages that merge what others aggregated before them")
    )]
    pub(crate) fn merge(&mut self, other: &Self, groups: &[u32]) -> Option<usize> {
        let pairs = groups.iter().map(|group| *group as usize).zip(0..);
        self.merge_pairs(other, pairs)
    }

    /// Makes the new group `into` what `other` has as its group `from`: to merge into a group that has seen nothing is to
    /// copy.
    pub(crate) fn copy(&mut self, into: usize, other: &Self, from: usize) {
        let full = self.merge_pairs(other, std::iter::once((into, from)));
        debug_assert_eq!(full, None, "what fits once fits twice");
    }

    fn merge_pairs(&mut self, other: &Self, pairs: impl Iterator<Item = (usize, usize)>) -> Option<usize> {
        macro_rules! merge {
            ($($variant:ident),*) => {
                match (self, other) {
                    $((Self::$variant(state), Self::$variant(other)) => kernel::merge(state, other, pairs),)*
                    _ => unreachable!("only equal aggregates are merged"),
                }
            };
        }
        merge!(
            Count,
            SumInt64,
            SumFloat64,
            SumDecimal,
            ExtremeBoolean,
            ExtremeInt64,
            ExtremeFloat64,
            ExtremeDecimal,
            ExtremeString,
            ExtremeTimestamp,
            MeanInt64,
            MeanFloat64,
            MeanDecimal,
            Deviation
        )
    }

    /// Forgets all groups, keeping the memory.
    pub(crate) fn clear(&mut self) {
        with_state!(self, state => state.clear());
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        with_state!(self, state => state.bytes())
    }

    /// Writes the groups' values, not their number.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        with_state!(self, state => state.save(out));
    }

    /// Reads what `save` wrote for this many groups of the same aggregate, in place of what is here.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        with_state!(self, state => state.load(reader, groups))
    }
}

#[cfg(test)]
mod tests;
