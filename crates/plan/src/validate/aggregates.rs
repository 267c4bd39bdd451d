//! Aggregates: what each computes, of what type, and the fields that come out.

use std::sync::Arc;

use millrace_crds::{AggregateFunction as RawFunction, AggregateSpec};

use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use crate::{Aggregate, AggregateFunction, ArrayItem, Expression, Field, FieldType, ItemKind, Percentile};

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
    let before = problems.len();
    let argument_path = format!("{path}.expression");
    let argument = expression(&argument_path, spec.expression.as_deref(), input, problems);
    if spec.expression.is_none() && spec.function != RawFunction::Count {
        let text = format!("is missing: {} needs something to compute over", word(spec.function));
        problems.add(&argument_path, text);
    }
    let by = expression(&format!("{path}.by"), spec.by.as_deref(), input, problems);
    let predicate = spec.predicate.as_ref();
    let predicate = predicate.map(|text| input.predicate(&format!("{path}.where"), text, problems));
    let function = check_function(path, spec, problems);
    check_distinct(path, spec, problems);
    if spec.by.is_some() && spec.function != RawFunction::TopN {
        problems.add(
            format!("{path}.by"),
            format!("goes with topN, not with {}", word(spec.function)),
        );
    }
    let (argument, by, predicate) = (known(argument)?, known(by)?, known(predicate)?);
    if problems.len() > before {
        return None;
    }
    let result = problems.take(&argument_path, result_type(spec.function, argument.as_ref()))?;
    Some(Aggregate {
        name: spec.name.clone(),
        function: function?,
        argument,
        distinct: spec.distinct,
        by,
        predicate,
        result,
    })
}

/// None: not written. Some(None): broken, or over a field that is.
type Optional = Option<Option<Expression>>;

fn expression(path: &str, text: Option<&str>, input: &Scope, problems: &mut Problems) -> Optional {
    text.map(|text| input.expression(path, text, problems))
}

/// None for a broken one.
fn known(expression: Optional) -> Option<Option<Expression>> {
    match expression {
        None => Some(None),
        Some(expression) => expression.map(Some),
    }
}

/// The function with its parameters.
fn check_function(path: &str, spec: &AggregateSpec, problems: &mut Problems) -> Option<AggregateFunction> {
    let lists = matches!(spec.function, RawFunction::CollectList | RawFunction::TopN);
    let limit = match spec.limit {
        Some(limit) if lists => Some(limit),
        Some(_) => {
            let text = format!("goes with collectList and topN, not with {}", word(spec.function));
            problems.add(format!("{path}.limit"), text);
            None
        }
        None if lists => {
            let text = format!(
                "is missing: {} needs to know how many values at most",
                word(spec.function)
            );
            problems.add(format!("{path}.limit"), text);
            None
        }
        None => None,
    };
    let percentile_path = format!("{path}.percentile");
    let percentile = match (spec.percentile, spec.function) {
        (Some(part), RawFunction::ApproxPercentile) => problems.take(
            percentile_path,
            Percentile::parse(part)
                .ok_or_else(|| format!("{part} must be from 0 to 1, with at most six digits after the point")),
        ),
        (Some(_), other) => {
            problems.add(
                percentile_path,
                format!("goes with approxPercentile, not with {}", word(other)),
            );
            None
        }
        (None, RawFunction::ApproxPercentile) => {
            problems.add(
                percentile_path,
                "is missing: 0.95 for the value that 95 % do not exceed",
            );
            None
        }
        (None, _) => None,
    };
    Some(match spec.function {
        RawFunction::Count => AggregateFunction::Count,
        RawFunction::Sum => AggregateFunction::Sum,
        RawFunction::Min => AggregateFunction::Min,
        RawFunction::Max => AggregateFunction::Max,
        RawFunction::Avg => AggregateFunction::Avg,
        RawFunction::Stddev | RawFunction::StddevSamp => AggregateFunction::Stddev,
        RawFunction::StddevPop => AggregateFunction::StddevPop,
        RawFunction::Variance => AggregateFunction::Variance,
        RawFunction::VariancePop => AggregateFunction::VariancePop,
        RawFunction::First => AggregateFunction::First,
        RawFunction::Last => AggregateFunction::Last,
        RawFunction::CountDistinct => AggregateFunction::CountDistinct,
        RawFunction::ApproxCountDistinct => AggregateFunction::ApproxCountDistinct,
        RawFunction::ApproxPercentile => AggregateFunction::ApproxPercentile(percentile?),
        RawFunction::CollectList => AggregateFunction::CollectList { limit: limit? },
        RawFunction::TopN => AggregateFunction::Top { limit: limit? },
    })
}

