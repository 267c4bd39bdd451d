//! The committed YAML is what the types say, and what the types say is complete: documented and bounded.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray,
};
use millrace_crds::crd;

#[test]
fn committed_definitions_are_up_to_date() {
    let source = Path::new(env!("MILLRACE_SOURCE"));
    for folder in [source.join("crds"), source.join("charts/millrace/files")] {
        for (name, generated) in crd::files() {
            let path = folder.join(name);
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == generated,
                "{} is stale: run `make crds` and commit what it writes",
                path.display()
            );
        }
    }
}

/// The one version of each definition.
fn versions() -> Vec<(&'static str, CustomResourceDefinitionVersion)> {
    let version = |(name, definition): (_, CustomResourceDefinition)| {
        let version = definition.spec.versions.into_iter().next();
        (name, version.expect("a definition has a version"))
    };
    crd::definitions().into_iter().map(version).collect()
}

fn schema(version: &CustomResourceDefinitionVersion) -> JSONSchemaProps {
    let schema = version.schema.as_ref();
    let schema = schema.and_then(|schema| schema.open_api_v3_schema.clone());
    schema.expect("a version has a schema")
}

fn schemas() -> Vec<(&'static str, JSONSchemaProps)> {
    let schemas = versions().into_iter();
    schemas.map(|(name, version)| (name, schema(&version))).collect()
}

/// Calls `visit` with every field and every list's entries, and their paths.
fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, property);
        walk(property, &path, visit);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &property.items {
            visit(&format!("{path}[]"), items);
            walk(items, &format!("{path}[]"), visit);
        }
    }
}

#[test]
fn every_field_is_documented() {
    for (name, schema) in schemas() {
        let mut silent = Vec::new();
        walk(&schema, "", &mut |path, property| {
            let entry = path.ends_with("[]");
            if !entry && property.description.as_deref().unwrap_or_default().len() < 8 {
                silent.push(path.to_owned());
            }
        });
        assert!(silent.is_empty(), "{name}: no documentation for {silent:?}");
    }
}

#[test]
fn every_field_is_bounded() {
    for (name, schema) in schemas() {
        let mut endless = Vec::new();
        walk(&schema, "", &mut |path, property| {
            let text = property.max_length.is_some() || property.enum_.is_some();
            let number = property.minimum.is_some() && property.maximum.is_some();
            let bounded = match property.type_.as_deref() {
                None if property.x_kubernetes_int_or_string == Some(true) => text && number,
                Some("string") => text,
                Some("array") => property.max_items.is_some(),
                Some("integer" | "number") => number,
                // One without properties has no members: the API server prunes what is not declared.
                Some("object") => property.additional_properties.is_none(),
                Some("boolean") => true,
                _ => false,
            };
            if !bounded {
                endless.push(path.to_owned());
            }
        });
        assert!(endless.is_empty(), "{name}: no bound on {endless:?}");
    }
}

#[test]
fn null_counts_as_left_out() {
    for (name, schema) in schemas() {
        walk(&schema, "", &mut |path, property| {
            assert_eq!(property.nullable, None, "{name}: {path}")
        });
    }
}

#[test]
fn every_rule_has_a_message() {
    for (name, schema) in schemas() {
        let mut rules = 0;
        walk(&schema, "", &mut |path, property| {
            for rule in property.x_kubernetes_validations.iter().flatten() {
                assert!(rule.message.is_some(), "{name}: {path}: {}", rule.rule);
                rules += 1;
            }
        });
        assert!(rules > 5, "{name} has {rules} rules");
    }
}

/// The schema at a path of fields such as `.status.lag.records`; `[]` behind a list is its entries.
fn at<'a>(root: &'a JSONSchemaProps, path: &str) -> Option<&'a JSONSchemaProps> {
    let mut at = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        at = at.properties.as_ref()?.get(step.trim_end_matches("[]"))?;
        if step.ends_with("[]") {
            let Some(JSONSchemaPropsOrArray::Schema(items)) = &at.items else {
                return None;
            };
            at = items;
        }
    }
    Some(at)
}

/// A printer column's path without the condition that its filter asks for.
fn without_filter(json_path: &str) -> String {
    match (json_path.find("[?"), json_path.find(")]")) {
        (Some(from), Some(to)) => format!("{}[]{}", &json_path[..from], &json_path[to + 2..]),
        _ => json_path.to_owned(),
    }
}

#[test]
fn kubectl_get_shows_lag_rates_and_checkpoint_from_fields_that_exist() {
    for (name, version) in versions() {
        let root = schema(&version);
        let columns = version.additional_printer_columns.unwrap_or_default();
        let is_shown = |column: &&CustomResourceColumnDefinition| column.priority.unwrap_or_default() == 0;
        let shown: Vec<&str> = columns
            .iter()
            .filter(is_shown)
            .map(|column| column.name.as_str())
            .collect();
        let expected = ["Ready", "Replicas", "Lag", "In/s", "Out/s", "Checkpoint", "Age"];
        assert_eq!(shown, expected, "{name}");
        for column in &columns {
            let path = without_filter(&column.json_path);
            let is_there = path == ".metadata.creationTimestamp" || at(&root, &path).is_some();
            assert!(is_there, "{name}: column {} shows {path}", column.name);
        }
    }
}

#[test]
fn both_kinds_scale_by_fields_that_exist() {
    for (name, version) in versions() {
        let root = schema(&version);
        let subresources = version.subresources.expect("there are subresources");
        assert!(subresources.status.is_some(), "{name} has a status of its own");
        let scale = subresources.scale.expect("there is a scale");
        let selector = scale.label_selector_path.expect("an autoscaler needs the selector");
        for (path, type_name) in [
            (&scale.spec_replicas_path, "integer"),
            (&scale.status_replicas_path, "integer"),
            (&selector, "string"),
        ] {
            let found = at(&root, path).and_then(|schema| schema.type_.as_deref());
            assert_eq!(found, Some(type_name), "{name}: {path}");
        }
        let replicas = at(&root, &scale.spec_replicas_path).and_then(|schema| schema.default.clone());
        let default = replicas.map(|json| json.0);
        assert_eq!(
            default,
            Some(serde_json::json!(1)),
            "{name}: GET of the scale needs a default"
        );
    }
}
