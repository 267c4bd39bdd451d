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
    /// An error was met: not delivered until started again.
    Failed,
    /// Revoked; not delivered any more, but ours until released.
    Going,
}

#[derive(Debug)]
struct Held {
    state: State,
    /// Offset behind everything taken from the queue. Whatever is below it was taken before.
    next: i64,
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
        Self {
            topics,
            held: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Partition> {
        self.held.keys().copied().collect()
    }

    pub(super) fn state(&self, partition: Partition) -> Option<State> {
        self.held.get(&partition).map(|held| held.state)
    }

    pub(super) fn set(&mut self, partition: Partition, state: State) {
        self.held.entry(partition).or_insert(Held { state, next: 0 }).state = state;
    }

    /// Notes that a partition is delivered from `offset` on.
    pub(super) fn start(&mut self, partition: Partition, offset: i64) {
        self.held.insert(
            partition,
            Held {
                state: State::Delivered,
                next: offset,
            },
        );
    }

    /// The next offset of a partition, to be read and moved; None unless it is delivered.
    pub(super) fn next(&mut self, partition: Partition) -> Option<&mut i64> {
        let held = self.held.get_mut(&partition)?;
        (held.state == State::Delivered).then_some(&mut held.next)
    }

    /// Those that are delivered.
    pub(super) fn delivered(&self) -> Vec<Partition> {
        let delivered = self.held.iter().filter(|(_, held)| held.state == State::Delivered);
        delivered.map(|(partition, _)| *partition).collect()
    }

    pub(super) fn remove(&mut self, partition: Partition) {
        self.held.remove(&partition);
    }

    /// The partition that Kafka calls so, if its topic is one of ours.
    pub(super) fn numbered(&self, topic: &str, number: i32) -> Option<Partition> {
        let position = self.topics.iter().position(|name| name == topic)?;
        Some(Partition {
            topic: position as u16,
            number,
        })
    }

    pub(super) fn topic(&self, partition: Partition) -> Result<&str, Error> {
        let name = self.topics.get(usize::from(partition.topic));
        name.map(String::as_str)
            .ok_or_else(|| Error::user(format!("no source topic number {}", partition.topic)))
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
