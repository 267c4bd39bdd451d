//! The committed YAML is what the types say, and what the types say is complete: documented and bounded.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use millrace_crds::crd;

#[test]
fn committed_definitions_are_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [here.to_owned(), here.join("../charts/millrace/files")] {
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

fn schemas() -> Vec<(&'static str, JSONSchemaProps)> {
    let schema = |(name, definition): (
        _,
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    )| {
        let version = definition
            .spec
            .versions
            .into_iter()
            .next()
            .expect("a definition has a version");
        (
            name,
            version
                .schema
                .and_then(|schema| schema.open_api_v3_schema)
                .expect("and a schema"),
        )
    };
    crd::definitions().into_iter().map(schema).collect()
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
            let bounded = match property.type_.as_deref() {
                Some("string") => property.max_length.is_some() || property.enum_.is_some(),
                Some("array") => property.max_items.is_some(),
                Some("integer" | "number") => property.minimum.is_some() && property.maximum.is_some(),
                Some("object") => property.properties.is_some() && property.additional_properties.is_none(),
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
