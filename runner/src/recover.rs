//! From what the group has committed back to running tasks. The committed metadata decides alone: nothing is guessed, and
//! what cannot be loaded stops the runner instead of starting from somewhere.

use std::sync::Arc;

use millrace_connect::store::{self, CheckpointStore, Place, Reference, StoreError};
use millrace_connect::{Committed, Consumer, Partition};
use millrace_engine::checkpoint::Checkpoint;
use millrace_engine::{Chain, Program};
use millrace_plan::{LostState, OperatorName, Plan, Start};

use crate::error::Error;
use crate::task::Task;

/// What recovery reads from.
pub struct Recovery<'a, S> {
    /// The compiled plan.
    pub program: &'a Arc<Program>,
    /// Where checkpoints are.
    pub store: &'a mut S,
    /// Which cluster the offsets belong to.
    pub cluster_id: &'a str,
}

impl<S: CheckpointStore> Recovery<'_, S> {
    /// Brings the tasks of `partitions` back to what was last committed for them.
    pub fn tasks<C: Consumer>(&mut self, consumer: &mut C, partitions: &[Partition]) -> Result<Vec<Task>, Error> {
        let committed = consumer.committed(partitions)?;
        let task = |(partition, committed): (&Partition, Option<Committed>)| match committed {
            None => self.begin(consumer, *partition),
            Some(committed) => self.resume(*partition, &committed),
        };
        partitions.iter().zip(committed).map(task).collect()
    }

    /// The group has never committed this partition: it starts where the spec says, and with the first commit that
    /// becomes a fact.
    fn begin<C: Consumer>(&mut self, consumer: &mut C, partition: Partition) -> Result<Task, Error> {
        let stage = self.program.plan().stage_reading(partition.topic);
        let start = match self.program.plan().start_of(partition.topic) {
            Start::Earliest => millrace_connect::Start::Earliest,
            Start::Latest => millrace_connect::Start::Latest,
        };
        let place = place(self.program.plan(), partition);
        let lost = self
            .store
            .was_committed(&place)
            .map_err(|why| Error::Stop(why.to_string()))?;
        if lost {
            return Err(Error::Stop(format!(
                "partition {} of topic `{}`: group `{}` has no offset, but results were committed before: offsets expire \
                 when a group stands empty for long, or were deleted. Starting over would count again. Give the pipeline \
                 a new `stateId` to start afresh",
                place.partition,
                place.topic,
                self.program.plan().source.group
            )));
        }
        let position = consumer.resolve(partition, start)?;
        tracing::info!(topic = %place.topic, partition = place.partition, offset = position, "starting a partition");
        Ok(Task::fresh(place, self.program, stage, position))
    }

    fn resume(&mut self, partition: Partition, committed: &Committed) -> Result<Task, Error> {
        let plan = self.program.plan();
        let place = place(plan, partition);
        let stage = plan.stage_reading(partition.topic);
        let at = format!(
            "partition {} of topic `{}` at offset {}",
            place.partition, place.topic, committed.offset
        );
        let reference = match committed.metadata.parse::<Reference>() {
            Ok(reference) => reference,
            // Stateless work may start anywhere that a person sets the offset to.
            Err(_) if !plan.remembers(stage) => Reference::Stateless,
            Err(why) => {
                return Err(Error::Stop(format!(
                    "{at}: {why}. State would not match the offset. Give the pipeline a new `stateId` to start afresh, \
                     or restore the group's offsets"
                )));
            }
        };
        let mut task = Task::fresh(place, self.program, stage, committed.offset);
        if let Reference::Checkpoint(checkpoint) = &reference {
            // What is dropped must leave the committed metadata soon, as long as the spec allows to drop it.
            task.changed = match self.is_out_of_reach(&task.place)? {
                true => self.do_without(checkpoint, &at)?,
                false => self.load(&mut task, checkpoint, &at)?,
            };
        }
        tracing::info!(topic = %task.place.topic, partition = task.place.partition, offset = committed.offset, %reference, "resuming a partition");
        task.committed = Some((committed.offset, reference));
        Ok(task)
    }

    /// Whether the plan remembers nothing and its directory has never seen a commit: a pipeline that became stateless no
    /// longer has its volume.
    fn is_out_of_reach(&self, place: &Place) -> Result<bool, Error> {
        if self.program.plan().is_stateful() {
            return Ok(false);
        }
        let was_committed = self.store.was_committed(place);
        was_committed
            .map(|was| !was)
            .map_err(|why| Error::Stop(why.to_string()))
    }

    /// Goes on without a checkpoint that is out of reach, if the spec allows to drop state at all. Whose state it is can only
    /// be told by who still has the volume.
    fn do_without(&self, checkpoint: &store::Checkpoint, at: &str) -> Result<bool, Error> {
        let plan = self.program.plan();
        if plan.droppable.is_empty() {
            return Err(Error::Stop(format!(
                "{at}: there is state in checkpoint {}, and the spec remembers nothing. Take the change of the spec back, or \
                 let the state be thrown away: name its operators in `onStateChange.drop`",
                checkpoint.id
            )));
        }
        let operators: Vec<&str> = plan.droppable.iter().map(OperatorName::as_str).collect();
        tracing::warn!(checkpoint = %checkpoint.id, operators = operators.join(", "), "{at}: state is thrown away, as the spec allows");
        Ok(true)
    }

    /// Loads a checkpoint into a task; returns whether some of it was thrown away.
    fn load(&mut self, task: &mut Task, checkpoint: &store::Checkpoint, at: &str) -> Result<bool, Error> {
        let loaded = self.store.load(&task.place, checkpoint);
        let bytes = loaded.map_err(|why| unusable(at, &why))?;
        let dropped = self
            .restore(&mut task.chain, &task.place, task.position, &bytes)
            .map_err(|why| Error::Stop(format!("{at}: checkpoint {}: {why}", checkpoint.id)))?;
        for LostState { operator, why } in &dropped {
            tracing::warn!(operator, why, "{at}: state is thrown away, as the spec allows");
        }
        Ok(!dropped.is_empty())
    }

    fn restore(&self, chain: &mut Chain, place: &Place, offset: i64, bytes: &[u8]) -> Result<Vec<LostState>, String> {
        let checkpoint = Checkpoint::decode(bytes).map_err(|why| why.to_string())?;
        let found = &checkpoint.identity;
        let same = [
            ("state id", found.state_id.as_str(), place.state_id.as_str()),
            ("cluster", found.cluster_id.as_str(), self.cluster_id),
            ("topic", found.topic.as_str(), place.topic.as_str()),
            ("partition", &found.partition.to_string(), &place.partition.to_string()),
            ("offset", &found.offset.to_string(), &offset.to_string()),
        ];
        for (what, found, expected) in same {
            if found != expected {
                return Err(format!("it belongs to {what} `{found}`, not to `{expected}`"));
            }
        }
        chain.load(checkpoint.newest_event_time, &checkpoint.sections)
    }
}

/// Where a partition's checkpoints are.
pub fn place(plan: &Plan, partition: Partition) -> Place {
    Place {
        state_id: plan.state_id.clone(),
        topic: plan.topics().swap_remove(partition.topic as usize),
        partition: partition.number.unsigned_abs(),
    }
}

fn unusable(at: &str, why: &StoreError) -> Error {
    Error::Stop(format!(
        "{at}: {why}. Bring the volume back, or give the pipeline a new `stateId` to start afresh"
    ))
}
