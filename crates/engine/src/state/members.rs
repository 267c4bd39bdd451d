//! Which values groups have seen: one set of values for each group, all in one table. Equal in the sense of SQL.

use millrace_plan::FieldType;

use crate::state::codec::{self, CodecError, Fixed, Reader};
use crate::state::index::{Index, Key};
use crate::state::item::{Item, width};

/// Values by group, those of a group in the order in which they came.
pub(crate) struct Members {
    /// The keys are the group's number and then the value's bytes.
    index: Index,
    /// For each key the next one of its group.
    next: Vec<u32>,
    groups: Vec<Chain>,
    value_type: FieldType,
    /// One key, kept for its memory.
    scratch: Vec<u8>,
}

/// The values of a group.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
    count: u32,
}

/// No number of a key.
const NONE: u32 = u32::MAX;

impl Members {
    pub(crate) fn new(value_type: FieldType) -> Self {
        Self {
            index: Index::of_bytes(),
            next: Vec::new(),
            groups: Vec::new(),
            value_type,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn value_type(&self) -> &FieldType {
        &self.value_type
    }

    /// Makes groups up to this number.
    pub(crate) fn grow(&mut self, groups: usize) {
        let empty = Chain {
            first: NONE,
            last: NONE,
            count: 0,
        };
        self.groups.resize(groups, empty);
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn contains(&mut self, group: u32, item: Item<'_>) -> bool {
        self.write_key(group, item);
        self.index.find(Key::Bytes(&self.scratch)).is_some()
    }

    /// Whether the value is new in its group.
    pub(crate) fn insert(&mut self, group: u32, item: Item<'_>) -> bool {
        self.write_key(group, item);
        let number = self.index.intern(Key::Bytes(&self.scratch));
        let new = number as usize == self.next.len();
        if new {
            self.next.push(NONE);
            let chain = &mut self.groups[group as usize];
            match chain.last {
                NONE => chain.first = number,
                last => self.next[last as usize] = number,
            }
            (chain.last, chain.count) = (number, chain.count + 1);
        }
        new
    }

    /// The values of a group.
    pub(crate) fn of(&self, group: usize) -> impl Iterator<Item = Item<'_>> {
        let numbers = std::iter::successors(Some(self.groups[group].first), |number| {
            Some(self.next[*number as usize])
        });
        numbers.take(self.groups[group].count as usize).map(|number| {
            let Key::Bytes(key) = self.index.get(number as usize) else {
                unreachable!("all keys are bytes")
            };
            Item::read_alone(&self.value_type, &key[u32::WIDTH..]).expect("only values are kept")
        })
    }

    fn write_key(&mut self, group: u32, item: Item<'_>) {
        self.scratch.clear();
        group.put(&mut self.scratch);
        item.unified().put_alone(&mut self.scratch);
    }

    /// Forgets all groups, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.index.clear();
        self.next.clear();
        self.groups.clear();
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.index.bytes() + self.next.capacity() * 4 + self.groups.capacity() * size_of::<Chain>()
    }

    /// For each group the number of its values, then the values.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for (group, chain) in self.groups.iter().enumerate() {
            codec::put_length(out, chain.count as usize);
            self.of(group).for_each(|item| item.put(out));
        }
    }

    /// Reads what `save` wrote for this many groups, in place of what is here.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.clear();
        self.grow(groups);
        let value_type = self.value_type.clone();
        for group in 0..groups as u32 {
            for _ in 0..reader.count(width(&value_type))? {
                if !self.insert(group, Item::read(&value_type, reader)?) {
                    return Err(CodecError::Invalid("a value stands there twice"));
                }
            }
        }
        Ok(())
    }
}
