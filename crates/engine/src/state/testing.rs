//! One plan that uses every aggregate over every type, rows for it, and results that can be compared: for the tests of
//! aggregates, groups, windows and checkpoints.

mod model;

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use datafusion_expr::col;
use millrace_plan::{
    Aggregate, AggregateFunction, ArrayItem, Emit, Expression, Field, FieldType, Fields, ItemKind, Percentile,
    TimeDomain, Tumbling, Window, WindowKind,
};

use proptest::prelude::*;

use crate::batch::Batch;
use crate::operators::{Made, Now};

pub(crate) const DECIMAL: FieldType = FieldType::Decimal {
    precision: 38,
    scale: 2,
};

/// One row that comes in. The key fields are `name` and `number`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: Option<&'static str>,
    pub(crate) number: i64,
    pub(crate) whole: Option<i64>,
    pub(crate) double: Option<f64>,
    pub(crate) decimal: Option<i128>,
    pub(crate) flag: Option<bool>,
}

/// One value that comes out.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Whole(i64),
    Double(f64),
    /// Only expected: a double computed in another way, and how far it may be off.
    Near(f64, f64),
    Decimal(i128),
    Text(String),
    Timestamp(i64),
    List(Vec<Value>),
}

/// Doubles may differ in the last digits, where a test adds up in another way.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            (Self::Whole(left), Self::Whole(right)) | (Self::Timestamp(left), Self::Timestamp(right)) => left == right,
            (Self::Double(left), Self::Double(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
            (Self::Double(found), Self::Near(value, within)) => (found - value).abs() <= *within,
            (Self::Decimal(left), Self::Decimal(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => left == right,
            _ => false,
        }
    }
}

/// The fields of a [`Row`].
pub(crate) fn input() -> Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| Fields::new(fields()));
    FIELDS.clone()
}

fn fields() -> Vec<Field> {
    vec![
        Field::computed("name", FieldType::String, true),
        Field::computed("number", FieldType::Int64, false),
        Field::computed("whole", FieldType::Int64, true),
        Field::computed("double", FieldType::Float64, true),
        Field::computed("decimal", DECIMAL, true),
        Field::computed("flag", FieldType::Boolean, true),
        Field::computed("instant", FieldType::Timestamp, true),
    ]
}

/// An aggregate over a field of [`input`]; without a field it counts rows.
pub(crate) fn aggregate(function: AggregateFunction, field: &str) -> Aggregate {
    let input = input();
    let field_type = input.position(field).map(|at| input[at].field_type.clone());
    let result = match (function, &field_type) {
        (AggregateFunction::Count | AggregateFunction::CountDistinct | AggregateFunction::ApproxCountDistinct, _) => {
            FieldType::Int64
        }
        (AggregateFunction::CollectList { .. } | AggregateFunction::Top { .. }, Some(item)) => {
            FieldType::Array(Arc::new(ArrayItem {
                nullable: false,
                kind: ItemKind::Scalar(item.clone()),
            }))
        }
        (AggregateFunction::Avg, Some(FieldType::Decimal { scale, .. })) => FieldType::Decimal {
            precision: 38,
            scale: (scale + 4).min(38),
        },
        (
            AggregateFunction::Avg
            | AggregateFunction::Stddev
            | AggregateFunction::StddevPop
            | AggregateFunction::Variance
            | AggregateFunction::VariancePop
            | AggregateFunction::ApproxPercentile(_),
            _,
        ) => FieldType::Float64,
        (_, field_type) => field_type.clone().expect("only count goes without a field"),
    };
    Aggregate {
        name: format!("{function:?}_{field}").to_lowercase(),
        function,
        argument: field_type.map(|_| field_of(field)),
        distinct: false,
        by: None,
        predicate: None,
        result,
    }
}

