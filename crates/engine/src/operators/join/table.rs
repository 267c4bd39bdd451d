//! Fields of a table for every row. Of a table that never changes what a row finds depends on its key and its time alone;
//! one that is a topic changes between steps, by its owner (`live`).

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMillisecondType;
use millrace_format::{TableFault, TableRows};
use millrace_plan::{Fields, Join, Table};

use super::live::LiveTable;
use crate::batch::Batch;
use crate::operators::{Picked, record_batch};
use crate::state::{Keys, View};

/// A table with its keys, and what to do with it.
pub(crate) struct TableJoin {
    on: Vec<usize>,
    keeps_unmatched: bool,
    output: Fields,
    rows: Rows,
}

enum Rows {
    Fixed(Box<FixedRows>),
    /// The program is shared by threads; of those that run chains there is one.
    Live(Box<RwLock<LiveTable>>),
}

/// What a join asks of a table.
pub(super) trait Lookup {
    /// The keys, numbered.
    fn keys(&self) -> &Keys;
    /// The row of a key that holds at a time.
    fn at(&self, key: u32, time: i64) -> Option<u32>;
    /// The columns that are added, of these rows.
    fn added(&self, found: &UInt32Array) -> Vec<ArrayRef>;
}

/// Rows that never change.
struct FixedRows {
    /// Only those that are added.
    columns: Vec<ArrayRef>,
    keys: Keys,
    versions: Versions,
}

/// Which rows of the table belong to a key.
enum Versions {
    /// One: the key's number is the row's.
    One,
    /// Several: for each key where its rows begin in `rows`; they stand in the order of their times.
    ByTime { starts: Vec<usize>, rows: Vec<(i64, u32)> },
}

impl TableJoin {
    /// Reads the table. The error names it and its first bad lines.
    pub(crate) fn new(spec: &Join, output: &Fields, bytes: &[u8]) -> Result<Self, String> {
        let table = &spec.table;
        let read = TableRows::read(table, bytes).and_then(|rows| {
            let (keys, versions) = index(table, &rows)?;
            Ok((rows, keys, versions))
        });
        let (rows, keys, versions) = read.map_err(|faults| refused(table, &faults))?;
        let columns = spec.fields.iter().map(|at| rows.columns.column(*at).clone());
        let rows = FixedRows {
            columns: columns.collect(),
            keys,
            versions,
        };
        Ok(Self::with(spec, output, Rows::Fixed(Box::new(rows))))
    }

    /// A table without rows that will change.
    pub(crate) fn live(spec: &Join, output: &Fields) -> Self {
        Self::with(spec, output, Rows::Live(Box::new(RwLock::new(LiveTable::new(spec)))))
    }

    fn with(spec: &Join, output: &Fields, rows: Rows) -> Self {
        Self {
            on: spec.on.clone(),
            keeps_unmatched: spec.keeps_unmatched,
            output: output.clone(),
            rows,
        }
    }

