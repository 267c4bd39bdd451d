//! What to compute over the records of a group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scaling::is_false;

/// One aggregate.
//
// `function` is reserved in CEL; `__function__` is how Kubernetes writes such a field in rules.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.__function__ == 'count' || has(self.expression)", "message": "every function but count needs an expression"},
    {"rule": "has(self.percentile) == (self.__function__ == 'approxPercentile')", "message": "percentile goes with approxPercentile, which needs it"},
    {"rule": "has(self.limit) == (self.__function__ in ['collectList', 'topN'])", "message": "limit goes with collectList and topN, which need it"},
    {"rule": "!has(self.by) || self.__function__ == 'topN'", "message": "by goes with topN"},
    {"rule": "!has(self.distinct) || !self.distinct || has(self.expression) && self.__function__ in ['count', 'sum', 'avg', 'stddev', 'stddevSamp', 'stddevPop', 'variance', 'variancePop', 'collectList']", "message": "distinct goes with count of an expression, sum, avg, stddev, variance and collectList"}
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
    /// SQL expression of type boolean: only records for which it is true take part, as with SQL's FILTER. Default: all.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub predicate: Option<String>,
    /// Whether equal values of a group count once, as with SQL's DISTINCT. All different values are remembered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub distinct: bool,
    /// For `approxPercentile`: which part of the values the result is not exceeded by, such as 0.95, with at most six
    /// digits after the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub percentile: Option<f64>,
    /// For `collectList` and `topN`: how many values at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// For `topN`: SQL expression to order by, the largest first. Records for which it is NULL are left out. Default:
    /// `expression`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub by: Option<String>,
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
    /// The same as `stddev`.
    StddevSamp,
    /// Standard deviation of the whole population (n): `float64`. NULL over nothing.
    StddevPop,
    /// Variance of a sample (n - 1): `float64`. NULL for fewer than two values.
    Variance,
    /// Variance of the whole population (n): `float64`. NULL over nothing.
    VariancePop,
    /// Value of the record with the smallest event time, among equals of the one that came first. NULL over nothing.
    First,
    /// Value of the record with the largest event time, among equals of the one that came last. NULL over nothing.
    Last,
    /// How many different values, exactly: `int64`. All of them are remembered.
    CountDistinct,
    /// How many different values, by HyperLogLog: `int64`. Exact up to 1024, then with a standard error of 0.8 %, in at
    /// most 16 KiB a group.
    ApproxCountDistinct,
    /// The smallest value that the part `percentile` of all values does not exceed, off by at most 0.4 % of the value:
    /// `float64`. NULL over nothing.
    ApproxPercentile,
    /// The values in the order of their arrival: `array`. A record with one more value than `limit` is a bad record.
    CollectList,
    /// The `limit` values with the largest `by`, largest first, equals in the order of their arrival: `array`.
    TopN,
}
