//! Checkpoint first, then one transaction with results, offsets and the checkpoint's name. The types hold the order: a
//! position to commit can only be made from what the store says is durable.

use std::time::Instant;

use millrace_connect::store::{CheckpointStore, Reference, StoreError};
use millrace_connect::{CommitError, Partition, Position, Producer};
use millrace_engine::checkpoint::{Checkpoint, Identity};

use crate::task::Task;

/// A partition whose state, up to its position, is durable.
#[derive(Debug)]
pub struct Checkpointed {
    partition: Partition,
    offset: i64,
    reference: Reference,
    bytes: usize,
}

impl Checkpointed {
    /// Makes a task's state durable.
    pub fn save<S: CheckpointStore>(
        partition: Partition,
        task: &Task,
        cluster_id: &str,
        store: &mut S,
    ) -> Result<Self, StoreError> {
        let sections = task.chain.save();
        if sections.is_empty() {
            return Ok(Self {
                partition,
                offset: task.position,
                reference: Reference::Stateless,
                bytes: 0,
            });
        }
        let identity = Identity {
            state_id: task.place.state_id.as_str().to_owned(),
            cluster_id: cluster_id.to_owned(),
            topic: task.place.topic.as_str().to_owned(),
            partition: partition.number,
            offset: task.position,
        };
        let bytes = Checkpoint {
            identity,
            newest_event_time: task.chain.newest_event_time(),
            sections,
        }
        .encode();
        let saved = store.save(&task.place, task.position, &bytes)?;
        let reference = Reference::Checkpoint(saved.checkpoint().clone());
        Ok(Self {
            partition,
            offset: task.position,
            reference,
            bytes: bytes.len(),
        })
    }

    /// Bytes written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the commit made of it, once the commit was acknowledged.
    fn acknowledged(self) -> (Partition, i64, Reference) {
        (self.partition, self.offset, self.reference)
    }
}

/// What an acknowledged commit made permanent.
#[derive(Debug)]
pub struct Acknowledged {
    /// For each partition its committed offset and checkpoint.
    pub positions: Vec<(Partition, i64, Reference)>,
    /// When it was acknowledged.
    pub at: Instant,
}

/// Commits the open transaction together with the positions of what is durable.
pub fn commit<P: Producer>(
    producer: &mut P,
    durable: Vec<Checkpointed>,
    membership: &P::Membership,
) -> Result<Acknowledged, CommitError> {
    let positions: Vec<Position> = durable
        .iter()
        .map(|task| Position {
            partition: task.partition,
            offset: task.offset,
            metadata: task.reference.to_string(),
        })
        .collect();
    producer.commit(&positions, membership)?;
    Ok(Acknowledged {
        positions: durable.into_iter().map(Checkpointed::acknowledged).collect(),
        at: Instant::now(),
    })
}
