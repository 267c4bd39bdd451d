//! Aggregates with parameters and what they make of a group's rows, in the plainest words there are.

use millrace_plan::{Aggregate, AggregateFunction};

use super::{Row, Value, aggregate, field_of, percentile};

/// One aggregate.
pub(crate) struct Case {
    pub(crate) call: Call,
    pub(crate) field: &'static str,
    pub(crate) distinct: bool,
    pub(crate) by: Option<&'static str>,
    /// Only rows whose flag is true take part.
    pub(crate) flagged: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Call {
    Count,
    Sum,
    Avg,
    StddevPop,
    Variance,
    VariancePop,
    First,
    Last,
    CountDistinct,
    ApproxCountDistinct,
    Percentile(f64),
    CollectList(u32),
    Top(u32),
}

const fn case(call: Call, field: &'static str) -> Case {
    Case {
        call,
        field,
        distinct: false,
        by: None,
        flagged: false,
    }
}

const fn distinct(call: Call, field: &'static str) -> Case {
    Case {
        distinct: true,
        ..case(call, field)
    }
}

const fn flagged(case: Case) -> Case {
    Case { flagged: true, ..case }
}

pub(crate) const CASES: &[Case] = &[
    case(Call::Variance, "whole"),
    case(Call::StddevPop, "double"),
    case(Call::VariancePop, "decimal"),
    case(Call::First, "whole"),
    case(Call::Last, "name"),
    case(Call::Last, "double"),
    case(Call::First, "decimal"),
    case(Call::Last, "flag"),
    case(Call::First, "instant"),
    case(Call::CountDistinct, "whole"),
    case(Call::CountDistinct, "name"),
    case(Call::ApproxCountDistinct, "decimal"),
    case(Call::ApproxCountDistinct, "double"),
    case(Call::Percentile(0.5), "whole"),
    case(Call::Percentile(0.9), "double"),
    case(Call::Percentile(0.25), "decimal"),
    case(Call::CollectList(1000), "name"),
    case(Call::CollectList(1000), "decimal"),
    case(Call::Top(2), "whole"),
    Case {
        by: Some("double"),
        ..case(Call::Top(3), "name")
    },
    Case {
        by: Some("name"),
        ..case(Call::Top(1), "instant")
    },
    distinct(Call::Count, "flag"),
    distinct(Call::Sum, "whole"),
    distinct(Call::Sum, "decimal"),
    distinct(Call::Avg, "whole"),
    distinct(Call::CollectList(1000), "double"),
    flagged(case(Call::Count, "")),
    flagged(case(Call::Sum, "decimal")),
    flagged(case(Call::Last, "whole")),
    flagged(distinct(Call::Count, "name")),
];

impl Case {
    pub(crate) fn aggregate(&self) -> Aggregate {
        let function = match self.call {
            Call::Count => AggregateFunction::Count,
            Call::Sum => AggregateFunction::Sum,
            Call::Avg => AggregateFunction::Avg,
            Call::StddevPop => AggregateFunction::StddevPop,
            Call::Variance => AggregateFunction::Variance,
            Call::VariancePop => AggregateFunction::VariancePop,
            Call::First => AggregateFunction::First,
            Call::Last => AggregateFunction::Last,
            Call::CountDistinct => AggregateFunction::CountDistinct,
            Call::ApproxCountDistinct => AggregateFunction::ApproxCountDistinct,
            Call::Percentile(part) => percentile(part),
            Call::CollectList(limit) => AggregateFunction::CollectList { limit },
            Call::Top(limit) => AggregateFunction::Top { limit },
        };
        let plain = aggregate(function, self.field);
        Aggregate {
            name: format!("{}_{}_{}", plain.name, self.distinct, self.flagged),
            distinct: self.distinct,
            by: self.by.map(field_of),
            predicate: self.flagged.then(|| field_of("flag")),
            ..plain
        }
    }

