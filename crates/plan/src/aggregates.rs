//! Aggregates, checked and typed.

use std::fmt;

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
    /// Whether equal values of a group count once.
    pub distinct: bool,
    /// What `Top` orders by, of a scalar type. None: the argument. None for all other functions.
    pub by: Option<Expression>,
    /// Rows for which this is not true take no part, and may fail in `argument` and `by`. Of type boolean. None: all do.
    pub predicate: Option<Expression>,
    /// Type of the result.
    pub result: FieldType,
}

/// What to compute. NULLs are left out by all of them.
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
    /// Standard deviation of the whole population: Float64.
    StddevPop,
    /// Sample variance: Float64.
    Variance,
    /// Variance of the whole population: Float64.
    VariancePop,
    /// Value of the row with the smallest event time; among equals of the one that came first.
    First,
    /// Value of the row with the largest event time; among equals of the one that came last.
    Last,
    /// Different values, exactly.
    CountDistinct,
    /// Different values, estimated.
    ApproxCountDistinct,
    /// The value that so large a part of all values does not exceed, estimated: Float64.
    ApproxPercentile(Percentile),
    /// The values in the order of their arrival, as an array. One more than `limit` overflows.
    CollectList {
        /// At least 1.
        limit: u32,
    },
    /// The values that stand highest in an order, from the highest on, as an array; equals in the order of their arrival.
    Top {
        /// How many. At least 1.
        limit: u32,
    },
}

/// A part of a whole, from 0 to 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Percentile(u32);

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
            Self::StddevPop => "stddevPop",
            Self::Variance => "variance",
            Self::VariancePop => "variancePop",
            Self::First => "first",
            Self::Last => "last",
            Self::CountDistinct => "countDistinct",
            Self::ApproxCountDistinct => "approxCountDistinct",
            Self::ApproxPercentile(_) => "approxPercentile",
            Self::CollectList { .. } => "collectList",
            Self::Top { .. } => "topN",
        }
    }

    /// Whether there is a result where no value came.
    pub fn is_never_null(self) -> bool {
        matches!(
            self,
            Self::Count | Self::CountDistinct | Self::ApproxCountDistinct | Self::CollectList { .. } | Self::Top { .. }
        )
    }
}

impl Percentile {
    /// Takes a part of 1 with at most six digits after the point; None for anything else.
    pub fn parse(part: f64) -> Option<Self> {
        let millionths = (part * 1e6).round();
        let exact = (0.0..=1e6).contains(&millionths) && (millionths / 1e6 - part).abs() < 1e-12;
        exact.then_some(Self(millionths as u32))
    }

    /// The position, from 1 on, of the value among `count` values in order: the first one that so large a part of them
    /// does not exceed. `count` is above 0.
    pub fn position(self, count: u64) -> u64 {
        let part = u128::from(self.0) * u128::from(count);
        (part.div_ceil(1_000_000) as u64).max(1)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1e6)
    }
}

impl Aggregate {
    /// Its expressions, in the order in which they are written in words.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        [&self.argument, &self.by, &self.predicate].into_iter().flatten()
    }

    /// The call in words; `write` says how an expression is written.
    pub(crate) fn call(&self, write: impl Fn(&Expression) -> String) -> String {
        let mut arguments: Vec<String> = self.argument.iter().map(&write).collect();
        if let (true, Some(argument)) = (self.distinct, arguments.first_mut()) {
            argument.insert_str(0, "distinct ");
        }
        arguments.extend(self.by.iter().map(|by| format!("by {}", write(by))));
        match self.function {
            AggregateFunction::ApproxPercentile(percentile) => arguments.push(format!("percentile {percentile}")),
            AggregateFunction::CollectList { limit } | AggregateFunction::Top { limit } => {
                arguments.push(format!("limit {limit}"));
            }
            _ => {}
        }
        arguments.join(", ")
    }
}
