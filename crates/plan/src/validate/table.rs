//! A table with a key: where it is, and what its rows are.

use millrace_crds::{
    ConfigMapTableSpec, FileTableSpec, TableAsOf, TableFieldSpec, TableFormat as RawFormat, TableSpec,
};

use super::problems::Problems;
use super::schema::{Digits, check_name, check_path};
use super::scope::{Scope, Unique};
use crate::names::OperatorName;
use crate::{Field, FieldType, Fields, Table, TableFormat, TableOrigin, TopicName};

/// The table as far as it is known: None where it is broken, with its fields.
pub(super) fn check(path: &str, spec: &TableSpec, problems: &mut Problems) -> (Option<Table>, Scope) {
    if OperatorName::parse(&spec.name).is_err() {
        let text = format!(
            "`{}` is not a name of a table: 1 to 63 characters of a-z 0-9 -",
            spec.name
        );
        problems.add(format!("{path}.name"), text);
    }
    let before = problems.len();
    let origin = origin(path, spec, problems);
    let format = origin.as_ref().and_then(|origin| format(path, spec, origin, problems));
    let scope = schema(path, &spec.schema.fields, format, problems);
    let key = scope.key(&format!("{path}.key"), &spec.key, problems);
    for (index, name) in spec.key.iter().enumerate() {
        if scope.fields.iter().any(|field| field.name == *name && field.nullable) {
            let text = format!("field `{name}` may be null and cannot be part of the table's key");
            problems.add(format!("{path}.key[{index}]"), text);
        }
    }
    let valid_from = valid_from(path, spec, &scope, problems);
    let table = || {
        Some(Table {
            name: spec.name.clone(),
            origin: origin?,
            format: format?,
            fields: Fields::new(scope.fields.clone()),
            key: key?,
            valid_from: valid_from?,
        })
    };
    let table = if problems.len() == before { table() } else { None };
    (table, scope)
}

fn origin(path: &str, spec: &TableSpec, problems: &mut Problems) -> Option<TableOrigin> {
    match (&spec.file, &spec.config_map, &spec.topic) {
        (Some(spec), None, None) => file(&format!("{path}.file.path"), spec, problems),
        (None, Some(spec), None) => config_map(&format!("{path}.configMap"), spec, problems),
        (None, None, Some(spec)) => {
            let name = problems.take(format!("{path}.topic.name"), TopicName::parse(&spec.name));
            name.map(TableOrigin::Topic)
        }
        _ => {
            problems.add(path, "set exactly one of file, configMap and topic");
            None
        }
    }
}

fn file(path: &str, spec: &FileTableSpec, problems: &mut Problems) -> Option<TableOrigin> {
    if spec.path.is_empty() || spec.path.ends_with('/') || spec.path.contains('\0') {
        problems.add(path, format!("`{}` is not the path of a file", spec.path));
        return None;
    }
    Some(TableOrigin::File(spec.path.clone()))
}

/// Both parts become parts of a file path, which must stay in its directory.
fn config_map(path: &str, spec: &ConfigMapTableSpec, problems: &mut Problems) -> Option<TableOrigin> {
    let before = problems.len();
    for (part, text) in [("name", &spec.name), ("key", &spec.key)] {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || text.len() > 253 || !text.chars().all(known) || text.contains("..") || text == "." {
            problems.add(
                format!("{path}.{part}"),
                format!("`{text}` is not the {part} of a ConfigMap"),
            );
        }
    }
    (problems.len() == before).then(|| TableOrigin::ConfigMap {
        name: spec.name.clone(),
        key: spec.key.clone(),
    })
}

fn format(path: &str, spec: &TableSpec, origin: &TableOrigin, problems: &mut Problems) -> Option<TableFormat> {
    let name = match origin {
        TableOrigin::File(name) | TableOrigin::ConfigMap { key: name, .. } => name,
        TableOrigin::Topic(_) => {
            if spec.format.is_some() {
                problems.add(
                    format!("{path}.format"),
                    "leave it out: the records of a topic are JSON",
                );
            }
            return Some(TableFormat::JsonLines);
        }
    };
    match spec.format {
        Some(RawFormat::Csv) => return Some(TableFormat::Csv),
        Some(RawFormat::JsonLines) => return Some(TableFormat::JsonLines),
        None => {}
    }
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some(TableFormat::Csv),
        Some("jsonl" | "ndjson") => Some(TableFormat::JsonLines),
        _ => {
            let text = format!("is missing: `{name}` does not end in .csv, .jsonl or .ndjson");
            problems.add(format!("{path}.format"), text);
            None
        }
    }
}

/// The declared fields of a table's rows, or of a joined stream's records.
pub(super) fn schema(
    path: &str,
    specs: &[TableFieldSpec],
    format: Option<TableFormat>,
    problems: &mut Problems,
) -> Scope {
    let path = format!("{path}.schema.fields");
    if specs.is_empty() {
        problems.add(&path, "needs at least one field");
    }
    let mut scope = Scope::default();
    let mut names = Unique::default();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !names.insert("field", &spec.name, &format!("{path}.name"), problems) {
            continue;
        }
        match field(&path, spec, format, problems) {
            Some(field) => {
                check_path(&path, &field, &scope.fields, problems);
                scope.fields.push(field);
            }
            None => scope.unknown.push(spec.name.clone()),
        }
    }
    scope
}

fn field(path: &str, spec: &TableFieldSpec, format: Option<TableFormat>, problems: &mut Problems) -> Option<Field> {
    check_name(path, &spec.name, problems);
    let digits = Digits {
        path,
        precision: spec.precision,
        scale: spec.scale,
    };
    let field_type = digits.scalar(spec.field_type, problems);
    let place = spec.path.as_deref().unwrap_or(&spec.name);
    let parts: Vec<String> = match format {
        // A column's name may hold dots.
        Some(TableFormat::Csv) | None => vec![place.to_owned()],
        Some(TableFormat::JsonLines) => place.split('.').map(str::to_owned).collect(),
    };
    if parts.iter().any(String::is_empty) {
        let text = format!("`{place}` has an empty part: write member names between single dots");
        problems.add(format!("{path}.path"), text);
        return None;
    }
    Some(Field {
        name: spec.name.clone(),
        field_type: field_type?,
        nullable: spec.nullable,
        path: parts,
    })
}

/// The outer None is for broken.
fn valid_from(path: &str, spec: &TableSpec, scope: &Scope, problems: &mut Problems) -> Option<Option<usize>> {
    let path = format!("{path}.validFrom");
    let name = match (spec.as_of, &spec.valid_from) {
        (TableAsOf::Latest, None) => return Some(None),
        (TableAsOf::Latest, Some(_)) => {
            problems.add(path, "is only for `asOf: eventTime`");
            return None;
        }
        (TableAsOf::EventTime, None) => {
            let text = "is missing: `asOf: eventTime` needs the field from which on a row holds";
            problems.add(path, text);
            return None;
        }
        (TableAsOf::EventTime, Some(name)) => name,
    };
    let position = scope.position(&path, name, problems)?;
    let field = &scope.fields[position];
    if field.field_type != FieldType::Timestamp {
        problems.add(
            path,
            format!("`{name}` is {}; it must be a timestamp", field.field_type),
        );
        return None;
    }
    if field.nullable {
        problems.add(path, format!("`{name}` may be null; every row needs it"));
        return None;
    }
    if spec.key.contains(name) {
        problems.add(path, format!("`{name}` is part of the key"));
        return None;
    }
    Some(Some(position))
}