    /// None if it overflows.
    pub(crate) fn expected(&self, rows: &[(Row, i64)]) -> Option<Value> {
        let takes_part = |(row, _): &&(Row, i64)| !self.flagged || row.flag == Some(true);
        let rows: Vec<_> = rows.iter().filter(takes_part).collect();
        if self.field.is_empty() {
            return Some(Value::Whole(rows.len() as i64));
        }
        // (value, what it is ordered by, time) in the order of arrival.
        let mut all: Vec<(Value, Value, i64)> = Vec::new();
        for (row, time) in rows {
            let value = value(row, *time, self.field);
            let by = self.by.map_or(value.clone(), |by| self::value(row, *time, by));
            let absent = matches!(value, Value::Null) || matches!(by, Value::Null);
            let again = self.distinct && all.iter().any(|(other, ..)| same(other, &value));
            if !absent && !again {
                all.push((value, by, *time));
            }
        }
        let values: Vec<Value> = all.iter().map(|(value, ..)| value.clone()).collect();
        let numbers: Vec<f64> = values.iter().filter_map(number).collect();
        Some(match self.call {
            Call::Count => Value::Whole(values.len() as i64),
            Call::Sum => sum(&values)?,
            Call::Avg => match numbers.len() {
                0 => Value::Null,
                count => Value::Double(values.iter().filter_map(exact).sum::<i128>() as f64 / count as f64),
            },
            Call::StddevPop => spread(&numbers, 0, true)?,
            Call::Variance => spread(&numbers, 1, false)?,
            Call::VariancePop => spread(&numbers, 0, false)?,
            Call::First => end(all.iter().rev().min_by_key(|(.., time)| *time), &all, false),
            Call::Last => end(all.iter().max_by_key(|(.., time)| *time), &all, true),
            Call::CountDistinct | Call::ApproxCountDistinct => {
                let mut seen: Vec<&Value> = Vec::new();
                for value in &values {
                    if !seen.iter().any(|other| same(other, value)) {
                        seen.push(value);
                    }
                }
                Value::Whole(seen.len() as i64)
            }
            Call::Percentile(part) => {
                let mut sorted = numbers;
                if sorted.iter().any(|number| !number.is_finite()) {
                    return None;
                }
                sorted.sort_by(f64::total_cmp);
                let below = |number: &&f64| {
                    let not_above = sorted.iter().filter(|other| *other <= *number).count();
                    not_above as f64 >= part * sorted.len() as f64
                };
                let exact = sorted.iter().find(below);
                exact.map_or(Value::Null, |exact| {
                    Value::Near(*exact, exact.abs() / 256.0 + f64::MIN_POSITIVE)
                })
            }
            Call::CollectList(limit) if values.len() > limit as usize => return None,
            Call::CollectList(_) => Value::List(values),
            Call::Top(limit) => {
                // A stable sort keeps equals in their order.
                all.sort_by(|(_, left, _), (_, right, _)| order(right, left));
                let top = all.into_iter().take(limit as usize);
                Value::List(top.map(|(value, ..)| value).collect())
            }
        })
    }
}

fn value(row: &Row, time: i64, field: &str) -> Value {
    match field {
        "name" => row.name.map(|name| Value::Text(name.to_owned())),
        "whole" => row.whole.map(Value::Whole),
        "double" => row.double.map(Value::Double),
        "decimal" => row.decimal.map(Value::Decimal),
        "flag" => row.flag.map(Value::Boolean),
        "instant" => Some(Value::Timestamp(time)),
        other => panic!("{other} is no field of a case"),
    }
    .unwrap_or(Value::Null)
}

/// Exactly equal, as SQL has it.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => left == right || left.is_nan() && right.is_nan(),
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.total_cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Whole(left), Value::Whole(right)) => left.cmp(right),
        other => panic!("no case orders by {other:?}"),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Whole(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        Value::Decimal(value) => Some(*value as f64 / 100.0),
        _ => None,
    }
}

fn exact(value: &Value) -> Option<i128> {
    match value {
        Value::Whole(value) => Some((*value).into()),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn sum(values: &[Value]) -> Option<Value> {
    let sum = values.iter().filter_map(exact).try_fold(0i128, i128::checked_add)?;
    Some(match values.first() {
        None => Value::Null,
        Some(Value::Whole(_)) => Value::Whole(sum.try_into().ok()?),
        Some(_) if sum.unsigned_abs() < 10u128.pow(38) => Value::Decimal(sum),
        Some(_) => return None,
    })
}

fn spread(values: &[f64], sample: usize, root: bool) -> Option<Value> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let largest = values.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    match values.len() {
        0 => Some(Value::Null),
        _ if !squares.is_finite() => None,
        count if count <= sample => Some(Value::Null),
        count => {
            let variance = squares / (count - sample) as f64;
            Some(match root {
                true => Value::Near(variance.sqrt(), 1e-9 * largest),
                false => Value::Near(variance, 1e-9 * largest * largest),
            })
        }
    }
}

/// `best` has the right time; of those with this time the first or last to arrive.
fn end(best: Option<&(Value, Value, i64)>, all: &[(Value, Value, i64)], last: bool) -> Value {
    let Some((.., time)) = best else {
        return Value::Null;
    };
    let mut there = all.iter().filter(|(.., other)| other == time);
    let found = if last { there.next_back() } else { there.next() };
    found.map_or(Value::Null, |(value, ..)| value.clone())
}
