//! One partition: an append-only row of records and control markers.

use crate::{Delivered, Error};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Identity of a transaction.
pub(super) type TransactionId = u64;

/// A record as it lies in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Position in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Record key.
    pub key: Option<Vec<u8>>,
    /// Record value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl StoredRecord {
    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// What `read` found.
pub(super) struct Read {
    pub(super) records: Vec<Arc<StoredRecord>>,
    pub(super) next_offset: i64,
}

#[derive(Debug)]
enum Entry {
    Visible(Arc<StoredRecord>),
    Open(Arc<StoredRecord>, TransactionId),
    Aborted,
    Marker,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    start: i64,
    entries: VecDeque<Entry>,
    /// First offset of each open transaction.
    open: BTreeMap<TransactionId, i64>,
}

impl Log {
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    fn end(&self) -> i64 {
        self.start + self.entries.len() as i64
    }

    /// The end for readers of committed records: the first record of the oldest open transaction.
    pub(super) fn last_stable_offset(&self) -> i64 {
        self.open.values().copied().min().unwrap_or_else(|| self.end())
    }

    pub(super) fn append(&mut self, record: Delivered<'_>, transaction: Option<TransactionId>) -> i64 {
        let offset = self.end();
        let owned = |bytes: &[u8]| bytes.to_vec();
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(owned)))
            .collect();
        let stored = Arc::new(StoredRecord {
            offset,
            timestamp: record.timestamp,
            key: record.key.map(owned),
            value: record.value.map(owned),
            headers,
        });
        self.entries.push_back(match transaction {
            None => Entry::Visible(stored),
            Some(id) => {
                self.open.entry(id).or_insert(offset);
                Entry::Open(stored, id)
            }
        });
        offset
    }

    /// Ends a transaction that wrote here; the marker takes an offset.
    pub(super) fn end_transaction(&mut self, id: TransactionId, commit: bool) {
        let Some(first) = self.open.remove(&id) else { return };
        for entry in self.entries.iter_mut().skip((first - self.start) as usize) {
            if let Entry::Open(record, owner) = entry
                && *owner == id
            {
                *entry = if commit {
                    Entry::Visible(Arc::clone(record))
                } else {
                    Entry::Aborted
                };
            }
        }
        self.entries.push_back(Entry::Marker);
    }

    /// At most `max` visible records from `offset` on.
    pub(super) fn read(&self, offset: i64, max: usize) -> Result<Read, Error> {
        let end = self.last_stable_offset();
        if offset < self.start || offset > self.end() {
            let (start, end) = (self.start, self.end());
            return Err(Error::user(format!(
                "offset {offset} is out of range: the log holds {start} to {end}"
            )));
        }
        let mut read = Read {
            records: Vec::new(),
            next_offset: offset,
        };
        for entry in self.entries.iter().skip((offset - self.start) as usize) {
            if read.next_offset >= end || read.records.len() >= max {
                break;
            }
            if let Entry::Visible(record) = entry {
                read.records.push(Arc::clone(record));
            }
            read.next_offset += 1;
        }
        Ok(read)
    }

    pub(super) fn truncate_before(&mut self, offset: i64) {
        let until = offset.min(self.last_stable_offset());
        while self.start < until {
            self.entries.pop_front();
            self.start += 1;
        }
    }
}
