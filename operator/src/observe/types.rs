//! What is asked, and what was found out.

use std::sync::Arc;
use std::time::Instant;

use millrace_plan::Plan;

use crate::key::ObjectKey;

/// A pipeline to observe.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which object.
    pub key: ObjectKey,
    /// Its `metadata.uid`: a new object of the same name is another subject.
    pub uid: String,
    /// What its runners execute (or would, if there were any).
    pub plan: Arc<Plan>,
    /// Where its runners answer.
    pub runners: Vec<RunnerAddress>,
}

/// Where a runner answers `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerAddress {
    /// The pod's name.
    pub pod: String,
    /// `ip:port`.
    pub address: String,
}

/// What was found out of one pipeline.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What the broker said last; None: not asked yet.
    pub source: Option<SourceState>,
    /// How far behind. None: unknown.
    pub lag: Option<Lag>,
    /// When `lag` was measured.
    pub lag_at: Option<Instant>,
    /// Partitions of all source topics together.
    pub partitions: Option<u32>,
    /// How much flows; None: no two answers of a runner to compare yet.
    pub throughput: Option<Throughput>,
    /// Milliseconds since the epoch: the oldest watermark of any partition of the last stage.
    pub watermark: Option<i64>,
    /// The partition that holds it back.
    pub held_back_by: Option<millrace_report::PartitionName>,
    /// Milliseconds since the epoch of the latest commit of any runner.
    pub committed_at: Option<i64>,
    /// Milliseconds since the epoch since which a runner has waited to commit, where one does.
    pub uncommitted_since: Option<i64>,
    /// Bytes of the newest checkpoints of all partitions.
    pub checkpoint_bytes: Option<i64>,
    /// How much the runners have counted since the object was first observed by this process: only increases.
    pub late: u64,
    /// The same of dead letters.
    pub dead: u64,
    /// What a runner says is wrong.
    pub trouble: Option<millrace_report::Trouble>,
}

/// Whether the source can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// The broker answers and the topics are there.
    Reachable,
    /// No broker answers.
    Unreachable(String),
    /// A topic does not exist.
    TopicMissing(String),
    /// The operator cannot ask: the broker wants credentials, which it does not read. Runners say the lag.
    NotAsked,
    /// The committed offset lies before the oldest record held: records were deleted unread.
    RecordsLost(String),
}

/// How far behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Committed records not processed, over all partitions.
    pub records: i64,
    /// Seconds since the oldest of them was written; 0 at no lag; None: not known.
    pub seconds: Option<i64>,
}

/// How much flows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Records read a second.
    pub read: f64,
    /// Records written a second.
    pub written: f64,
}
