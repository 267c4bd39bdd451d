//! `spec.schema`: the declared fields.

use std::sync::Arc;

use millrace_crds::{FieldSpec, FieldType as RawType, ItemFieldSpec, ItemType, ItemsSpec, ScalarType};

use super::declared::Declared;
use super::problems::Problems;
use super::scope::{Scope, Unique};
use crate::{ArrayItem, Field, FieldType, ItemKind};

const MAX_DIGITS: u8 = 38;

/// The declared fields; None where none are declared.
pub(super) fn check(declared: &Declared, problems: &mut Problems) -> Option<Scope> {
    let Some(schema) = declared.schema else {
        if !declared.reads_pipeline() {
            problems.add("spec.schema", "is missing: declare the fields of the records");
        }
        return None;
    };
    if declared.reads_pipeline() {
        problems.add(
            "spec.schema",
            "leave it out: the fields come from the referenced pipeline",
        );
        return None;
    }
    if schema.fields.is_empty() {
        problems.add("spec.schema.fields", "needs at least one field");
        return None;
    }
    let mut scope = Scope::default();
    let mut names = Unique::default();
    for (index, spec) in schema.fields.iter().enumerate() {
        let path = format!("spec.schema.fields[{index}]");
        if !names.insert("field", &spec.name, &format!("{path}.name"), problems) {
            continue;
        }
        match field(&path, spec, problems) {
            Some(field) => {
                check_path(&path, &field, &scope.fields, problems);
                scope.fields.push(field);
            }
            None => scope.unknown.push(spec.name.clone()),
        }
    }
    Some(scope)
}

fn field(path: &str, spec: &FieldSpec, problems: &mut Problems) -> Option<Field> {
    check_name(path, &spec.name, problems);
    let json = spec.path.as_deref().unwrap_or(&spec.name);
    if json.split('.').any(str::is_empty) {
        problems.add(
            format!("{path}.path"),
            format!("`{json}` has an empty part: write member names between single dots"),
        );
        return None;
    }
    if spec.items.is_some() && spec.field_type != RawType::Array {
        problems.add(format!("{path}.items"), "only a field of type array has items");
    }
    let digits = Digits {
        path,
        precision: spec.precision,
        scale: spec.scale,
    };
    let field_type = match spec.field_type {
        RawType::Boolean => digits.none(FieldType::Boolean, problems),
        RawType::Int64 => digits.none(FieldType::Int64, problems),
        RawType::Float64 => digits.none(FieldType::Float64, problems),
        RawType::String => digits.none(FieldType::String, problems),
        RawType::Timestamp => digits.none(FieldType::Timestamp, problems),
        RawType::Decimal => digits.decimal(problems),
        RawType::Array => match &spec.items {
            Some(items) => {
                let item = array_item(&format!("{path}.items"), items, problems)?;
                digits.none(FieldType::Array(Arc::new(item)), problems)
            }
            None => {
                problems.add(format!("{path}.items"), "is missing: say what the array holds");
                None
            }
        },
    }?;
    Some(Field {
        name: spec.name.clone(),
        field_type,
        nullable: spec.nullable,
        path: json.split('.').map(str::to_owned).collect(),
    })
}

fn array_item(path: &str, spec: &ItemsSpec, problems: &mut Problems) -> Option<ArrayItem> {
    let digits = Digits {
        path,
        precision: spec.precision,
        scale: spec.scale,
    };
    if spec.fields.is_some() && spec.item_type != ItemType::Object {
        problems.add(format!("{path}.fields"), "only items of type object have fields");
    }
    let scalar = match spec.item_type {
        ItemType::Boolean => digits.none(FieldType::Boolean, problems),
        ItemType::Int64 => digits.none(FieldType::Int64, problems),
        ItemType::Float64 => digits.none(FieldType::Float64, problems),
        ItemType::String => digits.none(FieldType::String, problems),
        ItemType::Timestamp => digits.none(FieldType::Timestamp, problems),
        ItemType::Decimal => digits.decimal(problems),
        ItemType::Object => {
            let fields = item_fields(
                &format!("{path}.fields"),
                spec.fields.as_deref().unwrap_or_default(),
                problems,
            )?;
            return Some(ArrayItem {
                nullable: spec.nullable,
                kind: ItemKind::Object(fields),
            });
        }
    };
    Some(ArrayItem {
        nullable: spec.nullable,
        kind: ItemKind::Scalar(scalar?),
    })
}

