//! What the controller says of an object. Numbers that are not known are left out, never zero.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the controller observed. Written on change, at most every ten seconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    /// `metadata.generation` of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Progressing`, `Degraded`, `CaughtUp`, `CheckpointHealthy`, `SourceReachable` and `Suspended`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Runners that exist.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub replicas: i32,
    /// Runners that have joined the consumer group.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub ready_replicas: i32,
    /// Label selector of the runners' pods, for the scale subresource.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub selector: String,
    /// Partitions of all source topics together: more runners than this have nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub partitions: Option<i32>,
    /// How far behind. Left out while unknown; the condition `SourceReachable` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<LagStatus>,
    /// How much flows. Left out while no runner has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<ThroughputStatus>,
    /// Seconds by which the watermark of the slowest partition is behind the clock. Where the plan has several stages it is
    /// that of the last one, from which results are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))]
    pub watermark_delay_seconds: Option<i64>,
    /// The partition that holds that watermark back: the slowest one, or, behind a change of key, the one that all others
    /// wait for. Left out while unknown, and while nobody is waited for because all are idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_held_back_by: Option<PartitionStatus>,
    /// The latest commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
    /// Records that came after their window was closed for good, since the object was created.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub late_records: i64,
    /// Records written to the dead-letter topic, since the object was created.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub dead_letters: i64,
    /// Which plan the runners execute: changes with every change of the spec that matters to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub plan: Option<String>,
}

/// One partition of a topic.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStatus {
    /// Name of the topic.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// Number of the partition.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub partition: i32,
}

/// How far behind, measured against the broker.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LagStatus {
    /// Committed records that the group has not processed and committed, over all partitions.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub records: i64,
    /// Seconds since the oldest of them was written; 0 at no lag. Left out where its time is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seconds: Option<i64>,
}

/// How much flows, as an average over about half a minute.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ThroughputStatus {
    /// Records read a second.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub in_per_second: i64,
    /// Records written to the sinks a second.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub out_per_second: i64,
}

/// The latest commit of any runner.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointStatus {
    /// When it was acknowledged. `kubectl get` shows its age.
    #[schemars(schema_with = "time")]
    pub completed_at: Time,
    /// Bytes of the newest checkpoints of all partitions.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub size_bytes: i64,
}

/// The condition types that every object has from its first status on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Summary: the pipeline runs as declared.
    Ready,
    /// A change is being rolled out.
    Progressing,
    /// Something needs a person, or time, to heal.
    Degraded,
    /// Nothing is left to read.
    CaughtUp,
    /// Commits succeed.
    CheckpointHealthy,
    /// The broker answers and the topics are there.
    SourceReachable,
    /// Stopped on request.
    Suspended,
}

impl ConditionType {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Progressing,
        Self::Degraded,
        Self::CaughtUp,
        Self::CheckpointHealthy,
        Self::SourceReachable,
        Self::Suspended,
    ];

    /// As written in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::CaughtUp => "CaughtUp",
            Self::CheckpointHealthy => "CheckpointHealthy",
            Self::SourceReachable => "SourceReachable",
            Self::Suspended => "Suspended",
        }
    }
}

/// The schema of Kubernetes' own conditions, as a list keyed by type.
fn conditions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "What the condition is about."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "reason": {"type": "string", "maxLength": 1024, "description": "Why, in one word for programs."},
                "message": {"type": "string", "maxLength": 32768, "description": "Why, in a sentence for people."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 64, "description": "When the status last changed."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64, "description": "The generation of the spec that this is about."}
            }
        }
    })
}

fn time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}