/// A field of [`input`] as an expression.
pub(crate) fn field_of(field: &str) -> Expression {
    let input = input();
    let position = input.position(field).expect("it is a field");
    Expression {
        text: field.to_owned(),
        expr: col(field),
        field_type: input[position].field_type.clone(),
        nullable: true,
    }
}

/// The part of a whole.
pub(crate) fn percentile(part: f64) -> AggregateFunction {
    AggregateFunction::ApproxPercentile(Percentile::parse(part).expect("it is one"))
}

/// Every aggregate, over every type of value where that makes a difference.
pub(crate) fn aggregates() -> Vec<Aggregate> {
    let cases = model::CASES.iter().map(model::Case::aggregate);
    first_aggregates().into_iter().chain(cases).collect()
}

/// Those that the first version had.
pub(crate) fn first_aggregates() -> Vec<Aggregate> {
    use AggregateFunction::{Avg, Count, Max, Min, Stddev, Sum};
    let mut all = vec![aggregate(Count, "")];
    let calls: [(&str, &[AggregateFunction]); 6] = [
        ("whole", &[Count, Sum, Min, Max, Avg, Stddev]),
        ("double", &[Sum, Min, Max, Avg, Stddev]),
        ("decimal", &[Sum, Min, Max, Avg, Stddev]),
        ("flag", &[Min, Max]),
        ("name", &[Min, Max]),
        ("instant", &[Min, Max]),
    ];
    for (field, functions) in calls {
        all.extend(functions.iter().map(|function| aggregate(*function, field)));
    }
    all
}

/// Fields of the results: keys, then `between`, then aggregates.
pub(crate) fn output(keys: &[usize], between: Vec<Field>, aggregates: &[Aggregate]) -> Fields {
    let keys = keys.iter().map(|key| input()[*key].clone());
    let results = aggregates
        .iter()
        .map(|aggregate| Field::computed(&aggregate.name, aggregate.result.clone(), true));
    Fields::new(keys.chain(between).chain(results).collect())
}

/// The fields that a window puts between keys and aggregates.
pub(crate) fn window_fields() -> Vec<Field> {
    vec![
        Field::computed("window_start", FieldType::Timestamp, false),
        Field::computed("window_end", FieldType::Timestamp, false),
        Field::computed("is_final", FieldType::Boolean, false),
    ]
}

/// A window over both key fields with all aggregates.
pub(crate) fn window(size: i64, offset: i64, allowed_lateness: i64) -> Window {
    Window {
        kind: WindowKind::Tumbling(Tumbling { size, offset }),
        time: TimeDomain::Event,
        emit: Emit::OnClose,
        allowed_lateness,
        keys: vec![0, 1],
        aggregates: aggregates(),
    }
}

/// Rows with their times and watermarks.
pub(crate) fn batch(rows: &[(Row, i64, i64)]) -> Batch {
    let times: Vec<i64> = rows.iter().map(|(_, time, _)| *time).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter(rows.iter().map(|(row, ..)| row.name))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(row, ..)| row.number))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|(row, ..)| row.whole))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|(row, ..)| row.double))),
        Arc::new(
            Decimal128Array::from_iter(rows.iter().map(|(row, ..)| row.decimal))
                .with_precision_and_scale(38, 2)
                .expect("38 and 2 are valid"),
        ),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|(row, ..)| row.flag))),
        Arc::new(TimestampMillisecondArray::from(times.clone())),
    ];
    Batch {
        columns: RecordBatch::try_new(input().schema().clone(), columns).expect("the columns are those of the fields"),
        origins: (0..rows.len() as u32).collect(),
        times,
        watermarks: rows.iter().map(|(_, _, watermark)| *watermark).collect(),
    }
}

