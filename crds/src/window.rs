//! Aggregates over windows of event time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AggregateSpec;

/// Aggregates per group and window. Results are the group's fields, `window_start`, `window_end` (epoch milliseconds,
/// end exclusive), `is_final`, then the aggregates; their time is the window's end less 1 ms.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WindowSpec {
    /// Windows of one size that neither overlap nor leave gaps.
    pub tumbling: TumblingSpec,
    /// How long after its end a window still takes late records. While above zero, a window emits at its end, again for
    /// every late record (`is_final: false`), and once more, final, when the time is over. Default: `0s`: one final
    /// result. This re-opens results; to delay them instead, raise `eventTime.maxOutOfOrderness`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub allowed_lateness: Option<String>,
    /// Fields that make up the group key. Where they do not include the fields of the record key (`spec.key`), rows
    /// change partitions through an internal topic.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub keys: Vec<String>,
    /// What to compute.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub aggregates: Vec<AggregateSpec>,
}

/// Windows of one size that neither overlap nor leave gaps: `[start, start + size)`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TumblingSpec {
    /// Length of every window, at least `1ms`.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub size: String,
    /// Where windows start relative to 1970-01-01T00:00:00Z. Shorter than `size`. Default: `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub offset: Option<String>,
}
