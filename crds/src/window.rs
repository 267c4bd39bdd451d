//! Aggregates over windows of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AggregateSpec, TimeDomain};

/// Aggregates per group and window. Results are the group's fields, `window_start`, `window_end` (epoch milliseconds,
/// end exclusive), `is_final`, then the aggregates; their time is the window's end less 1 ms. A result replaces the
/// earlier ones of the same group and `window_start`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.tumbling), has(self.sliding), has(self.session)].filter(x, x).size() == 1", "message": "set exactly one of tumbling, sliding and session"}
]))]
pub struct WindowSpec {
    /// Windows of one size that neither overlap nor leave gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tumbling: Option<TumblingSpec>,
    /// Windows of one size, one of which begins every `slide`: a record is in several of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding: Option<SlidingSpec>,
    /// Windows that last as long as records of the group follow each other within a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// Which time windows go by. Default: `event`.
    #[serde(default)]
    pub time: TimeDomain,
    /// When results are written. Default: `onClose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit: Option<EmitSpec>,
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

/// Windows `[start, start + size)`, one for every `slide`: each record is in `size / slide` of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SlidingSpec {
    /// Length of every window, at least `1ms`.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub size: String,
    /// Time between the starts of two windows, at least `1ms`, at most `size`. At most 10000 windows may overlap.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub slide: String,
    /// Where windows start relative to 1970-01-01T00:00:00Z. Shorter than `slide`. Default: `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub offset: Option<String>,
}

/// Windows of one group that last as long as its records follow each other within `gap`: from the first record to the
/// last one plus `gap`. Two records exactly `gap` apart are in one session.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// How long without a record ends a session, at least `1ms`.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub gap: String,
    /// Longest session, from its start to its end, at least `gap`. A record that would make it longer begins another
    /// session. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub max_length: Option<String>,
}

/// When results are written: exactly one of `onClose`, `onUpdate` and `early`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.onClose), has(self.onUpdate), has(self.early)].filter(x, x).size() == 1", "message": "set exactly one of onClose, onUpdate and early"}
]))]
pub struct EmitSpec {
    /// When the window is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_close: Option<EmitOnCloseSpec>,
    /// After every record, and a last time when the window is closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_update: Option<EmitOnUpdateSpec>,
    /// Also before the window is over, in steps of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<EmitEarlySpec>,
}

/// Results when the window is over.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct EmitOnCloseSpec {}

/// Results after every record.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct EmitOnUpdateSpec {}

/// Results also before the window is over.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EmitEarlySpec {
    /// Each time when this much more of the window's time is over, the groups that have changed since are written. At
    /// least `1ms`; shorter than the `size` of the window.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub every: String,
}
