//! `join` with a table: fields for every record.

use millrace_crds::{JoinFieldSpec, JoinSpec, JoinType, TableSpec};

use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use super::steps::Checked;
use super::stream::{self, Around};
use super::table;
use crate::{Field, FieldType, Join, OperatorKind, suggest};

pub(super) fn check(path: &str, spec: &JoinSpec, input: &Scope, around: &Around, problems: &mut Problems) -> Checked {
    match (&spec.table, &spec.stream) {
        (Some(table), None) => with_table(path, spec, table, input, problems),
        (None, Some(other)) => stream::check(path, spec, other, input, around, problems),
        _ => {
            problems.add(path, "set exactly one of table and stream");
            Checked {
                kind: None,
                output: input.clone(),
            }
        }
    }
}

fn with_table(path: &str, spec: &JoinSpec, table: &TableSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let before = problems.len();
    for (member, given) in [
        ("within", spec.within.is_some()),
        ("window", spec.window.is_some()),
        ("ttl", spec.ttl.is_some()),
    ] {
        if given {
            problems.add(format!("{path}.{member}"), "is only for a join with a stream");
        }
    }
    if matches!(spec.join_type, JoinType::Right | JoinType::Outer) {
        let text = "a join with a table is inner or left: which rows no record ever finds is not known";
        problems.add(format!("{path}.type"), text);
    }
    let (table, fields) = table::check(&format!("{path}.table"), table, problems);
    let key = spec.table.iter().flat_map(|table| &table.key);
    let key: Vec<&str> = key.map(String::as_str).collect();
    let whole = table.is_some();
    let on = on(&format!("{path}.match"), spec, &key, input, &fields, whole, problems);
    let keeps_unmatched = spec.join_type == JoinType::Left;
    let mut output = input.clone();
    let added = added(
        path,
        spec,
        (&key, "the table"),
        keeps_unmatched,
        &fields,
        &mut output,
        problems,
    );
    let kind = (problems.len() == before)
        .then(|| {
            Some(OperatorKind::Join(Join {
                table: table?,
                on: on?,
                keeps_unmatched,
                fields: added,
            }))
        })
        .flatten();
    Checked { kind, output }
}

/// For every field of the table's key the input field that must equal it. Whether the key is complete is looked at only
/// where the table is `whole`.
fn on(
    path: &str,
    spec: &JoinSpec,
    key: &[&str],
    input: &Scope,
    table: &Scope,
    whole: bool,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let before = problems.len();
    let mut positions: Vec<Option<usize>> = vec![None; key.len()];
    for (index, on) in spec.on.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let other = on.equals.as_deref().unwrap_or(&on.field);
        let field = input.position(&format!("{path}.field"), &on.field, problems);
        let place = if on.equals.is_some() { "equals" } else { "field" };
        if field.is_none() && on.equals.is_none() {
            continue;
        }
        let Some(at) = key.iter().position(|name| *name == other) else {
            let text = format!(
                "`{other}` is not in the key of the table{}",
                suggest::hint(other, key.iter().copied())
            );
            problems.add(format!("{path}.{place}"), text);
            continue;
        };
        if positions[at].is_some() {
            problems.add(format!("{path}.{place}"), format!("`{other}` is compared already"));
            continue;
        }
        positions[at] = field;
        let theirs = table.fields.iter().find(|field| field.name == other);
        if let (Some(field), Some(theirs)) = (field.map(|at| &input.fields[at]), theirs)
            && !comparable(&field.field_type, &theirs.field_type)
        {
            let text = format!(
                "`{}` is {}, `{other}` of the table is {}: declare it so, or cast the field in a map",
                field.name, field.field_type, theirs.field_type
            );
            problems.add(&path, text);
        }
    }
    let compared = |name: &&&str| {
        let equals = |on: &millrace_crds::JoinOnSpec| on.equals.as_deref().unwrap_or(&on.field) == **name;
        spec.on.iter().any(equals)
    };
    if whole && problems.len() == before {
        for missing in key.iter().filter(|name| !compared(name)) {
            problems.add(path, format!("nothing equals `{missing}` of the table's key"));
        }
    }
    if problems.len() > before {
        return None;
    }
    positions.into_iter().collect()
}

/// Whether equal values of both types are stored alike. How many digits a decimal may have makes no difference.
fn comparable(one: &FieldType, other: &FieldType) -> bool {
    match (one, other) {
        (FieldType::Decimal { scale: one, .. }, FieldType::Decimal { scale: other, .. }) => one == other,
        _ => one == other,
    }
}

/// Appends the added fields to `output`; returns their positions in the other side, which is a table or a stream.
pub(super) fn added(
    path: &str,
    spec: &JoinSpec,
    (key, side): (&[&str], &str),
    nullable: bool,
    table: &Scope,
    output: &mut Scope,
    problems: &mut Problems,
) -> Vec<usize> {
    let default: Vec<JoinFieldSpec>;
    let (specs, given) = match &spec.fields {
        Some(specs) => (specs, true),
        None => {
            let names = table.fields.iter().map(|field| &field.name).chain(&table.unknown);
            let added = names.filter(|name| !key.contains(&name.as_str()));
            default = added
                .map(|name| JoinFieldSpec {
                    field: name.clone(),
                    alias: None,
                })
                .collect();
            (&default, false)
        }
    };
    let mut positions = Vec::new();
    let mut fields = Unique::default();
    for (index, spec) in specs.iter().enumerate() {
        let (field_path, alias_path) = match given {
            true => (
                format!("{path}.fields[{index}].field"),
                format!("{path}.fields[{index}].as"),
            ),
            false => (format!("{path}.fields"), format!("{path}.fields")),
        };
        if !fields.insert("field", &spec.field, &field_path, problems) {
            continue;
        }
        let position = table.position(&field_path, &spec.field, problems);
        let name = spec.alias.as_ref().unwrap_or(&spec.field);
        if let Some(alias) = &spec.alias {
            problems.take(&alias_path, field_name(alias));
        }
        if output.fields.iter().any(|field| field.name == *name) || output.unknown.contains(name) {
            let text = format!("field `{name}` is there already: give that of {side} another name with `as`");
            let place = if spec.alias.is_some() { &alias_path } else { &field_path };
            problems.add(place, text);
            continue;
        }
        match position {
            Some(position) => {
                let field = &table.fields[position];
                let nullable = nullable || field.nullable;
                output
                    .fields
                    .push(Field::computed(name, field.field_type.clone(), nullable));
                positions.push(position);
            }
            None => output.unknown.push(name.clone()),
        }
    }
    positions
}