fn item_fields(path: &str, specs: &[ItemFieldSpec], problems: &mut Problems) -> Option<Vec<Field>> {
    let before = problems.len();
    if specs.is_empty() {
        problems.add(path, "is missing: items of type object need at least one field");
    }
    let mut names = Unique::default();
    let mut fields = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        names.insert("field", &spec.name, &format!("{path}.name"), problems);
        check_name(&path, &spec.name, problems);
        let digits = Digits {
            path: &path,
            precision: spec.precision,
            scale: spec.scale,
        };
        let field_type = digits.scalar(spec.field_type, problems);
        fields.extend(field_type.map(|field_type| Field::computed(&spec.name, field_type, spec.nullable)));
    }
    (problems.len() == before).then_some(fields)
}

pub(super) fn check_name(path: &str, name: &str, problems: &mut Problems) {
    problems.take(format!("{path}.name"), field_name(name));
}

/// Checks a name that a spec gives to a field.
pub(super) fn field_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if starts && name.len() <= 128 && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a field name: 1 to 128 letters, digits and _, no digit first"
    ))
}

/// Two fields must not claim the same place of the JSON object.
pub(super) fn check_path(at: &str, field: &Field, before: &[Field], problems: &mut Problems) {
    for other in before {
        let (path, there) = (field.path.join("."), other.path.join("."));
        if field.path == other.path {
            problems.add(
                format!("{at}.path"),
                format!("field `{}` stands at `{path}` already", other.name),
            );
        } else if field.path.starts_with(&other.path) || other.path.starts_with(&field.path) {
            let text = format!(
                "`{path}` and `{there}` of field `{}` cannot both be values: one holds the other",
                other.name
            );
            problems.add(format!("{at}.path"), text);
        }
    }
}

/// `precision` and `scale` of one type.
pub(super) struct Digits<'a> {
    pub(super) path: &'a str,
    pub(super) precision: Option<u8>,
    pub(super) scale: Option<u8>,
}

impl Digits<'_> {
    /// A type that is neither list nor object.
    pub(super) fn scalar(&self, scalar: ScalarType, problems: &mut Problems) -> Option<FieldType> {
        match scalar {
            ScalarType::Boolean => self.none(FieldType::Boolean, problems),
            ScalarType::Int64 => self.none(FieldType::Int64, problems),
            ScalarType::Float64 => self.none(FieldType::Float64, problems),
            ScalarType::String => self.none(FieldType::String, problems),
            ScalarType::Timestamp => self.none(FieldType::Timestamp, problems),
            ScalarType::Decimal => self.decimal(problems),
        }
    }

    /// `field_type`, which has neither.
    fn none(&self, field_type: FieldType, problems: &mut Problems) -> Option<FieldType> {
        for (name, given) in [("precision", self.precision), ("scale", self.scale)] {
            if given.is_some() {
                problems.add(format!("{}.{name}", self.path), format!("only type decimal has {name}"));
            }
        }
        Some(field_type)
    }

    fn decimal(&self, problems: &mut Problems) -> Option<FieldType> {
        let before = problems.len();
        let precision = self.precision.unwrap_or(MAX_DIGITS);
        if !(1..=MAX_DIGITS).contains(&precision) {
            problems.add(format!("{}.precision", self.path), "must be between 1 and 38");
        }
        let path = format!("{}.scale", self.path);
        match self.scale {
            None => problems.add(path, "is missing: type decimal needs the digits after the point"),
            Some(scale) if scale > precision.min(MAX_DIGITS) => {
                problems.add(
                    path,
                    format!("must be at most {}, the digits in all", precision.min(MAX_DIGITS)),
                );
            }
            Some(_) => {}
        }
        (problems.len() == before).then(|| FieldType::Decimal {
            precision,
            scale: self.scale.unwrap_or_default(),
        })
    }
}
