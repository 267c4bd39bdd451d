//! Windows and aggregates, checked and typed.

use crate::{Expression, FieldType};

/// Aggregates per group and window. Output: the key fields, `window_start` and `window_end` (Timestamp), `is_final`
/// (Boolean), then the aggregates.
#[derive(Clone, Debug)]
pub struct Window {
    /// Which windows hold a time.
    pub tumbling: Tumbling,
    /// Milliseconds after its end during which a window still takes records.
    pub allowed_lateness: i64,
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Never empty.
    pub aggregates: Vec<Aggregate>,
}

/// Windows of one size without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    /// Milliseconds, at least 1.
    pub size: i64,
    /// Milliseconds, less than `size`.
    pub offset: i64,
}

impl Tumbling {
    /// Start of the window that holds `time`: the largest `offset + n * size` that is not above `time`.
    pub fn start_of(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.size)
    }
}

/// One aggregate.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Name of the result.
    pub name: String,
    /// What to compute.
    pub function: AggregateFunction,
    /// What to compute it over. None only for `Count`: rows.
    pub argument: Option<Expression>,
    /// Type of the result.
    pub result: FieldType,
}

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// Rows, or non-null values.
    Count,
    /// Sum of Int64, Float64 or Decimal (result: 38 digits, same scale).
    Sum,
    /// Smallest value of any scalar type.
    Min,
    /// Largest value of any scalar type.
    Max,
    /// Mean: Float64; of decimals Decimal(38, scale + 4 but at most 38).
    Avg,
    /// Sample standard deviation: Float64.
    Stddev,
}

impl AggregateFunction {
    /// As written in the spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Stddev => "stddev",
        }
    }
}
