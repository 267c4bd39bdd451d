use millrace_plan::load;
use serde_json::{Value, json};

use super::*;

const REFERENCE: &str = "spec.source.pipeline.name";

const PIPELINE: &str = r#"
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: NAME, namespace: shop, uid: uid-NAME}
spec:
  source: {kafka: {bootstrapServers: ["kafka:9092"], topics: [orders]}}
  schema: {fields: [{name: id, type: string}, {name: amount, type: int64}]}
  operators: [{name: large, filter: {where: "WHERE"}}]
  sinks: [{name: out, kafka: {topic: NAME-out}}]
"#;
const READER: &str = r#"
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: NAME, namespace: shop}
spec:
  source: {pipeline: {name: FROM}}
  sinks: [{name: out, kafka: {topic: NAME-out}}]
"#;

fn object(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap()
}

fn pipeline(name: &str, predicate: &str) -> Value {
    object(&PIPELINE.replace("NAME", name).replace("WHERE", predicate))
}

fn reader(name: &str, from: &str) -> Value {
    object(&READER.replace("NAME", name).replace("FROM", from))
}

fn stored(objects: &[Value]) -> Vec<Manifest> {
    objects
        .iter()
        .flat_map(|object| load(&object.to_string()).unwrap())
        .collect()
}

fn review(operation: &str, object: &Value, old: &Value) -> Review {
    let kind = if object.is_null() {
        &old["kind"]
    } else {
        &object["kind"]
    };
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u", "operation": operation, "namespace": "shop", "object": object, "oldObject": old,
            "kind": {"group": "millrace.io", "version": "v1alpha1", "kind": kind},
        },
    });
    Review::parse(review.to_string().as_bytes()).unwrap()
}

fn create(object: &Value, others: &[Value]) -> Verdict {
    of(&review("CREATE", object, &Value::Null), &stored(others))
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.path.as_str()).collect()
}

#[test]
fn a_good_object_is_allowed_in_silence() {
    assert_eq!(create(&pipeline("a", "amount > 3"), &[]), Verdict::default());
}

#[test]
fn all_problems_come_at_once_one_a_line() {
    let mut bad = pipeline("a", "amuont > 3");
    bad["spec"]["checkpoint"] = json!({"interval": "1h"});
    let review = review("CREATE", &bad, &Value::Null);
    let verdict = of(&review, &[]);
    assert_eq!(
        paths(&verdict.problems),
        ["spec.operators[0].filter.where", "spec.checkpoint.interval"]
    );
    let answer = review.answer(&verdict);
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u"), &json!(false)));
    let message = response["status"]["message"].as_str().unwrap();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(
        lines[0].starts_with("spec.operators[0].filter.where: ") && lines[0].contains("`amount`"),
        "{message}"
    );
    assert_eq!(response["status"]["code"], 422);
    assert_eq!(
        response["status"]["details"]["causes"][1]["field"],
        "spec.checkpoint.interval"
    );
}

#[test]
fn files_can_be_applied_in_any_order() {
    let verdict = create(&reader("b", "a"), &[]);
    assert_eq!(
        (paths(&verdict.problems), paths(&verdict.warnings)),
        (vec![], vec![REFERENCE])
    );
    assert!(
        verdict.warnings[0]
            .message
            .contains("no StreamPipeline or WindowAggregation `a`")
    );
    // One that is there but broken, or waits itself, heals later too.
    for upstream in [pipeline("a", "amuont > 3"), reader("a", "nobody")] {
        let verdict = create(&reader("b", "a"), &[upstream]);
        assert_eq!(
            (paths(&verdict.problems), paths(&verdict.warnings)),
            (vec![], vec![REFERENCE])
        );
    }
    assert_eq!(
        create(&reader("b", "a"), &[pipeline("a", "amount > 3")]),
        Verdict::default()
    );
}

