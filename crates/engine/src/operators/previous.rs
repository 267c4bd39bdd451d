//! Adds to every row values of the row of the same key that came before it.

use arrow::array::{ArrayRef, UInt32Array};
use millrace_plan::{Fields, Previous};

use crate::batch::Batch;
use crate::operators::{Fault, Keyed, Made, Now, Picked, StateSize, record_batch};
use crate::state::codec::{self, CodecError, Reader};
use crate::state::{ColumnBuilder, Entries, Expiring, KeyColumns, Keys, check_row, decode_row, encode_row};

/// The latest row of every key of one partition.
pub(crate) struct PreviousOperator {
    spec: Previous,
    layout: Layout,
    shape: Vec<String>,
    output: Fields,
    rows: Expiring<Latest>,
    /// One encoded row, kept for its memory.
    scratch: Vec<u8>,
}

struct Layout {
    keys: KeyColumns,
    values: KeyColumns,
}

/// Keys, and for each the values of its latest row, encoded.
struct Latest {
    keys: Keys,
    rows: Vec<Vec<u8>>,
    /// Bytes of memory that the rows have.
    held: usize,
}

impl PreviousOperator {
    pub(crate) fn new(spec: &Previous, input: &Fields, output: &Fields) -> Self {
        let layout = Layout {
            keys: KeyColumns::new(&spec.keys, input),
            values: KeyColumns::new(&spec.fields, input),
        };
        Self {
            spec: spec.clone(),
            shape: spec.shape(input),
            output: output.clone(),
            rows: Expiring::new(&layout),
            layout,
            scratch: Vec::new(),
        }
    }

    /// How far the time of state has come for a row, and until when the row is remembered.
    fn kept(&self, batch: &Batch, row: usize, now: Now) -> (i64, i64) {
        let Some(ttl) = self.spec.ttl else {
            return (i64::MIN, i64::MAX);
        };
        let (now, time) = now.at(ttl.time, batch, row);
        (now, time.saturating_add(ttl.after))
    }
}

impl Keyed for PreviousOperator {
    fn step(
        &mut self,
        batch: &Batch,
        _arguments: &[Option<ArrayRef>],
        now: Now,
        _faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let (keys, values) = (
            self.layout.keys.views(&batch.columns),
            self.layout.values.views(&batch.columns),
        );
        let mut added = self.layout.values.builders(batch.len());
        for row in 0..batch.len() {
            let (now, deadline) = self.kept(batch, row, now);
            let (number, made) = self.rows.enter(&keys, row, now, deadline);
            let latest = self.rows.entries();
            match made {
                true => added.iter_mut().for_each(ColumnBuilder::append_null),
                false => latest.append(number as usize, &mut added),
            }
            encode_row(&values, row, &mut self.scratch);
            latest.put(number as usize, &self.scratch);
        }
        // Without a time to live no deadline ever comes.
        let now = self.spec.ttl.map_or(i64::MIN, |ttl| now.of(ttl.time));
        self.rows.clean(now, batch.len(), &self.layout);
        let columns = batch.columns.columns().iter().cloned();
        let columns = columns.chain(added.iter_mut().map(ColumnBuilder::finish)).collect();
        Some(Made::Picked(Picked {
            rows: UInt32Array::from_iter_values(0..batch.len() as u32),
            batch: Batch {
                columns: record_batch(&self.output, columns, batch.len()),
                ..batch.clone()
            },
        }))
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.rows.len(),
            windows: 0,
            bytes: self.rows.bytes(),
        }
    }

    fn take_expired(&mut self) -> u64 {
        self.rows.take_expired()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.rows.save_whole(&self.shape, &self.layout, out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.rows = Expiring::load_whole(&self.shape, &self.layout, bytes)?;
        Ok(())
    }
}

impl Latest {
    fn put(&mut self, number: usize, row: &[u8]) {
        let held = &mut self.rows[number];
        self.held -= held.capacity();
        held.clear();
        held.extend_from_slice(row);
        self.held += held.capacity();
    }

    fn append(&self, number: usize, columns: &mut [ColumnBuilder]) {
        decode_row(&self.rows[number], columns).expect("only rows of these columns are held");
    }
}

impl Entries for Latest {
    type Layout = Layout;

    fn new(layout: &Layout) -> Self {
        Self {
            keys: Keys::new(layout.keys.types()),
            rows: Vec::new(),
            held: 0,
        }
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    fn grow(&mut self) {
        self.rows.resize(self.keys.len(), Vec::new());
    }

    fn copy(&mut self, into: usize, other: &Self, from: usize) {
        self.put(into, &other.rows[from]);
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.rows.capacity() * size_of::<Vec<u8>>() + self.held
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out);
        self.rows.iter().for_each(|row| codec::put_bytes(out, row));
    }

    fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut loaded = Self::new(layout);
        loaded.keys = Keys::load(layout.keys.types(), reader)?;
        loaded.grow();
        let types = layout.values.types();
        for number in 0..loaded.rows.len() {
            let row = reader.bytes()?;
            check_row(row, &types)?;
            loaded.put(number, row);
        }
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests;
