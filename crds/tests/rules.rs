//! The CEL rules, run as an API server runs them: each lets pass what it should and refuses what it should.

use std::collections::BTreeSet;

use kube_cel::{ValidationErrors, Validator, compile_schema};
use millrace_crds::crd;
use serde_json::{Value, json};

/// The `openAPIV3Schema` of the definition called `name`.
fn schema(name: &str) -> Value {
    let (_, definition) = crd::definitions()
        .into_iter()
        .find(|(file, _)| *file == name)
        .expect("the definition is there");
    let definition = serde_json::to_value(definition).expect("a definition is plain data");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Messages of the rules that refuse a spec.
fn refused(name: &str, spec: Value) -> Vec<String> {
    messages(Validator::new().validate(&schema(name), &json!({ "spec": spec }), None))
}

/// Messages of the rules that refuse to change `old` into `new`.
fn change_refused(name: &str, old: Value, new: Value) -> Vec<String> {
    let (old, new) = (json!({ "spec": old }), json!({ "spec": new }));
    messages(Validator::new().validate(&schema(name), &new, Some(&old)))
}

fn messages(result: Result<(), ValidationErrors>) -> Vec<String> {
    result
        .err()
        .map(|errors| errors.into_vec())
        .unwrap_or_default()
        .into_iter()
        .map(|error| error.message)
        .collect()
}

fn pipeline() -> Value {
    json!({
        "source": {"kafka": {"bootstrapServers": ["b:9092"], "topics": ["in"], "start": "earliest"}},
        "schema": {"fields": [{"name": "a", "type": "int64", "nullable": false}]},
        "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
    })
}

fn aggregation() -> Value {
    let mut spec = pipeline();
    spec["window"] = json!({
        "tumbling": {"size": "1h"},
        "keys": ["a"],
        "aggregates": [{"name": "n", "function": "count"}],
    });
    spec
}

/// Operators: one window with these members.
fn window(members: Value) -> Value {
    let mut window = json!({"keys": ["a"], "aggregates": [{"name": "n", "function": "count"}]});
    for (name, value) in members.as_object().expect("members") {
        window[name] = value.clone();
    }
    json!([{"name": "x", "window": window}])
}

/// Operators: one join with a table that has these members.
fn join(members: Value) -> Value {
    let fields = json!([{"name": "b", "type": "int64"}]);
    let mut table = json!({"name": "t", "schema": {"fields": fields}, "key": ["b"]});
    for (name, value) in members.as_object().expect("members") {
        table[name] = value.clone();
    }
    json!([{"name": "x", "join": {"table": table, "match": [{"field": "a", "equals": "b"}]}}])
}

/// Operators: one join with a stream, with these members.
fn stream_join(members: Value) -> Value {
    let fields = json!([{"name": "b", "type": "int64", "nullable": false}]);
    let source = json!({"kafka": {"topics": ["other"], "start": "earliest"}});
    let stream = json!({"name": "other", "source": source, "schema": {"fields": fields}});
    let mut join = json!({"stream": stream, "match": [{"field": "a", "equals": "b"}], "type": "inner"});
    for (name, value) in members.as_object().expect("members") {
        join[name] = value.clone();
    }
    json!([{"name": "x", "join": join}])
}

/// `spec` with the value at a JSON pointer replaced, or taken away where it is null.
fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let parent = spec
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("the parent is an object");
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    spec
}

#[test]
fn all_rules_compile() {
    for (name, _) in crd::definitions() {
        let compiled = compile_schema(&schema(name));
        assert!(!compiled.has_errors(), "{name}: {:?}", compiled.compilation_errors());
    }
}

