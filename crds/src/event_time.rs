//! Which time a record happened at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which time a record happened at, and how far out of order records may come.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EventTimeSpec {
    /// Declared field that holds the time: an `int64` or a `timestamp`. Default: the Kafka record's own timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub field: Option<String>,
    /// What an `int64` field counts since 1970-01-01T00:00:00Z. Default: `milliseconds`.
    #[serde(default)]
    pub unit: TimeUnit,
    /// How much older than the newest record of its partition a record may be without being late. The watermark of a
    /// partition is its newest event time less this and less 1 ms. Default: `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub max_out_of_orderness: Option<String>,
    /// How long a partition has no record before others no longer wait for it. Counts where watermarks of several
    /// partitions are merged: behind a change of key. Records of a partition that comes back behind the merged watermark
    /// are late. Default: `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub idle_timeout: Option<String>,
    /// After so long without a record, by the runner's clock, a partition's event time goes on with the clock, so that
    /// its last windows close. At least `1s`. Records that come behind it are late. Default: never: event time moves by
    /// records alone, and results depend on nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub close_after_idle: Option<String>,
    /// How far the watermark of a partition may be ahead of the least one of its runner before the runner stops fetching
    /// it, until it is at most half as far ahead. At least `1s`. Only partitions of the same runner, and only ones with
    /// records left to read, are waited for. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub max_drift: Option<String>,
}

/// What a number counts since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    #[default]
    Milliseconds,
    /// Millionths of a second; what is finer than a millisecond is cut.
    Microseconds,
    /// Billionths of a second; what is finer than a millisecond is cut.
    Nanoseconds,
}
