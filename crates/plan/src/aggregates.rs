//! Aggregates, checked and typed.

use crate::{Expression, FieldType};

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