    /// The table, where it is one that changes.
    pub(crate) fn changing(&self) -> Option<RwLockWriteGuard<'_, LiveTable>> {
        match &self.rows {
            Rows::Fixed(_) => None,
            Rows::Live(table) => Some(table.write().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The rows that go on, with the fields of the table's row that each finds.
    pub(crate) fn apply(&self, batch: &Batch) -> Picked {
        match &self.rows {
            Rows::Fixed(rows) => self.joined(batch, &**rows),
            Rows::Live(table) => self.joined(batch, &*table.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn joined(&self, batch: &Batch, table: &impl Lookup) -> Picked {
        let found = self.find(batch, table);
        let all = found.null_count() == 0 || self.keeps_unmatched;
        let (kept, rows, found) = match all {
            true => {
                let rows = UInt32Array::from_iter_values(0..batch.len() as u32);
                (batch.clone(), rows, found)
            }
            false => {
                let mask = arrow::compute::is_not_null(&found).expect("any array has validity");
                let rows = mask.values().set_indices().map(|row| row as u32);
                let rows = UInt32Array::from_iter_values(rows);
                let found = UInt32Array::from_iter_values(found.iter().flatten());
                (batch.filter(&mask), rows, found)
            }
        };
        let added = table.added(&found);
        let columns = kept.columns.columns().iter().cloned().chain(added).collect();
        let batch = Batch {
            columns: record_batch(&self.output, columns, kept.len()),
            ..kept
        };
        Picked { batch, rows }
    }

    /// For each row the table's row, or null.
    fn find(&self, batch: &Batch, table: &impl Lookup) -> UInt32Array {
        let keys: Vec<View<'_>> = self.on.iter().map(|at| View::of(batch.columns.column(*at))).collect();
        let mut scratch = Vec::new();
        let find = |(row, time): (usize, &i64)| {
            // No row of the table has a null key, so that no row of the stream with one finds any.
            let key = table.keys().look_up(&keys, row, &mut scratch)?;
            table.at(key, *time)
        };
        batch.times.iter().enumerate().map(find).collect()
    }
}

impl Lookup for FixedRows {
    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn at(&self, key: u32, time: i64) -> Option<u32> {
        self.versions.at(key, time)
    }

    fn added(&self, found: &UInt32Array) -> Vec<ArrayRef> {
        let added = self.columns.iter().map(|column| take(column, found, None));
        added.map(|column| column.expect("rows lie within the table")).collect()
    }
}

impl Versions {
    fn at(&self, key: u32, time: i64) -> Option<u32> {
        match self {
            Self::One => Some(key),
            Self::ByTime { starts, rows } => {
                let of_key = &rows[starts[key as usize]..starts[key as usize + 1]];
                let before = of_key.partition_point(|(valid_from, _)| *valid_from <= time);
                before.checked_sub(1).map(|last| of_key[last].1)
            }
        }
    }
}

/// Numbers the keys. A key that stands there twice, with times: at the same time, is a fault.
fn index(table: &Table, rows: &TableRows) -> Result<(Keys, Versions), Vec<TableFault>> {
    let types = table.key.iter().map(|at| table.fields[*at].field_type.clone());
    let mut keys = Keys::new(types.collect());
    let columns: Vec<View<'_>> = table.key.iter().map(|at| View::of(rows.columns.column(*at))).collect();
    let numbers = (0..rows.lines.len()).map(|row| keys.intern(&columns, row));
    let numbers: Vec<u32> = numbers.collect();
    let (versions, twice) = match table.valid_from {
        None => (Versions::One, repeated(&numbers)),
        Some(at) => by_time(&rows.columns, at, &numbers, keys.len()),
    };
    if twice.is_empty() {
        return Ok((keys, versions));
    }
    let what = if table.valid_from.is_some() {
        "key and the time"
    } else {
        "key"
    };
    let fault = |(first, second): (u32, u32)| TableFault {
        line: Some(rows.lines[second as usize]),
        message: format!("has the {what} of line {}", rows.lines[first as usize]),
    };
    Err(twice.into_iter().map(fault).collect())
}

/// Rows whose key another row has had, with the first that had it.
fn repeated(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut first: Vec<u32> = Vec::new();
    let mut twice = Vec::new();
    for (row, number) in numbers.iter().enumerate() {
        match first.get(*number as usize) {
            Some(before) => twice.push((*before, row as u32)),
            None => first.push(row as u32),
        }
    }
    twice
}

/// The rows of each key in the order of their times, and those that have the time of another.
fn by_time(rows: &RecordBatch, at: usize, numbers: &[u32], keys: usize) -> (Versions, Vec<(u32, u32)>) {
    let times = rows.column(at).as_primitive::<TimestampMillisecondType>();
    let mut sorted: Vec<(u32, i64, u32)> = numbers
        .iter()
        .zip(times.values())
        .enumerate()
        .map(|(row, (number, time))| (*number, *time, row as u32))
        .collect();
    sorted.sort_unstable();
    let twice = sorted
        .windows(2)
        .filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1))
        .map(|pair| (pair[0].2, pair[1].2));
    let mut twice: Vec<_> = twice.collect();
    twice.sort_unstable_by_key(|(_, second)| *second);
    let starts = (0..=keys as u32).map(|key| sorted.partition_point(|(number, ..)| *number < key));
    let starts = starts.collect();
    let rows = sorted.into_iter().map(|(_, time, row)| (time, row)).collect();
    (Versions::ByTime { starts, rows }, twice)
}

/// What is wrong with a table, in one sentence.
fn refused(table: &Table, faults: &[TableFault]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if faults.len() > SHOWN { "; and more" } else { "" };
    format!("table {} ({}): {}{more}", table.name, table.origin, shown.join("; "))
}

impl std::fmt::Debug for TableJoin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableJoin")
            .field("on", &self.on)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
