//! A Kafka cluster in memory, truthful where it matters for exactly once: control markers take offsets, open and aborted
//! transactions are invisible to readers, offsets are committed with their metadata in the same transaction, members are
//! fenced by generation and producers by epoch, and (as on the real one) nobody checks that a member owns what it commits.
//!
//! No clock and no thread: nothing times out unless told so ([`Broker::expire_member`], [`Broker::expire_crashed_members`],
//! [`Broker::expire_transactions`]), and no call waits. One seed, one outcome.
//!
//! ```text
//! log          one partition: records, markers, which transaction each belongs to
//! group        members, generations, who owns what; committed offsets
//! transaction  producers by transactional id and their open transaction
//! consumer, follower, producer, connector    the traits of `stream` over a shared Broker
//! ```

mod connector;
mod consumer;
mod follower;
mod group;
mod log;
mod producer;
mod transaction;

#[cfg(test)]
mod tests;

pub use connector::MemoryConnector;
pub use consumer::{MemoryConsumer, MemoryRecords};
pub use follower::MemoryFollower;
pub use group::MemberId;
pub use log::StoredRecord;
pub use producer::{MemoryMembership, MemoryProducer};
pub use transaction::CommitOutcome;

use crate::partitioner::partition_of;
use crate::{Committed, Delivered, Error};
use group::Group;
use log::Log;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use transaction::Transactions;

/// Largest record taken, as on a broker that was not configured otherwise.
const MAX_RECORD_BYTES: usize = 1_048_576;

/// Topic and partition number.
type TopicPartition = (String, i32);

/// The cluster. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Broker(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    topics: BTreeMap<String, Vec<Log>>,
    groups: BTreeMap<String, Group>,
    transactions: Transactions,
    outcomes: VecDeque<CommitOutcome>,
    max_record_bytes: usize,
    keyless: usize,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker {
    /// A cluster without topics.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: Transactions::default(),
            outcomes: VecDeque::new(),
            max_record_bytes: MAX_RECORD_BYTES,
            keyless: 0,
        })))
    }

    /// Makes a topic; one that exists stays as it is.
    pub fn create_topic(&self, name: &str, partitions: u16) {
        let logs = || (0..partitions.max(1)).map(|_| Log::default()).collect();
        self.state().topics.entry(name.to_owned()).or_insert_with(logs);
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, topic: &str) -> Option<usize> {
        self.state().topics.get(topic).map(Vec::len)
    }

    /// Changes the size of the largest record taken (key, value and headers): 1 MiB by default.
    pub fn set_max_record_bytes(&self, bytes: usize) {
        self.state().max_record_bytes = bytes;
    }

    /// Writes a record outside of any transaction and returns its partition and offset. Without `partition` its key
    /// decides, or the next partition in turn if it has none.
    pub fn append(&self, topic: &str, partition: Option<i32>, record: Delivered<'_>) -> Result<(i32, i64), Error> {
        let mut state = self.state();
        let count = state.partition_count(topic)?;
        let number = match (partition, record.key) {
            (Some(number), _) => number,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => {
                state.keyless = state.keyless.wrapping_add(1);
                (state.keyless % count as usize) as i32
            }
        };
        let offset = state.log_mut(topic, number)?.append(record, None);
        Ok((number, offset))
    }

    /// Everything in a topic that a reader of committed records sees, partition by partition.
    pub fn read_committed(&self, topic: &str) -> Result<Vec<(i32, Arc<StoredRecord>)>, Error> {
        let state = self.state();
        let mut found = Vec::new();
        for number in 0..state.partition_count(topic)? {
            let log = state.log(topic, number)?;
            let read = log.read(log.start(), usize::MAX)?;
            found.extend(read.records.into_iter().map(|record| (number, record)));
        }
        Ok(found)
    }

    /// Committed records of a partition from `offset` on, and where to go on.
    pub fn read_committed_from(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(Vec<Arc<StoredRecord>>, i64), Error> {
        let state = self.state();
        let log = state.log(topic, partition)?;
        let read = log.read(offset, usize::MAX)?;
        Ok((read.records, read.next_offset))
    }

    /// Forgets what lies before `offset`, as retention does.
    pub fn truncate_before(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        self.state().log_mut(topic, partition)?.truncate_before(offset);
        Ok(())
    }

    /// What a reader of committed records sees as the end.
    pub fn last_stable_offset(&self, topic: &str, partition: i32) -> Result<i64, Error> {
        Ok(self.state().log(topic, partition)?.last_stable_offset())
    }

    /// What a group has committed.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        self.state()
            .groups
            .get(group)?
            .committed(&(topic.to_owned(), partition))
            .cloned()
    }

    /// Sets or removes what a group has committed, as an administrator's tool does.
    pub fn reset_offset(&self, group: &str, topic: &str, partition: i32, to: Option<Committed>) {
        self.state()
            .groups
            .entry(group.to_owned())
            .or_default()
            .set_committed((topic.to_owned(), partition), to);
    }

    /// Decides how the next commits end; in the order of the calls.
    pub fn fail_next_commit(&self, outcome: CommitOutcome) {
        self.state().outcomes.push_back(outcome);
    }

    /// Members of a group, the crashed ones included.
    pub fn members(&self, group: &str) -> Vec<MemberId> {
        self.state().groups.get(group).map(Group::members).unwrap_or_default()
    }

    /// Lets the session of one member time out, whether it crashed or only stands still.
    pub fn expire_member(&self, group: &str, member: MemberId) {
        let mut state = self.state();
        let counts = state.partition_counts();
        if let Some(group) = state.groups.get_mut(group) {
            group.remove(member, &counts);
        }
    }

    /// Lets the sessions of all members time out whose consumer was dropped without `close`.
    pub fn expire_crashed_members(&self) {
        let mut state = self.state();
        let counts = state.partition_counts();
        for group in state.groups.values_mut() {
            for member in group.crashed() {
                group.remove(member, &counts);
            }
        }
    }

    /// Lets all open transactions time out: they are aborted and their producers fenced.
    pub fn expire_transactions(&self) {
        self.state().expire_transactions();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn partition_count(&self, topic: &str) -> Result<i32, Error> {
        let logs = self
            .topics
            .get(topic)
            .ok_or_else(|| Error::user(format!("topic {topic} does not exist")))?;
        Ok(logs.len() as i32)
    }

    fn partition_counts(&self) -> BTreeMap<String, i32> {
        self.topics
            .iter()
            .map(|(name, logs)| (name.clone(), logs.len() as i32))
            .collect()
    }

    fn log(&self, topic: &str, partition: i32) -> Result<&Log, Error> {
        let log = self
            .topics
            .get(topic)
            .and_then(|logs| logs.get(usize::try_from(partition).ok()?));
        log.ok_or_else(|| Error::user(format!("topic {topic} has no partition {partition}")))
    }

    fn log_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Log, Error> {
        let log = self
            .topics
            .get_mut(topic)
            .and_then(|logs| logs.get_mut(usize::try_from(partition).ok()?));
        log.ok_or_else(|| Error::user(format!("topic {topic} has no partition {partition}")))
    }
}