fn check_distinct(path: &str, spec: &AggregateSpec, problems: &mut Problems) {
    let path = format!("{path}.distinct");
    match spec.function {
        _ if !spec.distinct => {}
        RawFunction::Count if spec.expression.is_none() => {
            problems.add(path, "needs an expression: no two records are the same");
        }
        RawFunction::Count
        | RawFunction::Sum
        | RawFunction::Avg
        | RawFunction::Stddev
        | RawFunction::StddevSamp
        | RawFunction::StddevPop
        | RawFunction::Variance
        | RawFunction::VariancePop
        | RawFunction::CollectList => {}
        RawFunction::CountDistinct | RawFunction::ApproxCountDistinct => {
            problems.add(
                path,
                format!("{} counts different values as it is", word(spec.function)),
            );
        }
        RawFunction::Min | RawFunction::Max | RawFunction::First | RawFunction::Last => {
            problems.add(path, format!("changes nothing for {}", word(spec.function)));
        }
        RawFunction::ApproxPercentile | RawFunction::TopN => {
            problems.add(path, format!("does not go with {}", word(spec.function)));
        }
    }
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
        (RawFunction::Count | RawFunction::CountDistinct | RawFunction::ApproxCountDistinct, _) => Ok(FieldType::Int64),
        (RawFunction::Min | RawFunction::Max | RawFunction::First | RawFunction::Last, any) => Ok(any.clone()),
        (RawFunction::CollectList | RawFunction::TopN, any) => Ok(FieldType::Array(Arc::new(ArrayItem {
            nullable: false,
            kind: ItemKind::Scalar(any.clone()),
        }))),
        (RawFunction::Sum, FieldType::Decimal { scale, .. }) => Ok(FieldType::Decimal {
            precision: DIGITS,
            scale: *scale,
        }),
        (RawFunction::Sum, any) => number(any.clone()),
        (RawFunction::Avg, FieldType::Decimal { scale, .. }) => Ok(FieldType::Decimal {
            precision: DIGITS,
            scale: (scale + MEAN_DIGITS).min(DIGITS),
        }),
        (
            RawFunction::Avg
            | RawFunction::Stddev
            | RawFunction::StddevSamp
            | RawFunction::StddevPop
            | RawFunction::Variance
            | RawFunction::VariancePop
            | RawFunction::ApproxPercentile,
            _,
        ) => number(FieldType::Float64),
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
        RawFunction::StddevSamp => "stddevSamp",
        RawFunction::StddevPop => "stddevPop",
        RawFunction::Variance => "variance",
        RawFunction::VariancePop => "variancePop",
        RawFunction::First => "first",
        RawFunction::Last => "last",
        RawFunction::CountDistinct => "countDistinct",
        RawFunction::ApproxCountDistinct => "approxCountDistinct",
        RawFunction::ApproxPercentile => "approxPercentile",
        RawFunction::CollectList => "collectList",
        RawFunction::TopN => "topN",
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
            let nullable = !aggregate.function.is_never_null();
            Field::computed(&aggregate.name, aggregate.result.clone(), nullable)
        })),
        None => scope.unknown.extend(specs.iter().map(|spec| spec.name.clone())),
    }
    scope
}