/// The columns of aggregates over fields alone.
pub(crate) fn arguments(batch: &Batch, aggregates: &[Aggregate]) -> Vec<Option<ArrayRef>> {
    let column = |expression: &Expression| {
        let position = input().position(&expression.text).expect("it is a field");
        batch.columns.column(position).clone()
    };
    let mut columns = Vec::new();
    for aggregate in aggregates {
        let by = aggregate.by.as_ref().map(column);
        let predicate = aggregate.predicate.as_ref().map(column);
        let mut values = aggregate.argument.as_ref().map(column).or_else(|| predicate.clone());
        for needed in [by.as_ref(), predicate.as_ref()].into_iter().flatten() {
            let missing = match needed.as_boolean_opt() {
                Some(flags) => flags.iter().map(|flag| Some(flag != Some(true))).collect(),
                None => arrow::compute::is_null(needed).expect("a column can be asked for nulls"),
            };
            values = values.map(|values| arrow::compute::nullif(&values, &missing).expect("they are as long"));
        }
        columns.push(values);
        columns.extend(by.map(Some));
    }
    columns
}

/// A row of a result.
pub(crate) fn values(columns: &[ArrayRef], row: usize) -> Vec<Value> {
    let value = |column: &ArrayRef| {
        use arrow::datatypes::DataType;
        if column.is_null(row) {
            return Value::Null;
        }
        match column.data_type() {
            DataType::Boolean => Value::Boolean(column.as_boolean().value(row)),
            DataType::Int64 => Value::Whole(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal128(..) => Value::Decimal(column.as_primitive::<Decimal128Type>().value(row)),
            DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::List(_) => {
                let items = column.as_list::<i32>().value(row);
                let item = |row| values(std::slice::from_ref(&items), row).remove(0);
                Value::List((0..items.len()).map(item).collect())
            }
            DataType::Timestamp(..) => Value::Timestamp(column.as_primitive::<TimestampMillisecondType>().value(row)),
            other => panic!("{other} is no result"),
        }
    };
    columns.iter().map(value).collect()
}

/// What the aggregates make of a group's rows, computed from all rows at once; None if one of them overflows. Rows come
/// with their times.
pub(crate) fn expected(rows: &[(Row, i64)]) -> Option<Vec<Value>> {
    let wholes: Vec<i64> = rows.iter().filter_map(|(row, _)| row.whole).collect();
    let doubles: Vec<f64> = rows.iter().filter_map(|(row, _)| row.double).collect();
    let decimals: Vec<i128> = rows.iter().filter_map(|(row, _)| row.decimal).collect();
    let mut out = vec![Value::Whole(rows.len() as i64), Value::Whole(wholes.len() as i64)];
    let sum: i128 = wholes.iter().map(|value| i128::from(*value)).sum();
    out.push(or_null(&wholes, || {
        Value::Whole(i64::try_from(sum).ok().unwrap_or_default())
    }));
    i64::try_from(sum).ok()?;
    extremes(&mut out, wholes.iter().copied(), Value::Whole);
    out.push(or_null(&wholes, || Value::Double(sum as f64 / wholes.len() as f64)));
    out.push(deviation(
        &wholes.iter().map(|value| *value as f64).collect::<Vec<_>>(),
    )?);

    let sum: f64 = doubles.iter().sum();
    sum.is_finite().then_some(())?;
    out.push(or_null(&doubles, || Value::Double(sum)));
    let mut sorted = doubles.clone();
    sorted.sort_by(f64::total_cmp);
    out.push(sorted.first().map_or(Value::Null, |value| Value::Double(*value)));
    out.push(sorted.last().map_or(Value::Null, |value| Value::Double(*value)));
    out.push(or_null(&doubles, || Value::Double(sum / doubles.len() as f64)));
    out.push(deviation(&doubles)?);

    let limit = 10i128.pow(38);
    let sum = decimals.iter().try_fold(0i128, |sum, value| sum.checked_add(*value))?;
    (-limit < sum && sum < limit).then_some(())?;
    out.push(or_null(&decimals, || Value::Decimal(sum)));
    extremes(&mut out, decimals.iter().copied(), Value::Decimal);
    out.push(decimal_mean(sum, decimals.len())?);
    out.push(deviation(
        &decimals.iter().map(|value| *value as f64 / 100.0).collect::<Vec<_>>(),
    )?);

    extremes(&mut out, rows.iter().filter_map(|(row, _)| row.flag), Value::Boolean);
    extremes(&mut out, rows.iter().filter_map(|(row, _)| row.name), |name| {
        Value::Text(name.to_owned())
    });
    extremes(&mut out, rows.iter().map(|(_, time)| *time), Value::Timestamp);
    for case in model::CASES {
        out.push(case.expected(rows)?);
    }
    Some(out)
}

fn or_null<T>(values: &[T], result: impl FnOnce() -> Value) -> Value {
    if values.is_empty() { Value::Null } else { result() }
}

fn extremes<T: Ord + Copy>(out: &mut Vec<Value>, values: impl Iterator<Item = T> + Clone, value: impl Fn(T) -> Value) {
    out.push(values.clone().min().map_or(Value::Null, &value));
    out.push(values.max().map_or(Value::Null, &value));
}

/// In two passes, as in a textbook.
pub(crate) fn deviation(values: &[f64]) -> Option<Value> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    match values.len() {
        0 => Some(Value::Null),
        // A single infinity has no deviation, but it has no place either.
        _ if !squares.is_finite() => None,
        1 => Some(Value::Null),
        _ => {
            let largest = values.iter().fold(0f64, |largest, value| largest.max(value.abs()));
            Some(Value::Near((squares / (count - 1.0)).sqrt(), 1e-9 * largest))
        }
    }
}