#[test]
fn what_is_right_passes() {
    let filter = json!([{"name": "x", "filter": {"where": "a > 1"}}, {"name": "y", "map": {"keep": ["a"]}}]);
    let from_pipeline = json!({"pipeline": {"name": "other", "start": "earliest"}});
    for spec in [
        pipeline(),
        with(pipeline(), "/operators", filter),
        with(with(pipeline(), "/source", from_pipeline), "/schema", Value::Null),
        with(
            pipeline(),
            "/schema/fields",
            json!([{"name": "d", "type": "decimal", "precision": 5, "scale": 2}]),
        ),
        with(
            pipeline(),
            "/operators",
            aggregate(json!({"function": "approxPercentile", "expression": "a", "percentile": 0.95, "where": "a > 1"})),
        ),
        with(
            pipeline(),
            "/operators",
            aggregate(json!({"function": "topN", "expression": "a", "by": "b", "limit": 3, "distinct": false})),
        ),
        with(
            pipeline(),
            "/operators",
            aggregate(json!({"function": "collectList", "expression": "a", "limit": 3, "distinct": true})),
        ),
        with(pipeline(), "/operators", join(json!({"topic": {"name": "t"}}))),
        with(pipeline(), "/operators", stream_join(json!({"ttl": "none"}))),
        with(
            pipeline(),
            "/operators",
            stream_join(json!({"window": {"tumbling": {"size": "1h"}}, "type": "outer"})),
        ),
        with(pipeline(), "/scaling", json!({"max": 1, "target": {"lagSeconds": 30}})),
        with(
            pipeline(),
            "/scaling",
            json!({"min": 2, "max": 2, "target": {"lagRecords": 1}}),
        ),
    ] {
        assert_eq!(
            refused("streampipelines.yaml", spec.clone()),
            Vec::<String>::new(),
            "{spec}"
        );
    }
    assert_eq!(refused("windowaggregations.yaml", aggregation()), Vec::<String>::new());
}

const PERCENTILE: &str = "percentile goes with approxPercentile, which needs it";
const LIMIT: &str = "limit goes with collectList and topN, which need it";
const DISTINCT: &str = "distinct goes with count of an expression, sum, avg, stddev, variance and collectList";

/// A groupBy with one aggregate.
fn aggregate(mut aggregate: Value) -> Value {
    aggregate["name"] = json!("n");
    json!([{"name": "x", "groupBy": {"keys": ["a"], "aggregates": [aggregate]}}])
}

