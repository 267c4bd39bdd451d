//! How many runners, and who decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets a HorizontalPodAutoscaler set `replicas` by the lag. Needs the metrics API of the chart
/// (`externalMetrics.enabled`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.min) || self.min <= self.max", "message": "min must not be above max"}
]))]
pub struct ScalingSpec {
    /// Fewest runners, 1 to 1000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min: Option<u16>,
    /// Most runners, 1 to 1000. More than the source has partitions are never started.
    #[schemars(range(min = 1, max = 1000))]
    pub max: u16,
    /// The lag to scale for.
    pub target: ScalingTarget,
    /// How long the lag must have asked for fewer runners before there are fewer, up to `1h`. Default: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub scale_down_after: Option<String>,
}

/// The lag to scale for: exactly one of both.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.lagRecords) != has(self.lagSeconds)", "message": "set exactly one of lagRecords and lagSeconds"}
]))]
pub struct ScalingTarget {
    /// Records behind, for each runner: there are as many runners as the lag holds this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub lag_records: Option<i64>,
    /// Seconds behind, for the whole pipeline: runners are added in proportion while the lag is above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub lag_seconds: Option<i64>,
}

/// A default of both kinds.
pub(crate) fn one() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
