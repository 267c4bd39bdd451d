//! YAML text in, objects or all problems out. Only the structure is checked here, against the schema that an API server
//! would use; what fields mean is checked by [`crate::validate`].

mod structure;
mod words;
mod yaml;

use std::sync::LazyLock;

use millrace_crds::manifest::Manifest;
use millrace_crds::{GROUP, VERSION, crd};
use serde_json::Value;

use self::structure::Schema;
use crate::{Problem, suggest};

/// Bytes of one file.
const MAX_BYTES: usize = 4 << 20;

/// Reads all objects of a YAML (or JSON) text, which may hold several documents. Unlike an API server it reports unknown
/// fields instead of dropping them.
///
/// The errors are all problems of structure in all documents; where there are several, paths begin with
/// `documents[1].`, counted from 0.
pub fn load(text: &str) -> Result<Vec<Manifest>, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        return Err(vec![problem(
            "",
            format!("is {} bytes long; a file may have {MAX_BYTES}", text.len()),
        )]);
    }
    let documents = yaml::documents(text)?;
    if documents.is_empty() {
        return Err(vec![problem("", "holds no object")]);
    }
    let several = documents.len() > 1;
    let mut problems = Vec::new();
    let mut manifests: Vec<Manifest> = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let place = if several {
            format!("documents[{index}].")
        } else {
            String::new()
        };
        match document.and_then(object) {
            Ok(manifest) => {
                let twin = |other: &&Manifest| same(other, &manifest);
                if let Some(twin) = manifests.iter().find(twin) {
                    let text = format!("{} `{}` stands in this file twice", twin.kind(), twin.name());
                    problems.push(problem(&format!("{place}metadata.name"), text));
                }
                manifests.push(manifest);
            }
            Err(found) => problems.extend(
                found
                    .into_iter()
                    .map(|it| problem(&format!("{place}{}", it.path), it.message)),
            ),
        }
    }
    if problems.is_empty() {
        Ok(manifests)
    } else {
        Err(problems)
    }
}

fn same(left: &Manifest, right: &Manifest) -> bool {
    left.kind() == right.kind() && left.namespace() == right.namespace() && left.name() == right.name()
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem {
        path: path.to_owned(),
        message: message.into(),
    }
}

/// One document that holds plain data.
fn object(document: Value) -> Result<Manifest, Vec<Problem>> {
    let Value::Object(members) = &document else {
        return Err(vec![problem(
            "",
            format!("must be an object, but is {}", words::shown(&document)),
        )]);
    };
    let mut problems = Vec::new();
    let version = format!("{GROUP}/{VERSION}");
    match members.get("apiVersion") {
        None => problems.push(problem("apiVersion", format!("is missing: write `{version}`"))),
        Some(Value::String(given)) if *given == version => {}
        Some(other) => problems.push(problem(
            "apiVersion",
            format!("must be `{version}`, but is {}", words::shown(other)),
        )),
    }
    static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
        crd::definitions()
            .iter()
            .map(|(_, definition)| Schema::of(definition))
            .collect()
    });
    let kinds = || SCHEMAS.iter().map(|schema| schema.kind.as_str());
    let schema = match members.get("kind") {
        None => {
            problems.push(problem(
                "kind",
                "is missing: write `StreamPipeline` or `WindowAggregation`",
            ));
            None
        }
        Some(Value::String(kind)) => {
            let found = SCHEMAS.iter().find(|schema| schema.kind == *kind);
            if found.is_none() {
                let known = || {
                    format!(
                        "; known are {}",
                        kinds()
                            .map(|kind| format!("`{kind}`"))
                            .collect::<Vec<_>>()
                            .join(" and ")
                    )
                };
                let meant = suggest::closest(kind, kinds()).map(|meant| format!("; did you mean `{meant}`?"));
                problems.push(problem(
                    "kind",
                    format!("unknown kind `{kind}`{}", meant.unwrap_or_else(known)),
                ));
            }
            found
        }
        Some(other) => {
            problems.push(problem(
                "kind",
                format!("must be a string, but is {}", words::shown(other)),
            ));
            None
        }
    };
    if let Some(schema) = schema {
        problems.extend(schema.check(members));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let kind = schema.map(|schema| schema.kind.as_str()).unwrap_or_default();
    typed(kind, document).map_err(|error| vec![problem("", error.to_string())])
}

/// The status is not looked at: it is the controller's, and may be that of another version of Millrace.
fn typed(kind: &str, mut document: Value) -> serde_json::Result<Manifest> {
    if let Some(members) = document.as_object_mut() {
        members.remove("status");
    }
    Ok(match kind {
        "WindowAggregation" => Manifest::WindowAggregation(Box::new(serde_json::from_value(document)?)),
        _ => Manifest::StreamPipeline(Box::new(serde_json::from_value(document)?)),
    })
}