/// A change of [`pipeline`] and the message of the rule that refuses it.
fn wrong_pipelines() -> Vec<(&'static str, Value, &'static str)> {
    let operators = |body: Value| {
        let mut operator = json!({"name": "x"});
        operator
            .as_object_mut()
            .expect("it is one")
            .extend(body.as_object().expect("it is one").clone());
        json!([operator])
    };
    let field = |field: Value| json!([field]);
    let one_matching =
        "a join with a stream needs exactly one of within, window and ttl, and only such a join has them";
    let one_body = "set exactly one of filter, map, flatMap, groupBy, window, join, deduplicate and previous";
    let one_target = "set exactly one of lagRecords and lagSeconds";
    let decimal_scale = "type decimal needs scale, and only decimal has scale";
    vec![
        ("/schema", Value::Null, "schema is required for a kafka source"),
        (
            "/source",
            json!({"pipeline": {"name": "other"}}),
            "schema and key come from the referenced pipeline",
        ),
        ("/source", json!({}), "set exactly one of kafka and pipeline"),
        ("/operators", operators(json!({})), one_body),
        (
            "/operators",
            operators(json!({"filter": {"where": "true"}, "map": {"keep": ["a"]}})),
            one_body,
        ),
        (
            "/operators",
            json!([{"name": "x", "filter": {"where": "a"}}, {"name": "x", "filter": {"where": "b"}}]),
            "names of operators must be unique",
        ),
        (
            "/operators",
            operators(json!({"map": {"keep": ["a"], "drop": ["b"]}})),
            "keep and drop exclude each other",
        ),
        (
            "/operators",
            operators(json!({"flatMap": {}})),
            "set exactly one of explode and outputs",
        ),
        (
            "/operators",
            operators(json!({"groupBy": {"keys": ["a"], "aggregates": [{"name": "s", "function": "sum"}]}})),
            "every function but count needs an expression",
        ),
        (
            "/operators",
            aggregate(json!({"function": "approxPercentile", "expression": "a"})),
            PERCENTILE,
        ),
        (
            "/operators",
            aggregate(json!({"function": "sum", "expression": "a", "percentile": 0.5})),
            PERCENTILE,
        ),
        (
            "/operators",
            aggregate(json!({"function": "topN", "expression": "a"})),
            LIMIT,
        ),
        (
            "/operators",
            aggregate(json!({"function": "sum", "expression": "a", "limit": 3})),
            LIMIT,
        ),
        (
            "/operators",
            aggregate(json!({"function": "collectList", "expression": "a", "limit": 3, "by": "b"})),
            "by goes with topN",
        ),
        (
            "/operators",
            aggregate(json!({"function": "max", "expression": "a", "distinct": true})),
            DISTINCT,
        ),
        (
            "/operators",
            aggregate(json!({"function": "count", "distinct": true})),
            DISTINCT,
        ),
        (
            "/schema/fields",
            field(json!({"name": "a", "type": "array"})),
            "type array needs items, and only array has items",
        ),
        (
            "/schema/fields",
            field(json!({"name": "a", "type": "decimal"})),
            decimal_scale,
        ),
        (
            "/schema/fields",
            field(json!({"name": "a", "type": "int64", "scale": 2})),
            decimal_scale,
        ),
        (
            "/schema/fields",
            field(json!({"name": "a", "type": "int64", "precision": 2})),
            "only type decimal has precision",
        ),
        (
            "/schema/fields",
            field(json!({"name": "a", "type": "array", "items": {"type": "object"}})),
            "type object needs fields, and only object has fields",
        ),
        (
            "/source/kafka/security",
            json!({"tls": {"key": {"name": "s", "key": "k"}}}),
            "certificate and key go together",
        ),
        (
            "/sinks",
            json!([{"name": "out", "kafka": {"topic": "out", "create": false, "partitions": 3}}]),
            "partitions, replicationFactor and retention are for topics that are created",
        ),
        (
            "/scaling",
            json!({"min": 3, "max": 2, "target": {"lagRecords": 1}}),
            "min must not be above max",
        ),
        (
            "/operators",
            window(json!({"tumbling": {"size": "1h"}, "session": {"gap": "1h"}})),
            "set exactly one of tumbling, sliding and session",
        ),
        (
            "/operators",
            window(json!({"tumbling": {"size": "1h"}, "emit": {"onClose": {}, "onUpdate": {}}})),
            "set exactly one of onClose, onUpdate and early",
        ),
        (
            "/operators",
            json!([{"name": "x", "join": {"match": [{"field": "a"}]}}]),
            "set exactly one of table and stream",
        ),
        (
            "/operators",
            stream_join(json!({"ttl": "1h", "within": {"before": "1s", "after": "1s"}})),
            one_matching,
        ),
        ("/operators", stream_join(json!({})), one_matching),
        (
            "/operators",
            with(join(json!({"file": {"path": "t.csv"}})), "/0/join/ttl", json!("1h")),
            one_matching,
        ),
        (
            "/operators",
            with(join(json!({"file": {"path": "t.csv"}})), "/0/join/type", json!("outer")),
            "a join with a table is inner or left",
        ),
        (
            "/operators",
            stream_join(json!({"ttl": "none", "type": "left"})),
            "ttl none is for inner joins: rows without a match would never come out",
        ),
        (
            "/operators",
            stream_join(json!({"window": {"tumbling": {"size": "1h"}, "sliding": {"size": "1h", "slide": "1m"}}})),
            "set exactly one of tumbling and sliding",
        ),
        (
            "/operators",
            with(stream_join(json!({"ttl": "1h"})), "/0/join/stream/schema", Value::Null),
            "a kafka source needs schema; with a pipeline it comes from that pipeline",
        ),
        (
            "/operators",
            with(stream_join(json!({"ttl": "1h"})), "/0/join/stream/source", json!({})),
            "set exactly one of kafka and pipeline",
        ),
        (
            "/operators",
            join(json!({"file": {"path": "t.csv"}, "configMap": {"name": "c", "key": "t.csv"}})),
            "set exactly one of file, configMap and topic",
        ),
        (
            "/operators",
            join(json!({"file": {"path": "t.csv"}, "topic": {"name": "t"}})),
            "set exactly one of file, configMap and topic",
        ),
        (
            "/operators",
            join(json!({"topic": {"name": "t"}, "format": "csv"})),
            "leave format out: the records of a topic are JSON",
        ),
        (
            "/operators",
            join(json!({"file": {"path": "t.csv"}, "asOf": "eventTime"})),
            "asOf eventTime needs validFrom, and only asOf eventTime has validFrom",
        ),
        ("/scaling", json!({"max": 2, "target": {}}), one_target),
        (
            "/scaling",
            json!({"max": 2, "target": {"lagRecords": 1, "lagSeconds": 1}}),
            one_target,
        ),
    ]
}

