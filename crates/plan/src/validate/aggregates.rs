//! `groupBy` and `window`: keys and aggregates.

use millrace_crds::{AggregateFunction as RawFunction, AggregateSpec, GroupBySpec, WindowSpec};

use super::duration;
use super::key::RecordKey;
use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use super::steps::Checked;
use crate::{Aggregate, AggregateFunction, Expression, Field, FieldType, Group, OperatorKind, Tumbling, Window};

/// Digits of sums and means of decimals.
const DIGITS: u8 = 38;
/// Digits that a mean has after the point beyond those of its values.
const MEAN_DIGITS: u8 = 4;

pub(super) fn check_group(
    path: &str,
    spec: &GroupBySpec,
    input: &Scope,
    key: &RecordKey,
    problems: &mut Problems,
) -> Checked {
    let keys = check_keys(&format!("{path}.keys"), &spec.keys, input, key, problems);
    let aggregates = check_aggregates(
        &format!("{path}.aggregates"),
        &spec.aggregates,
        &spec.keys,
        &[],
        input,
        problems,
    );
    let output = results(&spec.keys, Vec::new(), &spec.aggregates, aggregates.as_deref(), input);
    let kind = keys
        .zip(aggregates)
        .map(|(keys, aggregates)| OperatorKind::Group(Group { keys, aggregates }));
    Checked { kind, output }
}

pub(super) fn check_window(
    path: &str,
    spec: &WindowSpec,
    input: &Scope,
    key: &RecordKey,
    problems: &mut Problems,
) -> Checked {
    let tumbling = check_tumbling(&format!("{path}.tumbling"), spec, problems);
    let allowed_lateness = match &spec.allowed_lateness {
        Some(text) => problems.take(format!("{path}.allowedLateness"), duration::millis(text, 0)),
        None => Some(0),
    };
    let added = vec![
        Field::computed("window_start", FieldType::Timestamp, false),
        Field::computed("window_end", FieldType::Timestamp, false),
        Field::computed("is_final", FieldType::Boolean, false),
    ];
    let keys_path = format!("{path}.keys");
    for (index, name) in spec
        .keys
        .iter()
        .enumerate()
        .filter(|(_, name)| added.iter().any(|field| field.name == **name))
    {
        let text = format!("`{name}` is a field that every window adds; rename the key in a map before");
        problems.add(format!("{keys_path}[{index}]"), text);
    }
    let keys = check_keys(&keys_path, &spec.keys, input, key, problems);
    let aggregates_path = format!("{path}.aggregates");
    let aggregates = check_aggregates(&aggregates_path, &spec.aggregates, &spec.keys, &added, input, problems);
    let output = results(&spec.keys, added, &spec.aggregates, aggregates.as_deref(), input);
    let window = || {
        Some(Window {
            tumbling: tumbling?,
            allowed_lateness: allowed_lateness?,
            keys: keys?,
            aggregates: aggregates?,
        })
    };
    Checked {
        kind: window().map(OperatorKind::Window),
        output,
    }
}

fn check_tumbling(path: &str, spec: &WindowSpec, problems: &mut Problems) -> Option<Tumbling> {
    let size = problems.take(format!("{path}.size"), duration::millis(&spec.tumbling.size, 1));
    let offset = match &spec.tumbling.offset {
        Some(text) => problems.take(format!("{path}.offset"), duration::millis(text, 0)),
        None => Some(0),
    };
    let tumbling = Tumbling {
        size: size?,
        offset: offset?,
    };
    if tumbling.offset >= tumbling.size {
        problems.add(format!("{path}.offset"), "must be shorter than size");
        return None;
    }
    Some(tumbling)
}

/// All records of a group must stand in one partition, so the record key must be part of the group key.
fn check_keys(
    path: &str,
    names: &[String],
    input: &Scope,
    key: &RecordKey,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let positions = input.key(path, names, problems)?;
    match key {
        RecordKey::Broken => return None,
        RecordKey::None(what_to_do) => {
            problems.add(path, format!("needs the record key: {what_to_do}"));
            return None;
        }
        RecordKey::Of(key) => {
            let missing = key.missing(&positions);
            if let Some(first) = missing.first() {
                problems.add(path, not_the_record_key(first, key.names(), names));
                return None;
            }
        }
    }
    Some(positions)
}

fn not_the_record_key(missing: &str, record_key: &[String], names: &[String]) -> String {
    let record_key = listed(record_key);
    if names.iter().any(|name| name == missing) {
        return format!(
            "`{missing}` was computed anew and may differ from the record key ({record_key}): group before that"
        );
    }
    format!(
        "must include the record key ({record_key}): grouping by another field than the record key is not supported yet; \
         write the topic keyed by {}",
        listed(names)
    )
}

fn listed(names: &[impl AsRef<str>]) -> String {
    names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn check_aggregates(
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
fn results(
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