#[test]
fn what_a_join_reads_may_come_later_too_but_not_in_a_circle() {
    let joins = |name: &str, from: &str| {
        let mut object = pipeline(name, "amount > 3");
        object["spec"]["operators"][0] = json!({"name": "pairs", "join": {
            "stream": {"name": "other", "source": {"pipeline": {"name": from}}},
            "match": [{"field": "id"}],
            "ttl": "1h",
            "fields": [{"field": "amount", "as": "theirs"}],
        }});
        object
    };
    let path = "spec.operators[0].join.stream.source.pipeline.name";
    let verdict = create(&joins("b", "a"), &[]);
    assert_eq!(
        (paths(&verdict.problems), paths(&verdict.warnings)),
        (vec![], vec![path])
    );
    assert_eq!(
        create(&joins("b", "a"), &[pipeline("a", "amount > 3")]),
        Verdict::default()
    );
    let verdict = create(&joins("b", "a"), &[joins("a", "c"), reader("c", "b")]);
    assert_eq!(paths(&verdict.problems), [path]);
    assert!(
        verdict.problems[0]
            .message
            .contains("circle: b reads a reads c reads b")
    );
}

#[test]
fn an_object_that_closes_a_circle_is_refused() {
    let verdict = create(&reader("a", "b"), &[reader("b", "c"), reader("c", "a")]);
    assert_eq!(paths(&verdict.problems), [REFERENCE]);
    assert!(
        verdict.problems[0].message.contains("circle"),
        "{}",
        verdict.problems[0]
    );
    assert_eq!(paths(&create(&reader("a", "a"), &[]).problems), [REFERENCE]);
    // Reading from a circle of others is waiting for them.
    assert_eq!(
        paths(&create(&reader("d", "b"), &[reader("b", "c"), reader("c", "b")]).warnings),
        [REFERENCE]
    );
}

#[test]
fn a_sink_that_its_source_does_not_have_is_refused() {
    let mut wrong = reader("b", "a");
    wrong["spec"]["source"]["pipeline"]["sink"] = json!("uot");
    let verdict = create(&wrong, &[pipeline("a", "amount > 3")]);
    assert_eq!(paths(&verdict.problems), ["spec.source.pipeline.sink"]);
}

#[test]
fn a_state_id_that_another_object_has_is_refused() {
    let with_id = |name: &str, id: &str| {
        let mut object = pipeline(name, "amount > 3");
        object["spec"]["stateId"] = json!(id);
        object
    };
    let verdict = create(&with_id("b", "mine"), &[with_id("a", "mine")]);
    assert_eq!(paths(&verdict.problems), ["spec.stateId"]);
    let verdict = create(&with_id("b", "uid-a"), &[pipeline("a", "amount > 3")]);
    assert_eq!(paths(&verdict.problems), ["spec.stateId"]);
    assert!(
        verdict.problems[0].message.contains("StreamPipeline `a`"),
        "{}",
        verdict.problems[0]
    );
    assert_eq!(
        create(&with_id("b", "uid-a"), &[with_id("a", "other")]),
        Verdict::default()
    );
    assert_eq!(
        create(&with_id("a", "mine"), &[with_id("a", "mine")]),
        Verdict::default()
    );
}

#[test]
fn an_invalid_object_can_be_labelled_reported_on_and_deleted_but_not_changed_for_the_worse() {
    let old = pipeline("a", "amuont > 3");
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    labelled["status"] = json!({"replicas": 1});
    assert_eq!(
        of(&review("UPDATE", &labelled, &old), &stored(std::slice::from_ref(&old))),
        Verdict::default()
    );
    assert_eq!(of(&review("DELETE", &Value::Null, &old), &[]), Verdict::default());
    let mut going = pipeline("a", "amuont > 4");
    let refused = of(&review("UPDATE", &going, &old), &[]);
    assert_eq!(paths(&refused.problems), ["spec.operators[0].filter.where"]);
    going["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    assert_eq!(of(&review("UPDATE", &going, &old), &[]), Verdict::default());
    assert_eq!(
        of(&review("UPDATE", &pipeline("a", "amount > 3"), &old), &[]),
        Verdict::default()
    );
}

#[test]
fn a_name_that_the_other_kind_has_is_a_warning() {
    let mut twin = pipeline("a", "amount > 3");
    twin["kind"] = json!("WindowAggregation");
    twin["spec"].as_object_mut().unwrap().remove("operators");
    twin["spec"]["window"] = json!({
        "tumbling": {"size": "1m"}, "keys": ["id"], "aggregates": [{"name": "n", "function": "count"}],
    });
    let verdict = create(&pipeline("a", "amount > 3"), &[twin]);
    assert_eq!(
        (paths(&verdict.problems), paths(&verdict.warnings)),
        (vec![], vec!["metadata.name"])
    );
}

#[test]
fn other_kinds_are_none_of_our_business() {
    let object = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {}});
    assert_eq!(create(&object, &[]), Verdict::default());
}
