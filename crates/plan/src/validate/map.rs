//! `map`: computed, renamed, kept and dropped fields.

use millrace_crds::{MapSpec, SetSpec};

use super::problems::Problems;
use super::schema::field_name;
use super::scope::{Scope, Unique};
use super::steps::Checked;
use crate::{Column, Expression, Field, OperatorKind, Projection};

/// An output column under construction. `column` is None where its expression is broken.
struct Draft {
    name: String,
    field: Option<Field>,
    column: Option<Column>,
}

pub(super) fn check(path: &str, spec: &MapSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let before = problems.len();
    let mut drafts = staying(path, spec, input, problems);
    let mut names = Unique::default();
    for (index, set) in spec.set.iter().enumerate() {
        let path = format!("{path}.set[{index}]");
        if !names.insert("field", &set.field, &format!("{path}.field"), problems) {
            continue;
        }
        let draft = computed(&path, set, input, problems);
        match drafts.iter_mut().find(|staying| staying.name == draft.name) {
            Some(staying) => *staying = draft,
            None => drafts.push(draft),
        }
    }
    if drafts.is_empty() && problems.len() == before {
        problems.add(path, "leaves no field");
    }
    let mut output = Scope::default();
    let mut columns = Vec::new();
    for draft in drafts {
        match (draft.field, draft.column) {
            (Some(field), Some(column)) => {
                output.fields.push(field);
                columns.push(column);
            }
            _ => output.unknown.push(draft.name),
        }
    }
    let kind = (problems.len() == before).then(|| OperatorKind::Map(Projection { columns }));
    Checked { kind, output }
}

/// The input's fields that stay, in order and under their new names.
fn staying(path: &str, spec: &MapSpec, input: &Scope, problems: &mut Problems) -> Vec<Draft> {
    if spec.keep.is_some() && spec.drop.is_some() {
        problems.add(path, "keep and drop exclude each other");
    }
    let keep = listed(&format!("{path}.keep"), spec.keep.as_deref(), input, problems);
    let drop = listed(&format!("{path}.drop"), spec.drop.as_deref(), input, problems);
    let renamed = renames(path, spec, drop.as_deref().unwrap_or_default(), input, problems);
    let new_name = |name: &str| {
        renamed
            .iter()
            .find(|(from, _)| *from == name)
            .map_or(name, |(_, to)| to)
            .to_owned()
    };

    let all = || {
        input
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .chain(input.unknown.iter().map(String::as_str))
    };
    let mut names: Vec<&str> = match (&keep, &drop) {
        (Some(keep), _) => keep.clone(),
        (None, drop) => all()
            .filter(|name| !drop.as_ref().is_some_and(|drop| drop.contains(name)))
            .collect(),
    };
    names.extend(
        renamed
            .iter()
            .map(|(from, _)| *from)
            .filter(|from| !names.contains(from))
            .collect::<Vec<_>>(),
    );

    let mut drafts: Vec<Draft> = Vec::new();
    for name in names {
        let to = new_name(name);
        if drafts.iter().any(|draft| draft.name == to) {
            problems.add(format!("{path}.rename"), format!("two fields would be called `{to}`"));
            continue;
        }
        let position = input.fields.iter().position(|field| field.name == name);
        let field = position.map(|position| {
            let field = &input.fields[position];
            Field::computed(&to, field.field_type.clone(), field.nullable)
        });
        drafts.push(Draft {
            name: to,
            field,
            column: position.map(Column::Input),
        });
    }
    drafts
}

/// The names of `keep` or `drop` that exist.
fn listed<'a>(path: &str, names: Option<&'a [String]>, input: &Scope, problems: &mut Problems) -> Option<Vec<&'a str>> {
    let mut unique = Unique::default();
    let mut found = Vec::new();
    for (index, name) in names?.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let new = unique.insert("field", name, &path, problems);
        let known = input.position(&path, name, problems).is_some() || input.unknown.contains(name);
        if new && known {
            found.push(name.as_str());
        }
    }
    Some(found)
}

fn renames<'a>(
    path: &str,
    spec: &'a MapSpec,
    dropped: &[&str],
    input: &Scope,
    problems: &mut Problems,
) -> Vec<(&'a str, &'a str)> {
    let mut sources = Unique::default();
    let mut targets = Unique::default();
    let mut renamed = Vec::new();
    for (index, rename) in spec.rename.iter().enumerate() {
        let path = format!("{path}.rename[{index}]");
        let from_path = format!("{path}.from");
        let to_path = format!("{path}.to");
        let mut valid = sources.insert("field", &rename.from, &from_path, problems);
        valid &= targets.insert("field", &rename.to, &to_path, problems);
        valid &= problems.take(&to_path, field_name(&rename.to)).is_some();
        valid &= input.position(&from_path, &rename.from, problems).is_some() || input.unknown.contains(&rename.from);
        if dropped.contains(&rename.from.as_str()) {
            problems.add(
                &from_path,
                format!("field `{}` is dropped by the same step", rename.from),
            );
            valid = false;
        }
        if spec.set.iter().any(|set| set.field == rename.to) {
            problems.add(&to_path, format!("field `{}` is computed by the same step", rename.to));
            valid = false;
        }
        if valid {
            renamed.push((rename.from.as_str(), rename.to.as_str()));
        }
    }
    renamed
}

fn computed(path: &str, set: &SetSpec, input: &Scope, problems: &mut Problems) -> Draft {
    problems.take(format!("{path}.field"), field_name(&set.field));
    let (field, column) = match input.expression(&format!("{path}.expression"), &set.expression, problems) {
        Some(expression) => {
            let field = Field::computed(&set.field, expression.field_type.clone(), expression.nullable);
            (Some(field), Some(column(expression, input)))
        }
        None => (None, None),
    };
    Draft {
        name: set.field.clone(),
        field,
        column,
    }
}

/// An expression that only names a field is that field.
pub(super) fn column(expression: Expression, input: &Scope) -> Column {
    let same = expression
        .as_field()
        .and_then(|name| input.fields.iter().position(|field| field.name == name));
    same.map_or(Column::Computed(expression), Column::Input)
}
