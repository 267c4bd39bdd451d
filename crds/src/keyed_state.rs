//! What is remembered of each key between records, and for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a key's state is kept after its last update.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtlSpec {
    /// A key that was not updated for this long is forgotten; its next record begins anew. At least `1ms`.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub after: String,
    /// What the time is measured by. Default: `event`.
    #[serde(default)]
    pub time: TimeDomain,
}

/// Which time passes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum TimeDomain {
    /// Event time: it passes with the watermark, so that the same input gives the same results.
    #[default]
    Event,
    /// The clock of the runner: it passes without records too.
    Processing,
}

/// Passes one record of those that have a key in common within a time. What passes keeps its bytes, key, headers and
/// timestamp.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeduplicateSpec {
    /// Fields that records must have in common. Where they do not include the fields of the record key (`spec.key`), rows
    /// change partitions through an internal topic.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub keys: Vec<String>,
    /// Which one. Default: `first`.
    #[serde(default)]
    pub keep: Keep,
    /// How long a record that has passed is remembered, from its time on. At least `1ms`.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub within: String,
    /// What the time is measured by. Default: `event`.
    #[serde(default)]
    pub time: TimeDomain,
}

/// Which of several records passes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Keep {
    /// The one that comes first; those that follow are dropped.
    #[default]
    First,
    /// Each that is not older, by event time, than one that has passed: updates pass, what comes too late is dropped.
    Last,
}

/// Adds to every record values of the record of the same key that came before it: for differences to it in a `map`
/// behind. NULL where there is none.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviousSpec {
    /// Fields that records must have in common. Where they do not include the fields of the record key (`spec.key`), rows
    /// change partitions through an internal topic.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub keys: Vec<String>,
    /// Values to take over; they stand behind all others, in this order.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["as"]))]
    pub fields: Vec<PreviousFieldSpec>,
    /// How long the record before is remembered. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TtlSpec>,
}

/// One value of the record before.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviousFieldSpec {
    /// The field whose value it is. Not an array.
    #[schemars(length(min = 1, max = 128))]
    pub field: String,
    /// Name of the new field.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub alias: String,
}