/// Rounded half away from zero, digit by digit; None if it has more than 38 digits.
pub(crate) fn decimal_mean(sum: i128, count: usize) -> Option<Value> {
    if count == 0 {
        return Some(Value::Null);
    }
    let (count, mut rest) = (count as u128, sum.unsigned_abs());
    let mut mean = rest / count;
    for _ in 0..4 {
        rest = rest % count * 10;
        mean = mean.checked_mul(10)? + rest / count;
    }
    if rest % count * 2 >= count {
        mean += 1;
    }
    (mean < 10u128.pow(38)).then(|| Value::Decimal(sum.signum() * mean as i128))
}

/// For operators to which time means nothing.
pub(crate) const NOW: Now = Now {
    watermark: i64::MIN,
    clock: 0,
};

/// The rows that an operator made of its own.
pub(crate) fn results(made: Made) -> Batch {
    match made {
        Made::Results(batch) => batch,
        Made::Picked(_) => panic!("rows of the input"),
    }
}

/// What one step of an operator is given, and whether it is saved and loaded afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) rows: Vec<(Row, i64, i64)>,
    pub(crate) now: Now,
    pub(crate) reload: bool,
}

/// Rows, mostly forwards in time with steps back, cut into steps of which some only move time, with a clock.
pub(crate) fn steps(rows: impl Strategy<Value = Row>) -> impl Strategy<Value = Vec<Step>> {
    let timed = (rows, -30i64..30, 0i64..6);
    let step = (proptest::collection::vec(timed, 0..8), 0i64..12, any::<bool>());
    (proptest::collection::vec(step, 0..30), 0i64..25).prop_map(|(steps, delay)| {
        let (mut at, mut newest, mut clock) = (0, i64::MIN, 1_000);
        let watermark = |newest: i64| newest.saturating_sub(delay).saturating_sub(1);
        let step = |(rows, passed, reload): (Vec<(Row, i64, i64)>, i64, bool)| {
            let timed = |(row, jitter, forwards): (Row, i64, i64)| {
                at += forwards;
                newest = newest.max(at + jitter);
                (row, at + jitter, watermark(newest))
            };
            let rows: Vec<_> = rows.into_iter().map(timed).collect();
            clock += passed;
            let now = Now {
                watermark: watermark(newest),
                clock,
            };
            Step { rows, now, reload }
        };
        steps.into_iter().map(step).collect()
    })
}
