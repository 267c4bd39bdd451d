//! What a runner says of itself at `GET /status` of its admin port: read by the controller, which makes the object's status
//! of it, and by `kubectl millrace status`. Plain data, and what follows from it: no network, no clock.
//!
//! New fields may be added; readers ignore what they do not know. Numbers that are not known are left out, never zero.

mod slowest;

pub use slowest::{Slowest, slowest};

use serde::{Deserialize, Serialize};

/// Path on the admin port.
pub const PATH: &str = "/status";

/// One runner, at one moment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The runner's name: its pod's.
    pub runner: String,
    /// Milliseconds since the epoch at which all of this was noted: at most about a second ago while the runner works, longer
    /// while it waits for something. Two reports make a rate only by the difference of this.
    #[serde(default)]
    pub at: i64,
    /// Milliseconds since the epoch at which the process began. Counters begin at zero then.
    pub started_at: i64,
    /// Records read.
    pub read: u64,
    /// Records written to the sinks, each counted once a sink.
    pub written: u64,
    /// Records that came after their window was closed.
    pub late: u64,
    /// Records written to the dead-letter topic.
    pub dead: u64,
    /// Commits that failed and were done again.
    pub failed_commits: u64,
    /// Milliseconds since the epoch of the latest acknowledged commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<i64>,
    /// Milliseconds since the epoch since which processed records wait for a commit. None: nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncommitted_since: Option<i64>,
    /// What last went wrong, while it lasts: a disk that refuses, a broker that is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The partitions that it has, by topic and number.
    #[serde(default)]
    pub partitions: Vec<PartitionReport>,
}

/// Something that is wrong now.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// One CamelCase word for programs: `BrokerUnreachable`, `CommitFailed`, `CheckpointFailed`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A partition by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct PartitionName {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
}

/// One partition of a runner.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PartitionReport {
    /// Source topic, or the internal topic of a further stage.
    pub topic: String,
    /// Partition of that topic.
    pub partition: i32,
    /// Which stage of the plan reads it; 0 reads the source.
    #[serde(default, skip_serializing_if = "is_first")]
    pub stage: u16,
    /// Next offset to read.
    pub position: i64,
    /// Records read since the runner was given the partition.
    pub read: u64,
    /// Committed records of the partition that were not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<i64>,
    /// Watermark: milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// Which partition of the stage before holds that watermark back. None: it has its watermark from its own records, or
    /// nobody is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back_by: Option<PartitionName>,
    /// Whether the runner does not fetch it for now, because it is too far ahead of its other partitions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Next offset to read as last committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<i64>,
    /// Milliseconds since the epoch at which that commit was acknowledged to this runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<i64>,
    /// Name of the checkpoint that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Bytes of that checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_bytes: Option<u64>,
}

fn is_first(stage: &u16) -> bool {
    *stage == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_left_out_and_what_is_new_is_ignored() {
        let report = Report {
            runner: "a".to_owned(),
            partitions: vec![PartitionReport::default()],
            ..Report::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert!(
            !text.contains("null") && !text.contains("lagRecords") && !text.contains("trouble"),
            "{text}"
        );
        let newer = text.replacen('{', r#"{"toCome": 1, "#, 1);
        assert_eq!(serde_json::from_str::<Report>(&newer).unwrap(), report);
    }
}
