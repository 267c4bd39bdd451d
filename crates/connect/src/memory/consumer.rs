//! A member of a group on the in-memory broker. Dropping it without `close` is a crash: the group keeps counting on it
//! until its session is told to expire.

use super::group::Change;
use super::{Broker, MemberId, MemoryMembership, State, StoredRecord, TopicPartition};
use crate::{Committed, Consumer, Error, Event, Partition, RecordView, Records, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Records handed over by one poll.
const MAX_RECORDS: usize = 4096;

/// Reads what its group assigns to it.
#[derive(Debug)]
pub struct MemoryConsumer {
    broker: Broker,
    topics: Vec<String>,
    group: String,
    member: MemberId,
    generation: i32,
    /// Ours until released.
    held: BTreeSet<Partition>,
    /// Revoked and not yet released.
    going: BTreeSet<Partition>,
    /// Those that are delivered, and from where.
    positions: BTreeMap<Partition, i64>,
    /// Not delivered for now.
    paused: BTreeSet<Partition>,
    /// The partition read last: the others come first.
    last: Option<Partition>,
    /// Thrown out of the group; joins again once everything is released.
    lost: bool,
    closed: bool,
}

impl MemoryConsumer {
    pub(super) fn join(broker: Broker, topics: Vec<String>, group: String) -> Result<Self, Error> {
        let mut consumer = Self {
            broker,
            topics,
            group,
            member: 0,
            generation: -1,
            held: BTreeSet::new(),
            going: BTreeSet::new(),
            positions: BTreeMap::new(),
            paused: BTreeSet::new(),
            last: None,
            lost: false,
            closed: false,
        };
        let broker = consumer.broker.clone();
        let mut state = broker.state();
        for topic in &consumer.topics {
            state.partition_count(topic)?;
        }
        consumer.rejoin(&mut state);
        drop(state);
        Ok(consumer)
    }

    /// Who this is in its group.
    pub fn member(&self) -> MemberId {
        self.member
    }

    fn rejoin(&mut self, state: &mut State) {
        let counts = state.partition_counts();
        self.member = state
            .groups
            .entry(self.group.clone())
            .or_default()
            .join(&self.topics, &counts);
        self.lost = false;
    }

    fn named(&self, partition: Partition) -> Result<TopicPartition, Error> {
        let topic = self.topics.get(usize::from(partition.topic));
        let topic = topic.ok_or_else(|| Error::user(format!("no source topic number {}", partition.topic)))?;
        Ok((topic.clone(), partition.number))
    }

    fn numbered(&self, named: &[TopicPartition]) -> Vec<Partition> {
        let position = |topic: &String| self.topics.iter().position(|name| name == topic);
        let partition = |(topic, number): &TopicPartition| {
            position(topic).map(|topic| Partition {
                topic: topic as u16,
                number: *number,
            })
        };
        named.iter().filter_map(partition).collect()
    }

    /// News from the group, if there are any.
    fn change<R>(&mut self, state: &mut State) -> Option<Event<R>> {
        let group = state.groups.entry(self.group.clone()).or_default();
        let change = group.next_change(self.member);
        self.generation = group.known_generation(self.member).unwrap_or(self.generation);
        match change {
            Change::None => None,
            Change::Assigned(new) => {
                let new = self.numbered(&new);
                self.held.extend(&new);
                Some(Event::Assigned(new))
            }
            Change::Revoked(going) => {
                let partitions = self.numbered(&going);
                self.going.extend(&partitions);
                self.positions.retain(|partition, _| !partitions.contains(partition));
                Some(Event::Revoked {
                    partitions,
                    lost: false,
                })
            }
            Change::Unknown if self.held.is_empty() => {
                self.rejoin(state);
                self.change(state)
            }
            Change::Unknown if self.lost => None,
            Change::Unknown => {
                self.lost = true;
                self.positions.clear();
                self.going.clone_from(&self.held);
                Some(Event::Revoked {
                    partitions: self.held.iter().copied().collect(),
                    lost: true,
                })
            }
        }
    }

    fn read(&mut self, state: &State) -> Result<Option<MemoryRecords>, Error> {
        let after = self
            .positions
            .range(self.last.map_or(Partition::FIRST, Partition::following)..);
        let before = self
            .positions
            .range(..self.last.map_or(Partition::FIRST, Partition::following));
        let delivered = after
            .chain(before)
            .filter(|(partition, _)| !self.paused.contains(partition));
        for (&partition, &position) in delivered {
            let (topic, number) = self.named(partition)?;
            let read = state.log(&topic, number)?.read(position, MAX_RECORDS);
            let read = read.map_err(|error| Error {
                message: format!("{topic}/{number}: {error}"),
                ..error
            })?;
            if read.next_offset > position {
                self.positions.insert(partition, read.next_offset);
                self.last = Some(partition);
                return Ok(Some(MemoryRecords {
                    partition,
                    records: read.records,
                    next_offset: read.next_offset,
                }));
            }
        }
        Ok(None)
    }
}

impl Partition {
    const FIRST: Self = Self {
        topic: 0,
        number: i32::MIN,
    };

    fn following(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }
}

impl Consumer for MemoryConsumer {
    type Records = MemoryRecords;
    type Membership = MemoryMembership;

    /// Returns at once: nothing changes while the caller waits.
    fn poll(&mut self, _timeout: Duration) -> Result<Event<MemoryRecords>, Error> {
        let broker = self.broker.clone();
        let mut state = broker.state();
        if let Some(event) = self.change(&mut state) {
            return Ok(event);
        }
        Ok(self.read(&state)?.map_or(Event::Idle, Event::Records))
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, Error> {
        let mut state = self.broker.state();
        let mut found = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let named = self.named(*partition)?;
            if state.is_unstable(&self.group, &named) {
                let (topic, number) = named;
                return Err(Error::external(format!(
                    "the offset of {topic}/{number} is part of an open transaction"
                )));
            }
            found.push(
                state
                    .groups
                    .entry(self.group.clone())
                    .or_default()
                    .committed(&named)
                    .cloned(),
            );
        }
        Ok(found)
    }

    fn resolve(&mut self, partition: Partition, start: Start) -> Result<i64, Error> {
        let (topic, number) = self.named(partition)?;
        let state = self.broker.state();
        let log = state.log(&topic, number)?;
        Ok(match start {
            Start::Earliest => log.start(),
            Start::Latest => log.last_stable_offset(),
        })
    }

    fn resume_at(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        for (partition, offset) in offsets {
            if self.going.contains(partition) {
                continue;
            }
            if !self.held.contains(partition) {
                let (topic, number) = self.named(*partition)?;
                return Err(Error::external(format!(
                    "{topic}/{number} is not assigned to this member"
                )));
            }
            self.positions.insert(*partition, *offset);
            self.paused.remove(partition);
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.paused.extend(partitions);
        Ok(())
    }

    fn unpause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.paused.retain(|partition| !partitions.contains(partition));
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let named = partitions
            .iter()
            .map(|partition| self.named(*partition))
            .collect::<Result<Vec<_>, _>>()?;
        for partition in partitions {
            self.held.remove(partition);
            self.going.remove(partition);
            self.positions.remove(partition);
        }
        let mut state = self.broker.state();
        let counts = state.partition_counts();
        state
            .groups
            .entry(self.group.clone())
            .or_default()
            .release(self.member, &named, &counts);
        Ok(())
    }

    fn membership(&mut self) -> Result<MemoryMembership, Error> {
        Ok(MemoryMembership {
            group: self.group.clone(),
            topics: self.topics.clone(),
            member: self.member,
            generation: self.generation,
        })
    }

    fn cluster_id(&mut self) -> Result<String, Error> {
        Ok("memory".to_owned())
    }

    fn lag(&mut self, partition: Partition, position: i64) -> Option<i64> {
        let (topic, number) = self.named(partition).ok()?;
        let end = self.broker.state().log(&topic, number).ok()?.last_stable_offset();
        Some((end - position).max(0))
    }

    fn buffered_bytes(&mut self) -> u64 {
        0
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            let mut state = self.broker.state();
            let counts = state.partition_counts();
            state
                .groups
                .entry(self.group.clone())
                .or_default()
                .remove(self.member, &counts);
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        if !self.closed {
            self.broker
                .state()
                .groups
                .entry(self.group.clone())
                .or_default()
                .mark_crashed(self.member);
        }
    }
}

/// Records of one partition.
#[derive(Debug)]
pub struct MemoryRecords {
    pub(super) partition: Partition,
    pub(super) records: Vec<Arc<StoredRecord>>,
    pub(super) next_offset: i64,
}

impl Records for MemoryRecords {
    fn partition(&self) -> Partition {
        self.partition
    }

    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, at: usize) -> RecordView<'_> {
        let record = &self.records[at];
        RecordView {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
        }
    }

    fn headers(&self, at: usize, each: &mut dyn FnMut(&str, Option<&[u8]>)) {
        for (name, value) in &self.records[at].headers {
            each(name, value.as_deref());
        }
    }

    fn next_offset(&self) -> i64 {
        self.next_offset
    }

    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes()).sum()
    }
}
