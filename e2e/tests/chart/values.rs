//! The chart's values: what is refused, and whether each is explained.

use std::fs;

use serde_json::Value;

use super::render::{RELEASE, chart, helm, set};
use super::yaml;

#[test]
fn wrong_values_are_refused_by_name() {
    for (value, named) in [
        ("operator.replicas=many", "/operator/replicas"),
        ("operator.replicas=-1", "/operator/replicas"),
        ("operator.image.pullPolicy=Sometimes", "/operator/image/pullPolicy"),
        ("operator.image.digest=sha1:abc", "/operator/image/digest"),
        ("operator.image.tagg=1", "tagg"),
        ("operator.log.format=xml", "/operator/log/format"),
        ("operator.observeEvery=5", "/operator/observeEvery"),
        ("operator.observeEvery=5d", "/operator/observeEvery"),
        ("operator.watchLifetime=200", "/operator/watchLifetime"),
        (
            "operator.resources.limits.memory=lots",
            "/operator/resources/limits/memory",
        ),
        (
            "operator.podLabels.app\\.kubernetes\\.io/name=other",
            "app.kubernetes.io/name",
        ),
        ("watchNamespaces={Flights}", "/watchNamespaces/0"),
        ("watchNamespaces={a,a}", "/watchNamespaces"),
        ("webhook.failurePolicy=Maybe", "/webhook/failurePolicy"),
        ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds"),
        ("externalMetrics.enabled=perhaps", "/externalMetrics/enabled"),
        ("fullnameOverride=Big_Name", "/fullnameOverride"),
        ("serviceAccount.create=false", "serviceAccount.name"),
        ("replicaCount=3", "replicaCount"),
    ] {
        let output = helm(&["template", RELEASE], &set(&[value]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} was taken");
        assert!(said.contains(named), "{value}: {said}");
    }
}

#[test]
fn every_value_is_explained() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut explained: Vec<(usize, bool)> = Vec::new();
    let mut before = "";
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if !content.is_empty() && !content.starts_with(['#', '-']) {
            explained.retain(|(outer, _)| *outer < indent);
            explained.push((indent, before.trim_start().starts_with('#')));
            let is_group = content.ends_with(':');
            assert!(
                is_group || explained.iter().any(|(_, yes)| *yes),
                "no comment explains `{content}`"
            );
        }
        before = line;
    }
}

#[test]
fn every_value_of_the_schema_has_a_default() {
    let schema = yaml(&chart().join("values.schema.json"));
    let values = yaml(&chart().join("values.yaml"));
    let mut missing = Vec::new();
    defaults(&schema, &schema, &values, "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// Below `values`, what `node` of the schema names and they do not. Kubernetes' own structures are optional throughout.
fn defaults(schema: &Value, node: &Value, values: &Value, path: &str, missing: &mut Vec<String>) {
    let node = match node["$ref"].as_str() {
        Some("#/definitions/image") => &schema["definitions"]["image"],
        _ => node,
    };
    for (name, inner) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        let own = path == "/operator/resources" || path == "/operator/affinity";
        match values.get(name) {
            Some(value) if !own => defaults(schema, inner, value, &path, missing),
            Some(_) => {}
            None => missing.push(path),
        }
    }
}
