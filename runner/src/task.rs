//! One stage on one input partition: its chain, and how far it has come.

use std::sync::Arc;
use std::time::Instant;

use millrace_connect::store::{Checkpoint, Place, Reference};
use millrace_engine::{Chain, Program};

/// One partition's work.
#[derive(Debug)]
pub struct Task {
    /// Where its checkpoints are.
    pub place: Place,
    /// Operators and their state.
    pub chain: Chain,
    /// Next offset to read.
    pub position: i64,
    /// What was last committed; None before the first commit of the group.
    pub committed: Option<(i64, Reference)>,
    /// Whether state changed since then.
    pub changed: bool,
    /// Milliseconds since the epoch at which the latest commit was acknowledged to this runner.
    pub committed_at: Option<i64>,
    /// When records were last read; at first, when the runner was given the partition.
    pub read_at: Instant,
    /// Whether it is not fetched for now: it is too far ahead of others.
    pub paused: bool,
    /// What the next stage was last told of event time here: watermark, and whether idle.
    pub said: Option<(Option<i64>, bool)>,
    /// Records read since the runner was given the partition.
    pub read: u64,
}

impl Task {
    /// A task that has seen nothing and starts at `position`.
    pub fn fresh(place: Place, program: &Arc<Program>, stage: usize, position: i64) -> Self {
        Self {
            place,
            chain: Chain::of_stage(Arc::clone(program), stage),
            position,
            committed: None,
            changed: false,
            committed_at: None,
            read_at: Instant::now(),
            paused: false,
            said: None,
            read: 0,
        }
    }

    /// Whether a commit would change anything.
    pub fn needs_commit(&self) -> bool {
        self.changed
            || self
                .committed
                .as_ref()
                .is_none_or(|(offset, _)| *offset != self.position)
    }

    /// The checkpoint that the latest commit names.
    pub fn committed_checkpoint(&self) -> Option<&Checkpoint> {
        match &self.committed {
            Some((_, Reference::Checkpoint(checkpoint))) => Some(checkpoint),
            _ => None,
        }
    }
}
