//! Which partitions are ours and in which state. No call leaves this file.

use crate::{Error, Partition};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// State of a partition that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Assigned; not fetched before somebody says from where.
    Waiting,
    /// Fetched and delivered.
    Delivered,
    /// Revoked; not delivered any more, but ours until released.
    Going,
}

#[derive(Debug)]
struct Held {
    state: State,
    /// Where the end of the log was last met.
    seen_end: Option<i64>,
}

/// A revocation that was announced and not yet answered.
#[derive(Debug)]
pub(super) struct Revocation {
    /// All that were named.
    pub(super) partitions: Vec<Partition>,
    /// Those not yet released.
    pub(super) left: BTreeSet<Partition>,
    /// The group gave up on us: forget the whole assignment.
    pub(super) everything: bool,
}

/// The partitions of one member.
#[derive(Debug)]
pub(super) struct Assignment {
    topics: Arc<[String]>,
    held: BTreeMap<Partition, Held>,
}

impl Assignment {
    pub(super) fn new(topics: Arc<[String]>) -> Self {
        Self { topics, held: BTreeMap::new() }
    }

    pub(super) fn all(&self) -> Vec<Partition> {
        self.held.keys().copied().collect()
    }

    pub(super) fn state(&self, partition: Partition) -> Option<State> {
        self.held.get(&partition).map(|held| held.state)
    }

    pub(super) fn set(&mut self, partition: Partition, state: State) {
        self.held.entry(partition).or_insert(Held { state, seen_end: None }).state = state;
    }

    pub(super) fn remove(&mut self, partition: Partition) {
        self.held.remove(&partition);
    }

    pub(super) fn saw_end(&mut self, partition: Partition, end: i64) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.seen_end = Some(end);
        }
    }

    pub(super) fn seen_end(&self, partition: Partition) -> Option<i64> {
        self.held.get(&partition)?.seen_end
    }

    /// The partition that Kafka calls so, if its topic is one of ours.
    pub(super) fn numbered(&self, topic: &str, number: i32) -> Option<Partition> {
        let position = self.topics.iter().position(|name| name == topic)?;
        Some(Partition { topic: position as u16, number })
    }

    pub(super) fn topic(&self, partition: Partition) -> Result<&str, Error> {
        let name = self.topics.get(usize::from(partition.topic));
        name.map(String::as_str).ok_or_else(|| Error::user(format!("no source topic number {}", partition.topic)))
    }

    pub(super) fn list(&self, partitions: &[Partition]) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(self.topic(*partition)?, partition.number);
        }
        Ok(list)
    }

    pub(super) fn list_at(&self, offsets: &[(Partition, i64)]) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let topic = self.topic(*partition)?;
            let added = list.add_partition_offset(topic, partition.number, Offset::Offset(*offset));
            added.map_err(|_| Error::user(format!("{topic}/{}: {offset} is not an offset", partition.number)))?;
        }
        Ok(list)
    }
}