#[test]
fn what_is_wrong_is_refused_with_its_message() {
    for (pointer, value, message) in wrong_pipelines() {
        let spec = with(pipeline(), pointer, value.clone());
        assert_eq!(refused("streampipelines.yaml", spec), [message], "{pointer} = {value}");
    }
    let keyed = with(
        with(aggregation(), "/source", json!({"pipeline": {"name": "other"}})),
        "/schema",
        Value::Null,
    );
    let keyed = with(keyed, "/key", json!(["a"]));
    assert_eq!(
        refused("windowaggregations.yaml", keyed),
        ["schema and key come from the referenced pipeline"]
    );
}

const CLASS_STAYS: &str = "className cannot be changed: a claim keeps its class";
const ACCESS_MODE_STAYS: &str = "accessMode cannot be changed: a claim keeps its access modes";

#[test]
fn a_claim_keeps_its_class_and_its_access_mode() {
    let storage = |storage: Value| with(pipeline(), "/checkpoint", json!({ "storage": storage }));
    let fast = || storage(json!({"className": "fast"}));
    let one_node = || storage(json!({"accessMode": "ReadWriteOnce"}));
    for (old, new, expected) in [
        (fast(), storage(json!({"className": "slow"})), vec![CLASS_STAYS]),
        (fast(), storage(json!({})), vec![CLASS_STAYS]),
        (storage(json!({})), fast(), vec![CLASS_STAYS]),
        (one_node(), storage(json!({})), vec![ACCESS_MODE_STAYS]),
        (storage(json!({})), one_node(), vec![ACCESS_MODE_STAYS]),
        (
            fast(),
            storage(json!({"className": "fast", "size": "2Gi", "reclaim": "Delete"})),
            vec![],
        ),
        (
            storage(json!({})),
            storage(json!({"accessMode": "ReadWriteMany"})),
            vec![],
        ),
        (pipeline(), fast(), vec![]),
        (fast(), pipeline(), vec![]),
    ] {
        let change = format!("{} to {}", old["checkpoint"], new["checkpoint"]);
        assert_eq!(change_refused("streampipelines.yaml", old, new), expected, "{change}");
    }
}

#[test]
fn every_message_of_a_stream_pipeline_is_tried() {
    fn messages(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                let rules = members.get("x-kubernetes-validations").and_then(Value::as_array);
                found.extend(
                    rules
                        .into_iter()
                        .flatten()
                        .filter_map(|rule| rule["message"].as_str().map(str::to_owned)),
                );
                members.values().for_each(|member| messages(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
            _ => {}
        }
    }
    let mut declared = BTreeSet::new();
    messages(&schema("streampipelines.yaml"), &mut declared);
    let tried: BTreeSet<String> = wrong_pipelines()
        .into_iter()
        .map(|(_, _, message)| message)
        .chain([CLASS_STAYS, ACCESS_MODE_STAYS])
        .map(str::to_owned)
        .collect();
    assert_eq!(declared, tried);
}
