//! What to compute over the records of a group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aggregate.
//
// `function` is reserved in CEL; `__function__` is how Kubernetes writes such a field in rules.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.__function__ == 'count' || has(self.expression)", "message": "every function but count needs an expression"}
]))]
pub struct AggregateSpec {
    /// Name of the result.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// What to compute.
    pub function: AggregateFunction,
    /// SQL expression over the fields. NULLs are left out. `count` without an expression counts records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

/// What to compute.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum AggregateFunction {
    /// Records, or records whose expression is not NULL: `int64`.
    Count,
    /// Sum, of the expression's type; `decimal` with 38 digits. A record that makes it overflow is a bad record.
    /// NULL over nothing.
    Sum,
    /// Smallest value. NULL over nothing.
    Min,
    /// Largest value. NULL over nothing.
    Max,
    /// Arithmetic mean: `float64`, or for decimals `decimal` with four more digits after the point. NULL over nothing.
    Avg,
    /// Standard deviation of a sample (n - 1): `float64`. NULL for fewer than two values.
    Stddev,
}
