//! Lists of all values. A list that would get longer than its limit overflows: a list that lacks some would not say so.

use millrace_plan::FieldType;

use crate::aggregate::Peak;
use crate::aggregate::kernel::{Fold, State};
use crate::state::codec::{self, CodecError, Reader};
use crate::state::{Item, ListColumn, width};

/// The lists, in the order of arrival.
pub(crate) struct List {
    value_type: FieldType,
    limit: u32,
    /// Whether equal values are one value, of which it must not matter which one came.
    unified: bool,
    lists: Vec<Packed>,
    /// No list is longer.
    longest: usize,
    /// Bytes of all lists together.
    held: usize,
}

/// A list's values as bytes, one after the other.
#[derive(Clone, Default)]
struct Packed {
    count: u32,
    bytes: Vec<u8>,
}

impl List {
    pub(super) fn new(value_type: FieldType, limit: u32, unified: bool) -> Self {
        Self {
            value_type,
            limit,
            unified,
            lists: Vec::new(),
            longest: 0,
            held: 0,
        }
    }

    fn exact_longest(&self) -> usize {
        self.lists.iter().map(|list| list.count as usize).max().unwrap_or(0)
    }
}

impl<'a> Fold<Item<'a>> for List {
    fn add(&mut self, group: usize, value: Item<'a>) {
        let list = &mut self.lists[group];
        let before = list.bytes.len();
        let value = if self.unified { value.unified() } else { value };
        value.put(&mut list.bytes);
        list.count += 1;
        self.held += list.bytes.len() - before;
    }

    fn fits(&mut self, group: Option<usize>, _value: Item<'a>) -> bool {
        let count = group.map_or(0, |group| self.lists[group].count);
        self.longest = self.longest.max(count as usize + 1);
        count < self.limit
    }
}

impl State for List {
    type Builder = Box<ListColumn>;

    fn grow(&mut self, groups: usize) {
        self.lists.resize(groups, Packed::default());
    }

    fn emit(&self, group: usize, out: &mut Box<ListColumn>) {
        let Packed { count, bytes } = &self.lists[group];
        let mut reader = Reader::new(bytes);
        out.append((0..*count).map(|_| Item::read(&self.value_type, &mut reader).expect("only values are kept")));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let (list, other) = (&mut self.lists[into], &other.lists[from]);
        let fits = list.count + other.count <= self.limit;
        if fits {
            list.count += other.count;
            list.bytes.extend_from_slice(&other.bytes);
            self.held += other.bytes.len();
            self.longest = self.longest.max(list.count as usize);
        }
        fits
    }

    fn clear(&mut self) {
        self.lists.clear();
        (self.longest, self.held) = (0, 0);
    }

    fn bytes(&self) -> usize {
        self.lists.capacity() * size_of::<Packed>() + self.held
    }

    /// For each group the number of its values, then the values.
    fn save(&self, out: &mut Vec<u8>) {
        for Packed { count, bytes } in &self.lists {
            codec::put_length(out, *count as usize);
            out.extend_from_slice(bytes);
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.clear();
        self.grow(groups);
        for group in 0..groups {
            let count = reader.count(width(&self.value_type))?;
            if count > self.limit as usize {
                return Err(CodecError::Invalid("a list is longer than its limit"));
            }
            for _ in 0..count {
                self.add(group, Item::read(&self.value_type, reader)?);
            }
        }
        self.longest = self.exact_longest();
        Ok(())
    }

    fn has_room(&mut self, _peak: Peak, rows: usize, panes: usize) -> bool {
        let limit = self.limit as usize / panes;
        if self.longest.saturating_add(rows) > limit {
            self.longest = self.exact_longest();
        }
        let room = self.longest.saturating_add(rows) <= limit;
        if room {
            self.longest += rows;
        }
        room
    }
}
