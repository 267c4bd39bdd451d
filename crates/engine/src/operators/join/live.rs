//! A table that changes: its rows by key, as the records of a topic made them. Which row a record finds depends on how
//! many changes were taken in before it; the owner of the program decides that, and nothing of it is saved.
//!
//! Rows are numbered as they come and stand in parts, of which each is at most about half as large as the one before it.
//! Where most rows are outdated, those that hold are numbered anew.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use arrow::compute::{concat, interleave};
use arrow::datatypes::TimestampMillisecondType;
use millrace_format::{ChangeDecoder, Record, Refused};
use millrace_plan::{FieldType, Join, Table};

use super::table::Lookup;
use crate::state::{Keys, View};

/// Rows that hold nothing any more may be this many before there are as many as those that hold.
const SPARE: usize = 8192;
/// Rows that are copied together.
const CHUNK: usize = 65_536;
/// Parts that are larger together stay two: the offsets of a column of texts are 32 bits.
const LARGEST_PART: usize = 512 << 20;

/// A table and the reader of its changes.
pub(crate) struct LiveTable {
    name: String,
    key_types: Vec<FieldType>,
    key: Vec<usize>,
    valid_from: Option<usize>,
    /// Positions of the fields that are added.
    added: Vec<usize>,
    types: Vec<arrow::datatypes::DataType>,
    decoder: ChangeDecoder,
    rows: Rows,
}

/// The rows.
struct Rows {
    keys: Keys,
    versions: Versions,
    parts: Vec<Part>,
    /// Rows that hold.
    live: usize,
    /// Rows that were numbered.
    numbered: usize,
}

/// Which rows hold, by the number of their key.
enum Versions {
    /// At most one.
    One(Vec<Option<u32>>),
    /// Any number, in the order of their times.
    ByTime(Vec<Vec<(i64, u32)>>),
}

/// Rows whose numbers follow each other.
struct Part {
    first: usize,
    /// Only those that are added.
    columns: Vec<ArrayRef>,
    len: usize,
}

impl LiveTable {
    /// An empty table.
    pub(crate) fn new(spec: &Join) -> Self {
        let table = &spec.table;
        let key_types: Vec<FieldType> = table
            .key
            .iter()
            .map(|at| table.fields[*at].field_type.clone())
            .collect();
        let schema = table.fields.schema();
        Self {
            name: format!("table {} ({})", table.name, table.origin),
            rows: Rows::new(&key_types, table.valid_from.is_some()),
            key_types,
            key: table.key.clone(),
            valid_from: table.valid_from,
            types: spec
                .fields
                .iter()
                .map(|at| schema.field(*at).data_type().clone())
                .collect(),
            added: spec.fields.clone(),
            decoder: ChangeDecoder::json(table),
        }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.rows = Rows::new(&self.key_types, self.valid_from.is_some());
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.live
    }

    /// Takes records in, in their order, and returns those that cannot be used, which change nothing. An error: there
    /// are too many rows.
    pub(crate) fn change(&mut self, records: &[Record<'_>]) -> Result<Vec<Refused>, String> {
        let changes = self.decoder.decode(records);
        let key_columns: Vec<View<'_>> = self.key.iter().map(|at| View::of(changes.rows.column(*at))).collect();
        let gone_columns: Vec<View<'_>> = changes.deleted.columns().iter().map(View::of).collect();
        let times = self
            .valid_from
            .map(|at| changes.rows.column(at).as_primitive::<TimestampMillisecondType>());
        let (mut row, mut gone) = (0, 0);
        while row < changes.row_origins.len() || gone < changes.deleted_origins.len() {
            let is_row = match (changes.row_origins.get(row), changes.deleted_origins.get(gone)) {
                (Some(row), Some(gone)) => row < gone,
                (row, _) => row.is_some(),
            };
            if is_row {
                let time = times.map_or(0, |times| times.value(row));
                self.rows.put(&key_columns, row, time);
                row += 1;
            } else {
                self.rows.remove(&gone_columns, gone);
                gone += 1;
            }
        }
        let added = self.added.iter().map(|at| changes.rows.column(*at).clone()).collect();
        self.rows.append(added, changes.row_origins.len());
        if self.rows.live > Table::MAX_ROWS {
            return Err(format!("{} has more than {} rows", self.name, Table::MAX_ROWS));
        }
        self.rows.compact(&self.key_types, &self.types);
        Ok(changes.refused)
    }
}

impl Lookup for LiveTable {
    fn keys(&self) -> &Keys {
        &self.rows.keys
    }

    fn at(&self, key: u32, time: i64) -> Option<u32> {
        match &self.rows.versions {
            Versions::One(rows) => rows[key as usize],
            Versions::ByTime(rows) => {
                let of_key = &rows[key as usize];
                let before = of_key.partition_point(|(valid_from, _)| *valid_from <= time);
                before.checked_sub(1).map(|last| of_key[last].1)
            }
        }
    }

