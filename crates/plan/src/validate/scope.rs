//! The fields at one place of a pipeline while it is checked.

use std::collections::HashMap;

use super::problems::Problems;
use crate::{Expression, Field, FieldType, Fields, suggest};

/// The fields that come into an operator. A field whose type is unknown, because what makes it is broken, is known by
/// name only: what builds on it is not checked, and not reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) fields: Vec<Field>,
    pub(super) unknown: Vec<String>,
}

impl Scope {
    pub(super) fn of(fields: Vec<Field>) -> Self {
        Self {
            fields,
            unknown: Vec::new(),
        }
    }

    pub(super) fn into_fields(self) -> Fields {
        Fields::new(self.fields)
    }

    /// Position of the field `name`. Reports a name that is neither known nor of unknown type.
    pub(super) fn position(&self, path: &str, name: &str, problems: &mut Problems) -> Option<usize> {
        let position = self.fields.iter().position(|field| field.name == name);
        if position.is_none() && !self.unknown.iter().any(|unknown| unknown == name) {
            problems.add(path, self.unknown_field(name));
        }
        position
    }

    pub(super) fn unknown_field(&self, name: &str) -> String {
        let names = self.fields.iter().map(|field| field.name.as_str());
        suggest::unknown("field", name, names.chain(self.unknown.iter().map(String::as_str)))
    }

    /// Positions of fields that make up a key: known, of a type that has one spelling, and none twice.
    pub(super) fn key(&self, path: &str, names: &[String], problems: &mut Problems) -> Option<Vec<usize>> {
        let before = problems.len();
        let mut positions = Vec::new();
        if names.is_empty() {
            problems.add(path, "needs at least one field");
        }
        for (index, name) in names.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if names[..index].contains(name) {
                problems.add(path, format!("field `{name}` stands here twice"));
                continue;
            }
            let Some(position) = self.position(&path, name, problems) else {
                continue;
            };
            match &self.fields[position].field_type {
                FieldType::Float64 => problems.add(
                    path,
                    format!(
                        "field `{name}` is float64 and cannot be part of a key: equal numbers need not be the same"
                    ),
                ),
                FieldType::Array(_) => {
                    problems.add(path, format!("field `{name}` is an array and cannot be part of a key"))
                }
                _ => positions.push(position),
            }
        }
        (problems.len() == before && positions.len() == names.len()).then_some(positions)
    }

    pub(super) fn expression(&self, path: &str, text: &str, problems: &mut Problems) -> Option<Expression> {
        self.parsed(path, text, problems, Expression::parse)
    }

    pub(super) fn predicate(&self, path: &str, text: &str, problems: &mut Problems) -> Option<Expression> {
        self.parsed(path, text, problems, Expression::predicate)
    }

    fn parsed(
        &self,
        path: &str,
        text: &str,
        problems: &mut Problems,
        parse: fn(&str, &Fields) -> Result<Expression, Vec<String>>,
    ) -> Option<Expression> {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| self.unknown.iter().any(|unknown| unknown == word)) {
            return None;
        }
        problems.take_all(path, parse(text, &Fields::new(self.fields.clone())))
    }
}

/// Finds names that stand twice in a list.
#[derive(Default)]
pub(super) struct Unique<'a>(HashMap<&'a str, String>);

impl<'a> Unique<'a> {
    /// Whether `name` is new. Reports it at `path` if it is not.
    pub(super) fn insert(&mut self, what: &str, name: &'a str, path: &str, problems: &mut Problems) -> bool {
        match self.0.get(name) {
            Some(first) => {
                problems.add(path, format!("{what} `{name}` stands at {first} already"));
                false
            }
            None => {
                self.0.insert(name, path.to_owned());
                true
            }
        }
    }
}
