//! DISTINCT before any aggregate: of equal values of a group the first one is let through.

use millrace_plan::{Aggregate, AggregateFunction, FieldType};

use crate::aggregate::peak::Bound;
use crate::aggregate::plain::Plain;
use crate::aggregate::{Argument, Peak};
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Item, Members, Rows, View};

/// So many parts of a group are never merged.
const PARTS: u128 = 1 << 16;

/// The values that each group has seen.
pub(super) struct Distinct {
    members: Members,
    /// One group, in which the values that a merge brings are gathered first.
    gathered: Plain,
    /// The rows with new values and their groups, kept for their memory.
    rows: Vec<u32>,
    groups: Vec<u32>,
    /// Upper bound, for all groups, of the sum of the magnitudes of a group's values.
    bound: Bound,
    /// What the bound must not leave; None where there are no sums that could overflow.
    limit: Option<u128>,
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
            bound: Bound::default(),
            limit: limit(aggregate),
        }
    }

    /// Whether `rows` values of at most this magnitude leave every choice of a group's values, and every merge of such
    /// choices, within range: when parts are merged, those values of a part are left out that another has as well, and so
    /// what a sum of all of them cancels out may be missing.
    pub(super) fn has_room(&mut self, peak: Peak, rows: usize) -> bool {
        let members = &self.members;
        let sum = |group| members.of(group).map(magnitude).fold(0u128, u128::saturating_add);
        let exact = || (0..members.groups()).map(sum).max().unwrap_or(0);
        self.limit
            .is_none_or(|limit| self.bound.widen(peak, rows, limit, exact))
    }

    /// Whether the row's value, if it has one, was seen in the group before.
    pub(super) fn knows(&mut self, values: View<'_>, row: usize, group: Option<u32>) -> bool {
        if values.is_null(row) {
            return false;
        }
        self.bound.take(magnitude(values.item(row)));
        group.is_some_and(|group| self.members.contains(group, values.item(row)))
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
    pub(super) fn merge(
        &mut self,
        plain: &mut Plain,
        into: usize,
        (other_plain, other): (&Plain, &Self),
        from: usize,
    ) -> bool {
        let mut column = ColumnBuilder::new(self.members.value_type(), 0);
        let (mut count, mut known) = (0, false);
        let group = into as u32;
        for item in other.members.of(from) {
            if self.members.contains(group, item) {
                known = true;
            } else {
                column.append(item);
                count += 1;
            }
        }
        // The first has_room asks for the exact bound.
        self.bound.take(u128::MAX);
        if !known {
            // Also what makes a merge into a new group a copy.
            let fits = plain.merge(other_plain, std::iter::once((into, from))).is_none();
            for item in other.members.of(from).filter(|_| fits) {
                self.members.insert(group, item);
            }
            return fits;
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
        if plain.merge(&self.gathered, std::iter::once((into, 0))).is_some() {
            return false;
        }
        for row in 0..count {
            self.members.insert(group, argument.values.item(row as usize));
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.members.clear();
        self.bound = Bound::default();
    }

    pub(super) fn bytes(&self) -> usize {
        self.members.bytes() + (self.rows.capacity() + self.groups.capacity()) * 4
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.members.save(out);
    }

    pub(super) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.bound.take(u128::MAX);
        self.members.load(reader, groups)
    }
}

fn limit(aggregate: &Aggregate) -> Option<u128> {
    match (aggregate.function, &aggregate.argument.as_ref()?.field_type) {
        (AggregateFunction::Sum, FieldType::Int64) => Some(i64::MAX as u128 / PARTS),
        // A mean has up to four digits more than a sum, and is at most as large as the sum.
        (AggregateFunction::Sum | AggregateFunction::Avg, FieldType::Decimal { .. }) => Some(10u128.pow(34) / PARTS),
        _ => None,
    }
}

/// How large a number is; 0 for what is not summed exactly.
fn magnitude(item: Item<'_>) -> u128 {
    match item {
        Item::Whole(value) => value.unsigned_abs().into(),
        Item::Decimal(value) => value.unsigned_abs(),
        Item::Boolean(_) | Item::Double(_) | Item::Text(_) => 0,
    }
}
