//! Objects that never went through `load`: what a schema would refuse, `validate` refuses too, because paths, topics and
//! groups are made of it.

use millrace_crds::manifest::Manifest;
use millrace_plan::validate;
use serde_json::{Value, json};

fn object() -> Value {
    json!({
        "apiVersion": "millrace.io/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": {"name": "x", "uid": "8d1f7a52-0000-4000-8000-000000000000"},
        "spec": {
            "source": {"kafka": {"bootstrapServers": ["b:9092"], "topics": ["in"]}},
            "schema": {"fields": [{"name": "a", "type": "string"}]},
            "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
        },
    })
}

/// Problems of the object with the value at a JSON pointer replaced.
fn problems(pointer: &str, value: Value) -> Vec<String> {
    let mut object = object();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let parent = object
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("the parent is an object");
    parent.insert(name.to_owned(), value);
    let manifest = serde_json::from_value(object)
        .map(Box::new)
        .map(Manifest::StreamPipeline)
        .expect("it has the types");
    let found = validate(&manifest, &[]).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_object_itself_is_valid() {
    assert_eq!(problems("/metadata/name", json!("x")), Vec::<String>::new());
}

#[test]
fn a_stored_object_owns_its_state_by_uid() {
    let manifest = serde_json::from_value(object())
        .map(Box::new)
        .map(Manifest::StreamPipeline)
        .expect("it has the types");
    let plan = validate(&manifest, std::slice::from_ref(&manifest)).expect("the object is valid");
    assert_eq!(plan.state_id.as_str(), "8d1f7a52-0000-4000-8000-000000000000");
    assert_eq!(
        plan.source.group.as_str(),
        "millrace-8d1f7a52-0000-4000-8000-000000000000"
    );
    assert_eq!(plan.dead_letter.name.as_str(), "x-dead-letters");
}

#[test]
fn what_the_schema_would_refuse_is_refused() {
    let secret = |name: &str, key: &str| json!({"tls": {"ca": {"name": name, "key": key}}});
    for (pointer, value, place) in [
        ("/metadata/name", json!(""), "metadata.name"),
        ("/metadata/name", json!("../x"), "metadata.name"),
        ("/metadata/name", json!("x".repeat(250)), "spec.deadLetter"),
        ("/spec/stateId", json!("../../etc"), "spec.stateId"),
        ("/spec/stateId", json!(".."), "spec.stateId"),
        ("/spec/source/kafka/group", json!("a b"), "spec.source.kafka.group"),
        ("/spec/source/kafka/topics", json!([]), "spec.source.kafka.topics"),
        (
            "/spec/source/kafka/topics",
            json!(["a/b"]),
            "spec.source.kafka.topics[0]",
        ),
        (
            "/spec/source/kafka/bootstrapServers",
            json!([]),
            "spec.source.kafka.bootstrapServers",
        ),
        (
            "/spec/source/kafka/bootstrapServers",
            json!(["a:0"]),
            "spec.source.kafka.bootstrapServers[0]",
        ),
        (
            "/spec/source/kafka/bootstrapServers",
            json!(["a:1,b:2"]),
            "spec.source.kafka.bootstrapServers[0]",
        ),
        (
            "/spec/source/kafka/security",
            secret("..", "k"),
            "spec.source.kafka.security.tls.ca.name",
        ),
        (
            "/spec/source/kafka/security",
            secret("a/b", "k"),
            "spec.source.kafka.security.tls.ca.name",
        ),
        (
            "/spec/source/kafka/security",
            secret("a", "../k"),
            "spec.source.kafka.security.tls.ca.key",
        ),
        ("/spec/schema/fields", json!([]), "spec.schema.fields"),
        (
            "/spec/schema/fields",
            json!([{"name": "a b", "type": "string"}]),
            "spec.schema.fields[0].name",
        ),
        (
            "/spec/schema/fields",
            json!([{"name": "a", "type": "decimal", "precision": 0, "scale": 0}]),
            "spec.schema.fields[0].precision",
        ),
        ("/spec/key", json!([]), "spec.key"),
        ("/spec/sinks", json!([]), "spec.sinks"),
        (
            "/spec/sinks",
            json!([{"name": "o", "kafka": {"topic": ""}}]),
            "spec.sinks[0].kafka.topic",
        ),
        (
            "/spec/sinks",
            json!([{"name": "o", "kafka": {"topic": "o", "partitions": 0}}]),
            "spec.sinks[0].kafka.partitions",
        ),
        (
            "/spec/sinks",
            json!([{"name": "o", "kafka": {"topic": "o", "retention": "1w"}}]),
            "spec.sinks[0].kafka.retention",
        ),
        ("/spec/checkpoint", json!({"retain": 1}), "spec.checkpoint.retain"),
        (
            "/spec/checkpoint",
            json!({"interval": "99999999999999999999d"}),
            "spec.checkpoint.interval",
        ),
        (
            "/spec/operators",
            json!([{"name": "../x", "filter": {"where": "true"}}]),
            "spec.operators[0].name",
        ),
        (
            "/spec/operators",
            json!([{"name": "-", "filter": {"where": "true"}}]),
            "spec.operators[0].name",
        ),
        (
            "/spec/operators",
            json!([{"name": "m", "map": {"set": [{"field": "a b", "expression": "1"}]}}]),
            "spec.operators[0].map.set[0].field",
        ),
    ] {
        let found = problems(pointer, value.clone());
        let expected = format!("{place}: ");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{pointer} = {value}: {found:?}"
        );
    }
}
