//! What is remembered: rows by key and side, in the order of their times, and when each is to be forgotten.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque, vec_deque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Hashes never leave the process; the seed is fixed so that two runs do the same work.
const HASHER: FixedState = FixedState::with_seed(0x6a6f_696e_6564_7277);

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Left,
    Right,
}

/// One remembered row.
pub(super) struct Row {
    pub(super) time: i64,
    /// Place in the order of arrival, over all rows. Given by [`Store::add`].
    pub(super) number: u64,
    /// Whether it has come out with another.
    pub(super) matched: bool,
    /// Its encoded fields.
    pub(super) fields: Box<[u8]>,
}

/// The rows of one key, or one row whose key nothing equals. Each side in the order of times, then of arrival.
pub(super) struct Entry {
    pub(super) key: Box<[u8]>,
    pub(super) findable: bool,
    pub(super) sides: [VecDeque<Row>; 2],
}

/// When the oldest row of a side is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at: i64,
    number: u64,
    pub(super) entry: u32,
    pub(super) side: Side,
}

/// All rows.
#[derive(Default)]
pub(super) struct Store {
    /// Findable entries, each with its hash.
    table: HashTable<(u64, u32)>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Rows of a side are due in the order of their times, so that a due row is the first of its side.
    due: BinaryHeap<Reverse<Due>>,
    next: u64,
    bytes: usize,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl Row {
    pub(super) fn new(time: i64, matched: bool, fields: &[u8]) -> Self {
        Self {
            time,
            number: 0,
            matched,
            fields: fields.into(),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.fields.len() + size_of::<Due>()
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        size_of::<Option<Self>>() + self.key.len() + 16
    }
}

impl Store {
    /// Number of keys.
    pub(super) fn entries(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Every entry's number is below this.
    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = HASHER.hash_one(key);
        let is = |(of, entry): &(u64, u32)| *of == hash && *self.entry(*entry).key == *key;
        self.table.find(hash, is).map(|(_, entry)| *entry)
    }

    /// An entry for a key that has none.
    pub(super) fn add_entry(&mut self, key: &[u8], findable: bool) -> u32 {
        let entry = Entry {
            key: key.into(),
            findable,
            sides: Default::default(),
        };
        self.bytes += entry.bytes();
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("memory ends before four billion keys")
        });
        self.entries[place as usize] = Some(entry);
        if findable {
            let hash = HASHER.hash_one(key);
            self.table.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        }
        place
    }

    /// Adds a row, to be forgotten at `due`.
    pub(super) fn add(&mut self, entry: u32, side: Side, mut row: Row, due: Option<i64>) {
        let number = self.next;
        self.next += 1;
        row.number = number;
        self.bytes += row.bytes();
        self.due.extend(due.map(|at| {
            Reverse(Due {
                at,
                number,
                entry,
                side,
            })
        }));
        let rows = &mut self.entry_mut(entry).sides[side as usize];
        let place = rows.partition_point(|before| before.time <= row.time);
        rows.insert(place, row);
    }

    /// What is to be forgotten first, if it is to be forgotten by now.
    pub(super) fn due(&self, watermark: i64) -> Option<Due> {
        let Reverse(due) = self.due.peek()?;
        (due.at <= watermark).then_some(*due)
    }

    /// Key and oldest row.
    pub(super) fn oldest(&self, entry: u32, side: Side) -> (&[u8], &Row) {
        let entry = self.entry(entry);
        (&entry.key, entry.sides[side as usize].front().expect(DUE))
    }

    /// Forgets what [`Self::due`] returned.
    pub(super) fn forget_oldest(&mut self, entry: u32, side: Side) {
        self.due.pop();
        let row = self.entry_mut(entry).sides[side as usize].pop_front().expect(DUE);
        self.bytes -= row.bytes();
        self.drop_if_empty(entry);
    }

    /// Rows of one side of a key between two times, both included, oldest first.
    pub(super) fn matching(
        &mut self,
        entry: u32,
        side: Side,
        (first, last): (i64, i64),
    ) -> impl Iterator<Item = &mut Row> {
        let rows = &mut self.entry_mut(entry).sides[side as usize];
        let range = range(rows, first, last);
        rows.range_mut(range)
    }

    /// Entries with rows between two times, both included, by the first of these rows to arrive.
    pub(super) fn entries_between(&self, first: i64, last: i64) -> Vec<u32> {
        let earliest = |rows: &VecDeque<Row>| rows.range(range(rows, first, last)).map(|row| row.number).min();
        let mut found: Vec<(u64, u32)> = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let sides = entry.iter().flat_map(|entry| &entry.sides);
            found.extend(sides.filter_map(earliest).min().map(|number| (number, place as u32)));
        }
        found.sort_unstable();
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Key and rows of both sides between two times, both included.
    pub(super) fn between(
        &self,
        entry: u32,
        first: i64,
        last: i64,
    ) -> (&[u8], vec_deque::Iter<'_, Row>, vec_deque::Iter<'_, Row>) {
        let entry = self.entry(entry);
        let [left, right] = [0, 1].map(|side| {
            let rows: &VecDeque<Row> = &entry.sides[side];
            rows.range(range(rows, first, last))
        });
        (&entry.key, left, right)
    }

    /// Forgets the oldest rows of a key, as long as their times are `over`.
    pub(super) fn forget_while(&mut self, entry: u32, over: impl Fn(i64) -> bool) {
        for side in 0..2 {
            while let Some(row) = self.entry_mut(entry).sides[side].pop_front_if(|row| over(row.time)) {
                self.bytes -= row.bytes();
            }
        }
        self.drop_if_empty(entry);
    }

    /// All rows in the order of arrival, each with its entry.
    pub(super) fn by_arrival(&self) -> Vec<(u32, Side, &Row)> {
        let mut rows = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            for side in [Side::Left, Side::Right] {
                rows.extend(entry.sides[side as usize].iter().map(|row| (place as u32, side, row)));
            }
        }
        rows.sort_unstable_by_key(|(.., row)| row.number);
        rows
    }

    /// An entry that is there.
    pub(super) fn entry(&self, entry: u32) -> &Entry {
        self.entries[entry as usize].as_ref().expect(THERE)
    }

    fn entry_mut(&mut self, entry: u32) -> &mut Entry {
        self.entries[entry as usize].as_mut().expect(THERE)
    }

    fn drop_if_empty(&mut self, place: u32) {
        if self.entry(place).sides.iter().any(|rows| !rows.is_empty()) {
            return;
        }
        let entry = self.entries[place as usize].take().expect(THERE);
        self.free.push(place);
        self.bytes -= entry.bytes();
        if entry.findable {
            let hash = HASHER.hash_one(&*entry.key);
            if let Ok(found) = self.table.find_entry(hash, |(_, entry)| *entry == place) {
                found.remove();
            }
        }
    }
}

const DUE: &str = "a row that is due is there, and the oldest of its side";
const THERE: &str = "an entry lives as long as it has rows";

/// Places of the rows between two times, both included.
fn range(rows: &VecDeque<Row>, first: i64, last: i64) -> std::ops::Range<usize> {
    let start = rows.partition_point(|row| row.time < first);
    let end = rows.partition_point(|row| row.time <= last);
    start..end.max(start)
}
