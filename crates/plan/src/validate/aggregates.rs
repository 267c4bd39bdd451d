//! Aggregates: what each computes, of what type, and the fields that come out.

use millrace_crds::{AggregateFunction as RawFunction, AggregateSpec};

use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use crate::{Aggregate, AggregateFunction, Expression, Field, FieldType};

/// Digits of sums and means of decimals.
const DIGITS: u8 = 38;
/// Digits that a mean has after the point beyond those of its values.
const MEAN_DIGITS: u8 = 4;

pub(super) fn check_aggregates(
    path: &str,
    specs: &[AggregateSpec],
    keys: &[String],
    added: &[Field],
    input: &Scope,
    problems: &mut Problems,
) -> Option<Vec<Aggregate>> {
    if specs.is_empty() {
        problems.add(path, "needs at least one aggregate");
    }
    let mut names = Unique::default();
    let mut aggregates = Vec::new();
    let mut valid = !specs.is_empty();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name_path = format!("{path}.name");
        valid &= names.insert("aggregate", &spec.name, &name_path, problems);
        valid &= problems.take(&name_path, field_name(&spec.name)).is_some();
        if keys.contains(&spec.name) || added.iter().any(|field| field.name == spec.name) {
            let what = if keys.contains(&spec.name) {
                "a key"
            } else {
                "a field that every window adds"
            };
            problems.add(&name_path, format!("`{}` is the name of {what} already", spec.name));
            valid = false;
        }
        match check_aggregate(&path, spec, input, problems) {
            Some(aggregate) => aggregates.push(aggregate),
            None => valid = false,
        }
    }
    valid.then_some(aggregates)
}

fn check_aggregate(path: &str, spec: &AggregateSpec, input: &Scope, problems: &mut Problems) -> Option<Aggregate> {
    let path = format!("{path}.expression");
    let argument = match &spec.expression {
        Some(text) => Some(input.expression(&path, text, problems)?),
        None if spec.function == RawFunction::Count => None,
        None => {
            problems.add(
                path,
                format!("is missing: {} needs something to compute over", word(spec.function)),
            );
            return None;
        }
    };
    let result = problems.take(&path, result_type(spec.function, argument.as_ref()))?;
    let function = match spec.function {
        RawFunction::Count => AggregateFunction::Count,
        RawFunction::Sum => AggregateFunction::Sum,
        RawFunction::Min => AggregateFunction::Min,
        RawFunction::Max => AggregateFunction::Max,
        RawFunction::Avg => AggregateFunction::Avg,
        RawFunction::Stddev => AggregateFunction::Stddev,
    };
    Some(Aggregate {
        name: spec.name.clone(),
        function,
        argument,
        result,
    })
}

fn result_type(function: RawFunction, argument: Option<&Expression>) -> Result<FieldType, String> {
    let Some(argument) = argument else {
        return Ok(FieldType::Int64);
    };
    let number = |result: FieldType| match &argument.field_type {
        FieldType::Int64 | FieldType::Float64 | FieldType::Decimal { .. } => Ok(result),
        other => Err(format!(
            "{} needs numbers, but `{}` is {other}",
            word(function),
            argument.text
        )),
    };
    match (function, &argument.field_type) {
        (RawFunction::Count, _) => Ok(FieldType::Int64),
        (RawFunction::Min | RawFunction::Max, any) => Ok(any.clone()),
        (RawFunction::Sum, FieldType::Decimal { scale, .. }) => Ok(FieldType::Decimal {
            precision: DIGITS,
            scale: *scale,
        }),
        (RawFunction::Sum, any) => number(any.clone()),
        (RawFunction::Avg, FieldType::Decimal { scale, .. }) => Ok(FieldType::Decimal {
            precision: DIGITS,
            scale: (scale + MEAN_DIGITS).min(DIGITS),
        }),
        (RawFunction::Avg | RawFunction::Stddev, _) => number(FieldType::Float64),
    }
}

fn word(function: RawFunction) -> &'static str {
    match function {
        RawFunction::Count => "count",
        RawFunction::Sum => "sum",
        RawFunction::Min => "min",
        RawFunction::Max => "max",
        RawFunction::Avg => "avg",
        RawFunction::Stddev => "stddev",
    }
}

/// The keys, what the operator adds, the aggregates. What is broken is known by name.
pub(super) fn results(
    keys: &[String],
    added: Vec<Field>,
    specs: &[AggregateSpec],
    aggregates: Option<&[Aggregate]>,
    input: &Scope,
) -> Scope {
    let mut scope = Scope::default();
    for name in keys {
        match input.fields.iter().find(|field| field.name == *name) {
            Some(field) => scope
                .fields
                .push(Field::computed(name, field.field_type.clone(), field.nullable)),
            None => scope.unknown.push(name.clone()),
        }
    }
    scope.fields.extend(added);
    match aggregates {
        Some(aggregates) => scope.fields.extend(aggregates.iter().map(|aggregate| {
            let nullable = aggregate.function != AggregateFunction::Count;
            Field::computed(&aggregate.name, aggregate.result.clone(), nullable)
        })),
        None => scope.unknown.extend(specs.iter().map(|spec| spec.name.clone())),
    }
    scope
}
