//! `flatMap`: one record for every item of an array, or several outputs of every record.

use millrace_crds::{ExplodeSpec, FlatMapOutputSpec, FlatMapSpec};

use super::map;
use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use super::steps::Checked;
use crate::{Column, Explode, Field, FieldType, FlatMap, ItemKind, OperatorKind, Projection, SplitOutput};

pub(super) fn check(path: &str, spec: &FlatMapSpec, input: &Scope, problems: &mut Problems) -> Checked {
    match (&spec.explode, &spec.outputs) {
        (Some(spec), None) => explode(&format!("{path}.explode"), spec, input, problems),
        (None, Some(specs)) => split(&format!("{path}.outputs"), specs, input, problems),
        _ => {
            problems.add(path, "set exactly one of explode and outputs");
            Checked {
                kind: None,
                output: input.clone(),
            }
        }
    }
}

fn explode(path: &str, spec: &ExplodeSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let before = problems.len();
    let broken = || Checked {
        kind: None,
        output: input.clone(),
    };
    let field_path = format!("{path}.field");
    let Some(array) = input.position(&field_path, &spec.field, problems) else {
        return broken();
    };
    let FieldType::Array(item) = &input.fields[array].field_type else {
        let text = format!(
            "field `{}` is {}; only an array can be exploded",
            spec.field, input.fields[array].field_type
        );
        problems.add(field_path, text);
        return broken();
    };
    let mut added = Vec::new();
    if let Some(position) = &spec.position {
        problems.take(format!("{path}.position"), field_name(position));
        added.push(Field::computed(position, FieldType::Int64, false));
    }
    if let Some(alias) = &spec.alias {
        problems.take(format!("{path}.as"), field_name(alias));
    }
    match &item.kind {
        ItemKind::Scalar(scalar) => {
            let name = spec.alias.as_ref().unwrap_or(&spec.field);
            added.push(Field::computed(name, scalar.clone(), item.nullable));
        }
        ItemKind::Object(fields) => added.extend(fields.iter().map(|field| {
            let name = spec
                .alias
                .as_ref()
                .map_or_else(|| field.name.clone(), |alias| format!("{alias}_{}", field.name));
            Field::computed(name, field.field_type.clone(), field.nullable || item.nullable)
        })),
    }
    for (index, field) in added.iter().enumerate() {
        let others = input
            .fields
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != array)
            .map(|(_, other)| other);
        if others.chain(&added[..index]).any(|other| other.name == field.name) {
            problems.add(path, format!("two fields would be called `{}`; set `as`", field.name));
        }
    }
    // Built anew, so that no field keeps the path that it had in the input's JSON.
    let passed = |field: &Field| Field::computed(&field.name, field.field_type.clone(), field.nullable);
    let (left, right) = (&input.fields[..array], &input.fields[array + 1..]);
    let fields = left
        .iter()
        .map(passed)
        .chain(added)
        .chain(right.iter().map(passed))
        .collect();
    let explode = Explode {
        array,
        position: spec.position.is_some(),
    };
    let kind = (problems.len() == before).then_some(OperatorKind::FlatMap(FlatMap::Explode(explode)));
    Checked {
        kind,
        output: Scope {
            fields,
            unknown: input.unknown.clone(),
        },
    }
}

fn split(path: &str, specs: &[FlatMapOutputSpec], input: &Scope, problems: &mut Problems) -> Checked {
    let before = problems.len();
    if specs.is_empty() {
        problems.add(path, "needs at least one output");
    }
    let mut output = Scope::default();
    let mut splits = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let predicate = spec
            .predicate
            .as_ref()
            .map(|text| input.predicate(&format!("{path}.where"), text, problems));
        let Some(named) = columns(&format!("{path}.set"), spec, input, problems) else {
            if index == 0 {
                output.unknown = spec.set.iter().map(|set| set.field.clone()).collect();
            }
            continue;
        };
        if index == 0 {
            output.fields = named.iter().map(|(field, _)| field.clone()).collect();
        }
        let same = output
            .unknown
            .is_empty()
            .then(|| in_order(&path, named, &mut output.fields, problems))
            .flatten();
        if let (Some(columns), Some(predicate)) = (same, predicate.map_or(Some(None), |checked| checked.map(Some))) {
            splits.push(SplitOutput {
                predicate,
                projection: Projection { columns },
            });
        }
    }
    let kind = (problems.len() == before && splits.len() == specs.len())
        .then_some(OperatorKind::FlatMap(FlatMap::Split(splits)));
    Checked { kind, output }
}

fn columns(
    path: &str,
    spec: &FlatMapOutputSpec,
    input: &Scope,
    problems: &mut Problems,
) -> Option<Vec<(Field, Column)>> {
    let mut names = Unique::default();
    let mut columns = Vec::new();
    if spec.set.is_empty() {
        problems.add(path, "needs at least one field");
    }
    for (index, set) in spec.set.iter().enumerate() {
        let path = format!("{path}[{index}]");
        names.insert("field", &set.field, &format!("{path}.field"), problems);
        problems.take(format!("{path}.field"), field_name(&set.field));
        if let Some(expression) = input.expression(&format!("{path}.expression"), &set.expression, problems) {
            let field = Field::computed(&set.field, expression.field_type.clone(), expression.nullable);
            columns.push((field, map::column(expression, input)));
        }
    }
    (columns.len() == spec.set.len() && !columns.is_empty()).then_some(columns)
}

/// The columns in the order of the first output's fields. Where one may be null, the field may be null in all.
fn in_order(
    path: &str,
    mut named: Vec<(Field, Column)>,
    fields: &mut [Field],
    problems: &mut Problems,
) -> Option<Vec<Column>> {
    let before = problems.len();
    let mut columns = Vec::new();
    for field in fields.iter_mut() {
        let Some(at) = named.iter().position(|(other, _)| other.name == field.name) else {
            problems.add(
                format!("{path}.set"),
                format!("field `{}` is missing, and the first output has it", field.name),
            );
            continue;
        };
        let (other, column) = named.swap_remove(at);
        if other.field_type != field.field_type {
            let text = format!(
                "field `{}` is {} here and {} in the first output; cast it",
                field.name, other.field_type, field.field_type
            );
            problems.add(format!("{path}.set"), text);
        }
        field.nullable |= other.nullable;
        columns.push(column);
    }
    for (field, _) in named {
        problems.add(
            format!("{path}.set"),
            format!("the first output has no field `{}`", field.name),
        );
    }
    (problems.len() == before).then_some(columns)
}