    fn added(&self, found: &UInt32Array) -> Vec<ArrayRef> {
        self.rows.take(found.iter(), &self.types)
    }
}

impl Rows {
    fn new(key_types: &[FieldType], by_time: bool) -> Self {
        Self {
            keys: Keys::new(key_types.to_vec()),
            versions: match by_time {
                false => Versions::One(Vec::new()),
                true => Versions::ByTime(Vec::new()),
            },
            parts: Vec::new(),
            live: 0,
            numbered: 0,
        }
    }

    /// Notes that the row to come at `row` is that of its key, from `time` on.
    fn put(&mut self, columns: &[View<'_>], row: usize, time: i64) {
        let key = self.keys.intern(columns, row) as usize;
        let number = (self.numbered + row) as u32;
        let is_new = match &mut self.versions {
            Versions::One(rows) => {
                rows.resize(self.keys.len(), None);
                rows[key].replace(number).is_none()
            }
            Versions::ByTime(rows) => {
                rows.resize(self.keys.len(), Vec::new());
                let of_key = &mut rows[key];
                let at = of_key.partition_point(|(valid_from, _)| *valid_from < time);
                match of_key.get_mut(at).filter(|(valid_from, _)| *valid_from == time) {
                    Some(same) => {
                        same.1 = number;
                        false
                    }
                    None => {
                        of_key.insert(at, (time, number));
                        true
                    }
                }
            }
        };
        self.live += usize::from(is_new);
    }

    /// Forgets all rows of a key.
    fn remove(&mut self, columns: &[View<'_>], row: usize) {
        let Some(key) = self.keys.find(columns, row) else {
            return;
        };
        self.live -= match &mut self.versions {
            Versions::One(rows) => usize::from(rows[key as usize].take().is_some()),
            Versions::ByTime(rows) => std::mem::take(&mut rows[key as usize]).len(),
        };
    }

    /// Appends the rows that were `put`.
    fn append(&mut self, columns: Vec<ArrayRef>, len: usize) {
        if len == 0 {
            return;
        }
        self.parts.push(Part {
            first: self.numbered,
            columns,
            len,
        });
        self.numbered += len;
        while let [.., before, last] = self.parts.as_slice()
            && before.len <= 2 * last.len
            && before.bytes() + last.bytes() <= LARGEST_PART
        {
            let together = before.with(last);
            self.parts.truncate(self.parts.len() - 2);
            self.parts.push(together);
        }
    }

    /// Copies rows, by their numbers.
    fn take(
        &self,
        numbers: impl ExactSizeIterator<Item = Option<u32>>,
        types: &[arrow::datatypes::DataType],
    ) -> Vec<ArrayRef> {
        let nowhere = (self.parts.len(), 0);
        let place = |number: u32| {
            let part = self.parts.partition_point(|part| part.first <= number as usize) - 1;
            (part, number as usize - self.parts[part].first)
        };
        let places: Vec<(usize, usize)> = numbers.map(|number| number.map_or(nowhere, place)).collect();
        let column = |(at, data_type): (usize, &arrow::datatypes::DataType)| {
            let null = new_null_array(data_type, 1);
            let parts = self.parts.iter().map(|part| part.columns[at].as_ref());
            let arrays: Vec<&dyn Array> = parts.chain([null.as_ref()]).collect();
            interleave(&arrays, &places).expect("all parts have the columns of the table")
        };
        types.iter().enumerate().map(column).collect()
    }

    /// Numbers the rows that hold anew, where most hold no more.
    fn compact(&mut self, key_types: &[FieldType], types: &[arrow::datatypes::DataType]) {
        if self.numbered <= 2 * self.live + SPARE {
            return;
        }
        let by_time = matches!(self.versions, Versions::ByTime(_));
        let mut fresh = Self::new(key_types, by_time);
        let mut old = Vec::with_capacity(self.live);
        let mut renumber = |number: u32| {
            old.push(number);
            old.len() as u32 - 1
        };
        for key in 0..self.keys.len() {
            match (&self.versions, &mut fresh.versions) {
                (Versions::One(rows), Versions::One(kept)) => {
                    if let Some(number) = rows[key] {
                        fresh.keys.adopt(&self.keys, key);
                        kept.push(Some(renumber(number)));
                    }
                }
                (Versions::ByTime(rows), Versions::ByTime(kept)) if !rows[key].is_empty() => {
                    fresh.keys.adopt(&self.keys, key);
                    let of_key = rows[key].iter().map(|(time, number)| (*time, renumber(*number)));
                    kept.push(of_key.collect());
                }
                _ => {}
            }
        }
        for chunk in old.chunks(CHUNK) {
            let columns = self.take(chunk.iter().map(|number| Some(*number)), types);
            fresh.append(columns, chunk.len());
        }
        fresh.live = self.live;
        *self = fresh;
    }
}

impl Part {
    fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.get_buffer_memory_size()).sum()
    }

    /// The rows of both, which follow each other.
    fn with(&self, next: &Self) -> Self {
        let both = self.columns.iter().zip(&next.columns);
        let columns = both.map(|(one, other)| concat(&[one.as_ref(), other.as_ref()]));
        Self {
            first: self.first,
            columns: columns
                .map(|column| column.expect("both have the columns of the table"))
                .collect(),
            len: self.len + next.len,
        }
    }
}

#[cfg(test)]
mod tests;
