//! What a worker notes about itself: what became permanent, and the gauges. Decides nothing.

use std::time::Instant;

use millrace_connect::store::CheckpointStore;
use millrace_connect::{Connector, Consumer, Partition, Producer};

use millrace_report::PartitionName;

use super::Worker;
use crate::commit::Acknowledged;
use crate::status::{self, Committed};
use crate::task::Task;

/// Commits after which records of internal topics are deleted.
const DELETE_EVERY: u32 = 16;

impl<C: Connector, S: CheckpointStore> Worker<C, S> {
    pub(super) fn acknowledge(&mut self, acknowledged: Acknowledged) {
        if let Some(since) = self.uncommitted_since.take() {
            self.metrics
                .commit_latency_seconds
                .observe((acknowledged.at - since).as_secs_f64());
        }
        self.last_commit = Some(acknowledged.at);
        self.status.well();
        let committed_at = Some(status::now());
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(DELETE_EVERY) {
            self.delete_read(&acknowledged);
        }
        let keep = self.program.plan().checkpoint_retain;
        for (partition, offset, reference) in acknowledged.positions {
            let Some(task) = self.tasks.get_mut(&partition) else {
                continue;
            };
            task.committed = Some((offset, reference));
            task.committed_at = committed_at;
            task.changed = false;
            if let Some(checkpoint) = task.committed_checkpoint()
                && let Err(error) = self.store.retain(&task.place, checkpoint, keep)
            {
                tracing::warn!(%error, "old checkpoints stay");
            }
        }
    }

    /// Internal topics are read by this pipeline alone: what is committed is not needed any more.
    fn delete_read(&self, acknowledged: &Acknowledged) {
        let is_internal = |partition: &Partition| self.program.plan().is_internal(partition.topic);
        let positions = acknowledged
            .positions
            .iter()
            .map(|(partition, offset, _)| (*partition, *offset));
        let read: Vec<_> = positions.filter(|(partition, _)| is_internal(partition)).collect();
        if !read.is_empty() {
            self.connector.delete_before(&read);
        }
    }

    /// Which partition of the stages before a task waits for.
    fn held_back_by(&self, task: &Task) -> Option<PartitionName> {
        let plan = self.program.plan();
        let cut = plan.cut_before(task.chain.stage())?;
        let topics = (0..).zip(plan.topics()).zip(&self.partitions);
        let before = topics.filter(|((topic, _), _)| plan.cut_behind(plan.stage_reading(*topic)) == Some(cut));
        let all =
            before.flat_map(|((_, name), count)| (0..*count as i32).map(move |number| (name.to_string(), number)));
        let (topic, partition) = task.chain.held_back_by(all)?;
        Some(PartitionName { topic, partition })
    }

    /// Brings the gauges and the status up to date.
    pub(super) fn observe(&mut self) {
        self.next_observation = Instant::now() + status::EVERY;
        let metrics = &self.metrics;
        let now = status::now();
        let (mut groups, mut bytes) = (0, 0);
        let mut partitions = Vec::with_capacity(self.tasks.len());
        for (partition, task) in &self.tasks {
            let size = task.chain.state_size();
            groups += size.groups;
            bytes += size.bytes;
            let lag = self.consumer.lag(*partition, task.position);
            let delay = task
                .chain
                .watermark()
                .map(|watermark| (now - watermark) as f64 / 1000.0);
            metrics.partition(task.place.topic.as_str(), partition.number, lag, delay);
            let held_back_by = self.held_back_by(task);
            partitions.push(status::partition(task, partition.number, lag, held_back_by));
        }
        let slowest = millrace_report::slowest(partitions.iter(), self.program.plan().stages());
        metrics.held_back_by(slowest.and_then(|slowest| slowest.held_back_by).as_ref());
        for (position, _) in self.program.plan().table_topics() {
            metrics.table_rows(position, self.program.table_rows(position).unwrap_or_default());
        }
        metrics.state_groups.set(groups as f64);
        metrics.state_bytes.set(bytes as f64);
        metrics.partitions.set(self.tasks.len() as f64);
        metrics.source_buffer.set(self.consumer.buffered_bytes() as f64);
        metrics.sink_buffer.set(self.producer.buffered_bytes() as f64);
        metrics
            .checkpoint_age_seconds
            .set(self.last_commit.map_or(0.0, |at| at.elapsed().as_secs_f64()));
        let ago = |at: Instant| now - at.elapsed().as_millis() as i64;
        let committed = Committed {
            at: self.last_commit.map(ago),
            waiting_since: self.uncommitted_since.map(ago),
        };
        self.status.publish(metrics, committed, partitions);
    }
}
