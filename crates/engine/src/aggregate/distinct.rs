//! DISTINCT before any aggregate: of equal values of a group the first one is let through.

use millrace_plan::{Aggregate, FieldType};

use crate::aggregate::Argument;
use crate::aggregate::plain::Plain;
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Members, Rows, View};

/// The values that each group has seen.
pub(super) struct Distinct {
    members: Members,
    /// One group, in which the values that a merge brings are gathered first.
    gathered: Plain,
    /// The rows with new values and their groups, kept for their memory.
    rows: Vec<u32>,
    groups: Vec<u32>,
}

impl Distinct {
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        let argument = aggregate.argument.as_ref();
        let value_type = argument.map_or(FieldType::Int64, |argument| argument.field_type.clone());
        Self {
            members: Members::new(value_type),
            gathered: Plain::new(aggregate),
            rows: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Whether the row's value, if it has one, was seen in the group before.
    pub(super) fn knows(&mut self, values: View<'_>, row: usize, group: Option<u32>) -> bool {
        !values.is_null(row) && group.is_some_and(|group| self.members.contains(group, values.item(row)))
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.members.grow(groups);
    }

    /// Those of the rows whose values their groups see for the first time.
    pub(super) fn new_rows(&mut self, values: View<'_>, rows: Rows<'_>) -> Rows<'_> {
        self.rows.clear();
        self.groups.clear();
        rows.each(|row, group| {
            if !values.is_null(row) && self.members.insert(group as u32, values.item(row)) {
                self.rows.push(row as u32);
                self.groups.push(group as u32);
            }
        });
        Rows {
            rows: Some(&self.rows),
            groups: &self.groups,
        }
    }

    /// Takes the values of group `from` of `other` into group `into`, here and in `plain`; false, and nothing changed, if
    /// that would overflow.
    pub(super) fn merge(&mut self, plain: &mut Plain, into: u32, other: &Self, from: usize) -> bool {
        let mut column = ColumnBuilder::new(self.members.value_type(), 0);
        let mut count = 0;
        for item in other.members.of(from) {
            if !self.members.contains(into, item) {
                column.append(item);
                count += 1;
            }
        }
        let column = column.finish();
        let argument = Argument {
            values: View::of(&column),
            by: View::of(&column),
            times: &[],
        };
        self.gathered.clear();
        self.gathered.grow(1);
        for row in 0..count {
            if !self.gathered.fits(argument, row as usize, Some(0)) {
                return false;
            }
            let one = Rows {
                rows: Some(&[row]),
                groups: &[0],
            };
            self.gathered.fold(argument, one);
        }
        if plain
            .merge(&self.gathered, std::iter::once((into as usize, 0)))
            .is_some()
        {
            return false;
        }
        for row in 0..count {
            self.members.insert(into, argument.values.item(row as usize));
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.members.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.members.bytes() + (self.rows.capacity() + self.groups.capacity()) * 4
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.members.save(out);
    }

    pub(super) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.members.load(reader, groups)
    }
}
