//! Plain data against a definition's OpenAPI schema. All problems, each with its path.
//!
//! The schema is the one that is committed in `crds/` and that an API server uses, so both refuse the same. Its CEL rules
//! are not run here: [`crate::validate`] holds them all.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use regex::Regex;
use serde_json::{Map, Value};

use super::words;
use crate::{Problem, suggest};

/// The schema of one kind.
pub(super) struct Schema {
    pub(super) kind: String,
    root: JSONSchemaProps,
    /// Paths of all fields, without positions in lists.
    paths: Vec<String>,
}

impl Schema {
    /// The schema of a definition with one version.
    pub(super) fn of(definition: &CustomResourceDefinition) -> Self {
        let version = definition.spec.versions.first().expect("a definition has a version");
        let schema = version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.clone());
        let root = schema.expect("the definition is structural");
        let mut paths = Vec::new();
        collect(&root, "", &mut paths);
        // People write into the spec only: a hint must not lead them to a field of the status.
        paths.retain(|path| path.starts_with("spec"));
        Self {
            kind: definition.spec.names.kind.clone(),
            root,
            paths,
        }
    }

    /// All problems of an object of this kind. `apiVersion` and `kind` are known to be right.
    pub(super) fn check(&self, object: &Map<String, Value>) -> Vec<Problem> {
        let mut check = Check {
            paths: &self.paths,
            problems: Vec::new(),
        };
        let top: Vec<&str> = vec!["apiVersion", "kind", "metadata", "spec"];
        // Written by controllers, never by people: what `kubectl get -o yaml` printed may be checked too.
        let others = object
            .keys()
            .filter(|name| !top.contains(&name.as_str()) && *name != "status");
        for name in others {
            check.unknown("", name, &top);
        }
        match object.get("metadata") {
            None => check.problem("metadata", "is missing"),
            Some(metadata) => check.metadata(metadata),
        }
        let spec = self
            .root
            .properties
            .as_ref()
            .and_then(|properties| properties.get("spec"));
        match (object.get("spec"), spec) {
            (Some(value), Some(schema)) => check.value(schema, value, "spec"),
            _ => check.problem("spec", "is missing"),
        }
        check.problems
    }
}

fn collect(schema: &JSONSchemaProps, path: &str, paths: &mut Vec<String>) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        collect(property, &path, paths);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &property.items {
            collect(items, &format!("{path}[]"), paths);
        }
        paths.push(path);
    }
}

