//! Passes one record of those that have a key in common within a time.
//!
//! The meaning. A key is remembered from a row that passes until its deadline: the row's time and `within` more (by event
//! time: of the newest row that passed). A row whose key is not remembered at its own watermark, or clock, passes. Else,
//! `first` passes it if its time is not before the deadline, and `last` if its event time is not before that of the newest
//! row that passed.

use arrow::array::{ArrayRef, UInt32Array};
use millrace_plan::{Deduplicate, Fields, Keep};

use crate::batch::Batch;
use crate::operators::{Fault, Keyed, Made, Now, Picked, StateSize};
use crate::state::codec::{self, CodecError, Reader};
use crate::state::{Entries, Expiring, KeyColumns, Keys};

/// The keys of one partition that are remembered.
pub(crate) struct DeduplicateOperator {
    spec: Deduplicate,
    layout: Layout,
    shape: Vec<String>,
    keys: Expiring<Passed>,
}

struct Layout {
    keys: KeyColumns,
    keep: Keep,
}

/// Keys; for `last` with the event time of the newest row of each that passed.
struct Passed {
    keys: Keys,
    newest: Option<Vec<i64>>,
}

impl DeduplicateOperator {
    pub(crate) fn new(spec: &Deduplicate, input: &Fields) -> Self {
        let layout = Layout {
            keys: KeyColumns::new(&spec.keys, input),
            keep: spec.keep,
        };
        Self {
            spec: spec.clone(),
            shape: spec.shape(input),
            keys: Expiring::new(&layout),
            layout,
        }
    }
}

impl Keyed for DeduplicateOperator {
    fn step(
        &mut self,
        batch: &Batch,
        _arguments: &[Option<ArrayRef>],
        now: Now,
        _faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let columns = self.layout.keys.views(&batch.columns);
        let mut passed = Vec::new();
        for row in 0..batch.len() {
            let (seen, time) = now.at(self.spec.time, batch, row);
            let number = self.keys.find(&columns, row, seen).map(|number| number as usize);
            let newest = batch.times[row];
            let passes = number.is_none_or(|number| match &self.keys.entries().newest {
                None => self.keys.deadline(number) <= time,
                Some(times) => times[number] <= newest,
            });
            if passes {
                let deadline = time.saturating_add(self.spec.within);
                let (number, _) = self.keys.enter(&columns, row, seen, deadline);
                if let Some(times) = &mut self.keys.entries().newest {
                    times[number as usize] = newest;
                }
                passed.push(row as u32);
            }
        }
        self.keys.clean(now.of(self.spec.time), batch.len(), &self.layout);
        let rows = UInt32Array::from(passed);
        let batch = if rows.len() == batch.len() {
            batch.clone()
        } else {
            batch.take(&rows)
        };
        Some(Made::Picked(Picked { batch, rows }))
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.keys.len(),
            windows: 0,
            bytes: self.keys.bytes(),
        }
    }

    fn take_expired(&mut self) -> u64 {
        self.keys.take_expired()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.keys.save_whole(&self.shape, &self.layout, out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.keys = Expiring::load_whole(&self.shape, &self.layout, bytes)?;
        Ok(())
    }
}

impl Entries for Passed {
    type Layout = Layout;

    fn new(layout: &Layout) -> Self {
        Self {
            keys: Keys::new(layout.keys.types()),
            newest: (layout.keep == Keep::Last).then(Vec::new),
        }
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    fn grow(&mut self) {
        let keys = self.keys.len();
        if let Some(times) = &mut self.newest {
            times.resize(keys, i64::MIN);
        }
    }

    fn copy(&mut self, into: usize, other: &Self, from: usize) {
        if let (Some(times), Some(others)) = (&mut self.newest, &other.newest) {
            times[into] = others[from];
        }
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.newest.as_ref().map_or(0, |times| times.capacity() * 8)
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out);
        self.newest.iter().for_each(|times| codec::put_all(out, times));
    }

    fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let keys = Keys::load(layout.keys.types(), reader)?;
        let newest = match layout.keep {
            Keep::First => None,
            Keep::Last => Some(reader.all(keys.len())?),
        };
        Ok(Self { keys, newest })
    }
}

#[cfg(test)]
mod tests;
