//! YAML text to plain data. What JSON cannot hold is a problem; `null` counts as left out, as on an API server.

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::Problem;

/// The documents of `text` that are not empty, or what is wrong with the text itself.
pub(super) fn documents(text: &str) -> Result<Vec<Result<Value, Vec<Problem>>>, Vec<Problem>> {
    let mut documents = Vec::new();
    for document in yaml_serde::Deserializer::from_str(text) {
        let value = yaml_serde::Value::deserialize(document).map_err(|error| vec![syntax(&error)])?;
        if value.is_null() {
            continue;
        }
        let mut problems = Vec::new();
        let plain = plain(value, "", &mut problems);
        documents.push(if problems.is_empty() { Ok(plain) } else { Err(problems) });
    }
    Ok(documents)
}

fn syntax(error: &yaml_serde::Error) -> Problem {
    let place = error
        .location()
        .map(|at| format!("line {}, column {}", at.line(), at.column()));
    let text = error.to_string();
    // The location is the path; saying it twice helps nobody.
    let message = text.split(" at line ").next().unwrap_or_default();
    let message = match message.split_once("duplicate entry with key ") {
        Some((_, key)) => format!("key {key} stands twice in the same object"),
        None => format!("is not YAML: {message}"),
    };
    Problem {
        path: place.unwrap_or_default(),
        message,
    }
}

fn plain(value: yaml_serde::Value, path: &str, problems: &mut Vec<Problem>) -> Value {
    let mut wrong = |message: &str| {
        problems.push(Problem {
            path: path.to_owned(),
            message: message.to_owned(),
        });
        Value::Null
    };
    match value {
        yaml_serde::Value::Null => Value::Null,
        yaml_serde::Value::Bool(value) => Value::Bool(value),
        yaml_serde::Value::String(value) => Value::String(value),
        yaml_serde::Value::Number(value) => {
            number(&value).map_or_else(|| wrong("is not a number that JSON has"), Value::Number)
        }
        yaml_serde::Value::Tagged(_) => wrong("has a YAML tag, and tags mean nothing here"),
        yaml_serde::Value::Sequence(items) => {
            let item = |(index, item)| plain(item, &format!("{path}[{index}]"), problems);
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        yaml_serde::Value::Mapping(entries) => {
            let mut members = Map::new();
            for (key, value) in entries {
                let yaml_serde::Value::String(key) = key else {
                    let message = "has a key that is no string; put it in quotes".to_owned();
                    problems.push(Problem {
                        path: path.to_owned(),
                        message,
                    });
                    continue;
                };
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let value = plain(value, &path, problems);
                if !value.is_null() {
                    members.insert(key, value);
                }
            }
            Value::Object(members)
        }
    }
}

fn number(value: &yaml_serde::Number) -> Option<Number> {
    let integer = value
        .as_i64()
        .map(Number::from)
        .or_else(|| value.as_u64().map(Number::from));
    integer.or_else(|| value.as_f64().and_then(Number::from_f64))
}