struct Check<'a> {
    paths: &'a [String],
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn metadata(&mut self, metadata: &Value) {
        let Value::Object(members) = metadata else {
            return self.problem(
                "metadata",
                format!("must be an object, but is {}", words::shown(metadata)),
            );
        };
        if !members.contains_key("name") {
            self.problem("metadata.name", "is missing");
        }
        for name in ["name", "namespace", "uid"] {
            if let Some(value) = members.get(name).filter(|value| !value.is_string()) {
                self.problem(
                    &format!("metadata.{name}"),
                    format!("must be a string, but is {}", words::shown(value)),
                );
            }
        }
        for name in ["labels", "annotations"] {
            match members.get(name) {
                None => {}
                Some(Value::Object(entries)) => {
                    for (key, value) in entries.iter().filter(|(_, value)| !value.is_string()) {
                        let path = format!("metadata.{name}.{key}");
                        self.problem(&path, format!("must be a string, but is {}", words::shown(value)));
                    }
                }
                Some(other) => {
                    self.problem(
                        &format!("metadata.{name}"),
                        format!("must be an object, but is {}", words::shown(other)),
                    );
                }
            }
        }
    }

    fn value(&mut self, schema: &JSONSchemaProps, value: &Value, path: &str) {
        let wanted = match schema.x_kubernetes_int_or_string {
            Some(true) => Some(words::INT_OR_STRING),
            _ => schema.type_.as_deref(),
        };
        match (wanted, value) {
            (Some("object"), Value::Object(members)) => self.object(schema, members, path),
            (Some("array"), Value::Array(items)) => self.array(schema, items, path),
            (Some("string" | words::INT_OR_STRING), Value::String(text)) => self.string(schema, text, path),
            (Some("integer" | words::INT_OR_STRING), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(schema, number.as_f64().unwrap_or(f64::NAN), path);
            }
            (Some("number"), Value::Number(number)) => {
                self.number(schema, number.as_f64().unwrap_or(f64::NAN), path);
            }
            (Some("boolean"), Value::Bool(_)) => {}
            (wanted, given) => {
                let texts = [Some("string"), Some(words::INT_OR_STRING)];
                let is_bare = texts.contains(&wanted) && (given.is_number() || given.is_boolean());
                let would_fit = |pattern: &String| fits(pattern, &given.to_string());
                let hint = if is_bare && schema.pattern.as_ref().is_some_and(would_fit) {
                    "; put it in quotes"
                } else {
                    ""
                };
                let wanted = words::type_name(wanted.unwrap_or_default());
                self.problem(path, format!("must be {wanted}, but is {}{hint}", words::shown(given)));
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, members: &Map<String, Value>, path: &str) {
        let Some(properties) = &schema.properties else { return };
        for name in schema
            .required
            .iter()
            .flatten()
            .filter(|name| !members.contains_key(*name))
        {
            self.problem(&format!("{path}.{name}"), "is missing");
        }
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        for (name, value) in members {
            match properties.get(name) {
                Some(property) => self.value(property, value, &format!("{path}.{name}")),
                None => self.unknown(path, name, &known),
            }
        }
    }

    /// A field that does not exist here: a slip, or one that belongs elsewhere.
    fn unknown(&mut self, path: &str, name: &str, known: &[&str]) {
        let full = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let mut text = format!("unknown field{}", suggest::hint(name, known.iter().copied()));
        if !text.contains(';') {
            let mut elsewhere = self.paths.iter().filter(|other| other.rsplit('.').next() == Some(name));
            if let (Some(one), None) = (elsewhere.next(), elsewhere.next()) {
                text = format!(
                    "{text}; it belongs to `{}`",
                    one.trim_end_matches(name).trim_end_matches('.')
                );
            } else if known.len() <= 20 {
                text = format!("{text}; there are {}", words::listed(known));
            }
        }
        self.problem(&full, text);
    }

    fn array(&mut self, schema: &JSONSchemaProps, items: &[Value], path: &str) {
        if schema.min_items.is_some_and(|least| (items.len() as i64) < least) {
            self.problem(path, "needs at least one entry");
        }
        if let Some(most) = schema.max_items.filter(|most| items.len() as i64 > *most) {
            self.problem(path, format!("has {} entries; the most is {most}", items.len()));
            return;
        }
        if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.value(schema, item, &format!("{path}[{index}]"));
            }
        }
    }

    fn string(&mut self, schema: &JSONSchemaProps, text: &str, path: &str) {
        let allowed: Vec<&str> = schema
            .enum_
            .iter()
            .flatten()
            .filter_map(|value| value.0.as_str())
            .collect();
        if !allowed.is_empty() {
            if !allowed.contains(&text) {
                let hint = suggest::hint(text, allowed.iter().copied());
                self.problem(
                    path,
                    format!("must be {}, but is `{text}`{hint}", words::either(&allowed)),
                );
            }
            return;
        }
        let length = text.chars().count() as i64;
        if schema.min_length.is_some_and(|least| length < least) {
            return self.problem(path, "is empty");
        }
        if let Some(most) = schema.max_length.filter(|most| length > *most) {
            return self.problem(path, format!("is {length} characters long; the most is {most}"));
        }
        let Some(pattern) = &schema.pattern else { return };
        if !fits(pattern, text) {
            self.problem(path, format!("`{text}` is not {}", words::pattern(pattern)));
        }
    }

    fn number(&mut self, schema: &JSONSchemaProps, number: f64, path: &str) {
        let least = schema.minimum.unwrap_or(f64::NEG_INFINITY);
        let most = schema.maximum.unwrap_or(f64::INFINITY);
        if !(least..=most).contains(&number) {
            self.problem(path, format!("must be between {least} and {most}, but is {number}"));
        }
    }
}

/// Whether a text matches one of the schemas' patterns, of which each is compiled once.
fn fits(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !compiled.contains_key(pattern) {
        let regex = Regex::new(pattern).expect("a test compiles every pattern of the schemas");
        compiled.insert(pattern.to_owned(), regex);
    }
    compiled[pattern].is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(schema: &JSONSchemaProps, found: &mut Vec<String>) {
        found.extend(schema.pattern.clone());
        schema
            .properties
            .iter()
            .flatten()
            .for_each(|(_, property)| patterns(property, found));
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            patterns(items, found);
        }
    }

    #[test]
    fn every_pattern_of_the_schemas_compiles_and_has_words() {
        for (_, definition) in millrace_crds::crd::definitions() {
            let mut found = Vec::new();
            patterns(&Schema::of(&definition).root, &mut found);
            assert!(!found.is_empty());
            for pattern in found {
                assert!(Regex::new(&pattern).is_ok(), "{pattern}");
                assert!(!words::pattern(&pattern).contains(&pattern), "{pattern} has no words");
            }
        }
    }
}
