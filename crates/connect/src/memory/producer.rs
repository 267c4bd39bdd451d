//! A transactional producer on the in-memory broker. Dropping it with an open transaction leaves that open, as a crash
//! does.

use super::{Broker, CommitOutcome, MemberId, State, TopicPartition};
use crate::partitioner::partition_of;
use crate::{CommitError, Committed, Delivered, Error, Position, Producer, SendError};

/// What a broker takes as metadata of one offset.
const MAX_METADATA: usize = 4096;

/// Proof of membership: who, in which generation.
#[derive(Clone, Debug)]
pub struct MemoryMembership {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    pub(super) member: MemberId,
    pub(super) generation: i32,
}

/// Writes in transactions.
#[derive(Debug)]
pub struct MemoryProducer {
    broker: Broker,
    name: String,
    epoch: u32,
    topics: Vec<(String, i32)>,
    in_transaction: bool,
    /// A commit ended without a known outcome: only a new producer can tell.
    is_spent: bool,
}

impl MemoryProducer {
    pub(super) fn open(broker: Broker, name: String, topics: Vec<String>) -> Result<Self, Error> {
        let mut state = broker.state();
        let counted = |topic: String| state.partition_count(&topic).map(|count| (topic, count));
        let topics = topics.into_iter().map(counted).collect::<Result<_, _>>()?;
        let epoch = state.open_producer(&name);
        drop(state);
        Ok(Self {
            broker,
            name,
            epoch,
            topics,
            in_transaction: false,
            is_spent: false,
        })
    }

    fn check(&self, state: &State) -> Result<(), Error> {
        if self.is_spent {
            return Err(Error::external(format!("producer {} must be replaced", self.name)));
        }
        if !state.is_current(&self.name, self.epoch) {
            return Err(Error::fenced(format!(
                "producer {} was replaced by a newer one",
                self.name
            )));
        }
        Ok(())
    }

    /// Checks what the group's coordinator checks, and adds the offsets to the transaction.
    fn add_positions(&self, state: &mut State, positions: &[Position], who: &MemoryMembership) -> Result<(), String> {
        let offsets = positions
            .iter()
            .map(|position| to_commit(position, who))
            .collect::<Result<Vec<_>, _>>()?;
        if !offsets.is_empty() {
            state
                .groups
                .entry(who.group.clone())
                .or_default()
                .check(who.member, who.generation)?;
            state.add_offsets(&self.name, &who.group, offsets);
        }
        Ok(())
    }
}

fn to_commit(position: &Position, who: &MemoryMembership) -> Result<(TopicPartition, Committed), String> {
    if position.metadata.len() > MAX_METADATA {
        return Err(format!(
            "offset metadata of {} bytes is too large",
            position.metadata.len()
        ));
    }
    let topic = who.topics.get(usize::from(position.partition.topic));
    let topic = topic.ok_or_else(|| format!("no source topic number {}", position.partition.topic))?;
    let committed = Committed {
        offset: position.offset,
        metadata: position.metadata.clone(),
    };
    Ok(((topic.clone(), position.partition.number), committed))
}

impl Producer for MemoryProducer {
    type Membership = MemoryMembership;

    fn send(&mut self, topic: u16, fallback: i32, record: Delivered<'_>) -> Result<(), SendError> {
        let mut state = self.broker.state();
        self.check(&state)?;
        let (name, partitions) = self
            .topics
            .get(usize::from(topic))
            .ok_or_else(|| Error::user(format!("no topic number {topic} to write to")))?;
        let bytes = record.bytes();
        if bytes > state.max_record_bytes {
            return Err(SendError::TooLarge {
                topic: name.clone(),
                bytes,
                limit: state.max_record_bytes,
            });
        }
        let number = record
            .key
            .map_or(fallback.rem_euclid(*partitions), |key| partition_of(key, *partitions));
        let transaction = state.transaction(&self.name);
        state.add_partition(&self.name, (name, number));
        state.log_mut(name, number)?.append(record, Some(transaction));
        self.in_transaction = true;
        Ok(())
    }

    fn commit(&mut self, positions: &[Position], membership: &MemoryMembership) -> Result<(), CommitError> {
        let mut state = self.broker.state();
        match self.check(&state) {
            Err(error) if self.is_spent => return Err(CommitError::Indefinite(error.message)),
            Err(error) => return Err(CommitError::Fenced(error.message)),
            Ok(()) => {}
        }
        state.transaction(&self.name);
        self.in_transaction = false;
        if let Err(refusal) = self.add_positions(&mut state, positions, membership) {
            state.end_open(&self.name, false);
            return Err(CommitError::Aborted(refusal));
        }
        let outcome = state.outcomes.pop_front();
        match outcome {
            None => {
                state.end_open(&self.name, true);
                return Ok(());
            }
            Some(CommitOutcome::Aborted) => {
                state.end_open(&self.name, false);
                return Err(CommitError::Aborted("told to fail".to_owned()));
            }
            Some(CommitOutcome::AfterIndefinite) => state.end_open(&self.name, true),
            Some(CommitOutcome::BeforeIndefinite) => {}
        }
        self.is_spent = true;
        Err(CommitError::Indefinite("told to fail".to_owned()))
    }

    fn abort(&mut self) -> Result<(), Error> {
        let mut state = self.broker.state();
        self.check(&state)?;
        state.end_open(&self.name, false);
        self.in_transaction = false;
        Ok(())
    }

    fn has_open_transaction(&self) -> bool {
        self.in_transaction
    }

    fn poll(&mut self) -> Result<(), Error> {
        self.check(&self.broker.state())
    }

    fn buffered_bytes(&mut self) -> u64 {
        0
    }
}
