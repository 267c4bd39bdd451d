//! Numbers for keys, by first arrival. Each key is stored once: numbers as they are, all else in one run of bytes.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

/// Hashes never leave the process; the seed is fixed so that two runs do the same work.
const HASHER: FixedState = FixedState::with_seed(0x6d69_6c6c_7261_6365);

/// A key in the form in which it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Null,
    Whole(i64),
    Bytes(&'a [u8]),
}

/// Keys and their numbers.
pub(super) struct Index {
    table: HashTable<Entry>,
    store: Store,
    /// The number of [`Key::Null`], which has a place in the store but none in the table.
    null: Option<u32>,
}

/// Half a hash beside the number, so that most misses and all growth do without the key.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    number: u32,
}

enum Store {
    Whole(Vec<i64>),
    Bytes { bytes: Vec<u8>, ends: Vec<usize> },
}

impl Index {
    /// For keys that are `Null` or `Whole`.
    pub(super) fn of_whole() -> Self {
        Self {
            table: HashTable::new(),
            store: Store::Whole(Vec::new()),
            null: None,
        }
    }

    /// For keys that are `Null` or `Bytes`.
    pub(super) fn of_bytes() -> Self {
        Self {
            table: HashTable::new(),
            store: Store::Bytes {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
            null: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.store {
            Store::Whole(values) => values.len(),
            Store::Bytes { ends, .. } => ends.len(),
        }
    }

    /// The key with this number.
    pub(super) fn get(&self, number: usize) -> Key<'_> {
        if self.null.is_some_and(|null| null as usize == number) {
            return Key::Null;
        }
        match &self.store {
            Store::Whole(values) => Key::Whole(values[number]),
            Store::Bytes { bytes, ends } => Key::Bytes(slice(bytes, ends, number)),
        }
    }

    /// The number of a key, if it has one.
    pub(super) fn find(&self, key: Key<'_>) -> Option<u32> {
        let (hash, store) = (hash(key), &self.store);
        match key {
            Key::Null => self.null,
            _ => self
                .table
                .find(spread(hash), |entry| entry.is(hash, key, store))
                .map(|entry| entry.number),
        }
    }

    /// The number of a key, which gets one where it has none.
    #[inline]
    pub(super) fn intern(&mut self, key: Key<'_>) -> u32 {
        let next = self.len() as u32;
        if key == Key::Null {
            return self.null.unwrap_or_else(|| {
                self.store.push(key);
                *self.null.insert(next)
            });
        }
        let (hash, store) = (hash(key), &self.store);
        match self.table.entry(
            spread(hash),
            |entry| entry.is(hash, key, store),
            |entry| spread(entry.hash),
        ) {
            Place::Occupied(entry) => entry.get().number,
            Place::Vacant(place) => {
                assert!(next != u32::MAX, "memory ends before four billion groups");
                place.insert(Entry { hash, number: next });
                self.store.push(key);
                next
            }
        }
    }

    /// Gives a key a new number, whether or not it has one. The old number's key means nothing from here on.
    pub(super) fn renew(&mut self, key: Key<'_>) -> u32 {
        let next = self.len() as u32;
        if key == Key::Null {
            self.null = Some(next);
            self.store.push(key);
            return next;
        }
        let (hash, store) = (hash(key), &self.store);
        assert!(next != u32::MAX, "memory ends before four billion groups");
        match self.table.entry(
            spread(hash),
            |entry| entry.is(hash, key, store),
            |entry| spread(entry.hash),
        ) {
            Place::Occupied(mut entry) => entry.get_mut().number = next,
            Place::Vacant(place) => drop(place.insert(Entry { hash, number: next })),
        }
        self.store.push(key);
        next
    }

    /// Forgets all keys, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.null = None;
        match &mut self.store {
            Store::Whole(values) => values.clear(),
            Store::Bytes { bytes, ends } => {
                bytes.clear();
                ends.clear();
            }
        }
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let store = match &self.store {
            Store::Whole(values) => values.capacity() * 8,
            Store::Bytes { bytes, ends } => bytes.capacity() + ends.capacity() * 8,
        };
        self.table.allocation_size() + store
    }
}

impl Store {
    fn push(&mut self, key: Key<'_>) {
        match (self, key) {
            (Self::Whole(values), Key::Whole(value)) => values.push(value),
            (Self::Whole(values), _) => values.push(0),
            (Self::Bytes { bytes, ends }, key) => {
                if let Key::Bytes(key) = key {
                    bytes.extend_from_slice(key);
                }
                ends.push(bytes.len());
            }
        }
    }
}

impl Entry {
    #[inline]
    fn is(self, hash: u32, key: Key<'_>, store: &Store) -> bool {
        self.hash == hash
            && match (store, key) {
                (Store::Whole(values), Key::Whole(key)) => values[self.number as usize] == key,
                (Store::Bytes { bytes, ends }, Key::Bytes(key)) => slice(bytes, ends, self.number as usize) == key,
                _ => false,
            }
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[usize], number: usize) -> &'a [u8] {
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start..ends[number]]
}

fn hash(key: Key<'_>) -> u32 {
    let hash = match key {
        Key::Null => 0,
        Key::Whole(value) => HASHER.hash_one(value),
        Key::Bytes(bytes) => HASHER.hash_one(bytes),
    };
    (hash ^ (hash >> 32)) as u32
}

/// The table wants good bits at both ends of 64; the product has them in its middle.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}
