//! What a runner says of itself at `/status`. The worker publishes about once a second; whoever asks reads what was
//! published last and never waits for the worker.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_connect::store::Reference;
use millrace_report::{PartitionName, PartitionReport, Report, Trouble};

use crate::metrics::Metrics;
use crate::task::Task;

/// How often a worker publishes.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// What is wrong now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The broker is away.
    BrokerUnreachable,
    /// A commit failed; its work is done again.
    CommitFailed,
    /// The disk refused a checkpoint.
    CheckpointFailed,
}

impl TroubleKind {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokerUnreachable => "BrokerUnreachable",
            Self::CommitFailed => "CommitFailed",
            Self::CheckpointFailed => "CheckpointFailed",
        }
    }
}

/// The latest report.
#[derive(Debug)]
pub struct Status {
    report: Mutex<Report>,
}

impl Status {
    /// Nothing is known yet but who runs since when.
    pub fn new(runner: &str) -> Self {
        let now = now();
        let report = Report {
            runner: runner.to_owned(),
            at: now,
            started_at: now,
            ..Report::default()
        };
        Self {
            report: Mutex::new(report),
        }
    }

    /// What was published last.
    pub fn report(&self) -> Report {
        self.report_mut().clone()
    }

    /// Says that something is wrong, until [`Self::well`].
    pub fn trouble(&self, kind: TroubleKind, message: &str) {
        self.report_mut().trouble = Some(Trouble {
            reason: kind.as_str().to_owned(),
            message: message.to_owned(),
        });
    }

    /// Nothing is wrong, or not any more.
    pub fn well(&self) {
        self.report_mut().trouble = None;
    }

    /// The worker is gone, and its partitions with it.
    pub fn no_partitions(&self) {
        self.report_mut().partitions.clear();
    }

    /// Whether nothing is wrong, as far as is known.
    pub fn is_well(&self) -> bool {
        self.report_mut().trouble.is_none()
    }

    /// Publishes what is counted and where each partition stands.
    pub(crate) fn publish(&self, metrics: &Metrics, committed: Committed, partitions: Vec<PartitionReport>) {
        let mut report = self.report_mut();
        report.at = now();
        report.read = metrics.read.get();
        report.written = metrics.written_to_sinks();
        report.late = metrics.late.total();
        report.dead = metrics.dead.total();
        report.failed_commits = metrics.failed_commits.get();
        report.committed_at = committed.at.or(report.committed_at);
        report.uncommitted_since = committed.waiting_since;
        report.partitions = partitions;
    }

    fn report_mut(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Times of commits, in milliseconds since the epoch.
pub(crate) struct Committed {
    /// The latest acknowledged one of this worker.
    pub(crate) at: Option<i64>,
    /// Since when processed records wait for the next.
    pub(crate) waiting_since: Option<i64>,
}

/// Where one partition stands.
pub(crate) fn partition(
    task: &Task,
    number: i32,
    lag: Option<i64>,
    held_back_by: Option<PartitionName>,
) -> PartitionReport {
    let checkpoint = task.committed_checkpoint();
    PartitionReport {
        topic: task.place.topic.as_str().to_owned(),
        partition: number,
        stage: u16::try_from(task.chain.stage()).unwrap_or(u16::MAX),
        position: task.position,
        read: task.read,
        lag_records: lag,
        watermark: task.chain.watermark(),
        held_back_by,
        paused: task.paused,
        committed: task.committed.as_ref().map(|(offset, _): &(i64, Reference)| *offset),
        committed_at: task.committed_at,
        checkpoint: checkpoint.map(|checkpoint| checkpoint.id.as_str().to_owned()),
        checkpoint_bytes: checkpoint.map(|checkpoint| checkpoint.length),
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
