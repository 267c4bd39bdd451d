//! The controller against an API server in memory: one scenario a test. What only a real API server and real controllers
//! show is shown on a real cluster.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fake_api;

use axum::http::Method;
use fake_api::{FakeApi, Operator, Refusal};
use serde_json::{Value, json};

const PIPELINE: &str = "/apis/millrace.io/v1alpha1/namespaces/n/streampipelines/p";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/n/deployments/p-runners";
const CLAIM: &str = "/api/v1/namespaces/n/persistentvolumeclaims/p-state";
const POD: &str = "/api/v1/namespaces/n/pods/p-runners-1";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/system/leases/millrace-operator";

#[tokio::test]
async fn children_are_made_in_order_and_looked_at_again_without_a_write() {
    let operator = Operator::start(&[(PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(PIPELINE, |object| reason(object, "Ready").is_some()).await;
    let expected = [
        "serviceaccounts",
        "configmaps",
        "persistentvolumeclaims",
        "services",
        "poddisruptionbudgets",
        "deployments",
        "streampipelines/status",
    ];
    assert_eq!(fake.take_writes(), expected.map(|resource| format!("PATCH {resource}")));

    operator.look_again().await;
    assert_eq!(fake.take_writes(), Vec::<String>::new());
    operator.stop().await;
}

#[tokio::test]
async fn what_somebody_else_changed_or_deleted_is_put_right_and_what_is_theirs_stays() {
    let operator = Operator::start(&[(PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(PIPELINE, |object| reason(object, "Ready").is_some()).await;
    let theirs = json!({"metadata": {"labels": {"theirs": "yes"}}, "spec": {"replicas": 7}});
    fake.put(DEPLOYMENT, theirs);
    let deployment = fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    assert_eq!(deployment["metadata"]["labels"]["theirs"], "yes");
    fake.remove(DEPLOYMENT);
    fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_changed_spec_waits_until_the_old_runners_are_gone() {
    let operator = Operator::start(&[(PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(PIPELINE, |object| reason(object, "Ready").is_some()).await;
    let old = fake.get(DEPLOYMENT).unwrap();
    fake.put(POD, pod_of(&old));

    fake.put(PIPELINE, json!({"spec": {"resources": {"requests": {"cpu": "2"}}}}));
    let drained = fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 0).await;
    assert_eq!(template(&drained), template(&old), "only the number of runners changed");
    fake.until(PIPELINE, |object| reason(object, "Progressing") == Some("RollingOut"))
        .await;
    fake.take_writes();
    operator.look_again().await;
    assert_eq!(fake.take_writes(), Vec::<String>::new(), "an old runner is still there");

    fake.remove(POD);
    let new = fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    assert_ne!(template(&new), template(&old));
    operator.stop().await;
}

#[tokio::test]
async fn a_spec_that_would_lose_state_changes_nothing_until_it_is_allowed() {
    let operator = Operator::start(&[(PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(PIPELINE, |object| reason(object, "Ready").is_some()).await;
    let (old, claim) = (fake.get(DEPLOYMENT).unwrap(), fake.get(CLAIM).unwrap());

    let other_key =
        json!({"keys": ["carrier"], "aggregates": [{"name": "n", "function": "sum", "expression": "delay"}]});
    fake.put(
        PIPELINE,
        json!({"spec": {"operators": [{"name": "per-carrier", "groupBy": other_key}]}}),
    );
    fake.until(PIPELINE, |object| {
        reason(object, "Degraded") == Some("StateWouldBeLost")
    })
    .await;
    assert_eq!(fake.get(DEPLOYMENT).unwrap(), old);

    fake.put(PIPELINE, json!({"spec": {"onStateChange": {"drop": ["per-carrier"]}}}));
    let new = fake
        .until(DEPLOYMENT, |object| template(object) != template(&old))
        .await;
    assert_eq!(new["spec"]["replicas"], 1);
    assert_ne!(
        fake.get(CLAIM).unwrap()["metadata"]["annotations"],
        claim["metadata"]["annotations"]
    );

    // Taking the name out again is no change of what runs.
    fake.put(POD, pod_of(&new));
    operator.look_again().await;
    fake.take_writes();
    fake.put(PIPELINE, json!({"spec": {"onStateChange": null}}));
    operator.look_again().await;
    let writes = fake.take_writes();
    let status = "PATCH streampipelines/status";
    assert!(writes.iter().all(|write| write == status), "{writes:?}");
    assert_eq!(fake.get(DEPLOYMENT).unwrap(), new);
    operator.stop().await;
}

#[tokio::test]
async fn a_deployment_of_somebody_else_is_left_alone() {
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p-runners"}, "spec": {}});
    let operator = Operator::start(&[(DEPLOYMENT, theirs), (PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(PIPELINE, |object| reason(object, "Degraded") == Some("NameTaken"))
        .await;
    assert_eq!(fake.get(DEPLOYMENT).unwrap()["spec"], json!({}));
    operator.stop().await;
}

#[tokio::test]
async fn a_missing_right_is_named_and_heals() {
    let fake = FakeApi::start().await;
    fake.refuse(&[Refusal {
        method: Method::PATCH,
        plural: "deployments",
        message: r#"User "u" cannot patch resource "deployments" in API group "apps""#,
    }]);
    fake.put(PIPELINE, pipeline());
    let operator = Operator::on(fake).await;
    let fake = &operator.fake;
    let object = fake
        .until(PIPELINE, |object| reason(object, "Degraded") == Some("Forbidden"))
        .await;
    let message = condition(&object, "Degraded").unwrap()["message"].as_str().unwrap();
    assert!(message.contains("patch deployments.apps"), "{message}");
    fake.refuse(&[]);
    fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_broken_object_gets_a_condition_and_stops_no_other() {
    let broken = json!({
        "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
        "metadata": {"name": "broken"}, "spec": {"source": 7},
    });
    let at = "/apis/millrace.io/v1alpha1/namespaces/n/streampipelines/broken";
    let operator = Operator::start(&[(at, broken), (PIPELINE, pipeline())]).await;
    let fake = &operator.fake;
    fake.until(at, |object| reason(object, "Degraded") == Some("InvalidSpec"))
        .await;
    fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn who_does_not_lead_writes_nothing_and_who_leads_gives_the_lease_back() {
    let fake = FakeApi::start().await;
    fake.put(PIPELINE, pipeline());
    fake.put(
        LEASE,
        json!({"metadata": {"name": "millrace-operator"}, "spec": {"holderIdentity": "other"}}),
    );
    let operator = Operator::on(fake.clone()).await;
    operator.look_again().await;
    assert_eq!(fake.take_writes(), Vec::<String>::new());

    fake.put(LEASE, json!({"spec": {"holderIdentity": ""}}));
    fake.until(DEPLOYMENT, |object| object["spec"]["replicas"] == 1).await;
    assert_eq!(fake.get(LEASE).unwrap()["spec"]["holderIdentity"], "me");
    operator.stop().await;
    assert_eq!(fake.get(LEASE).unwrap()["spec"]["holderIdentity"], "");
}

fn pipeline() -> Value {
    let spec = json!({
        "source": {"kafka": {"bootstrapServers": ["kafka:9092"], "topics": ["flights"]}},
        "schema": {"fields": [{"name": "carrier", "type": "string"}, {"name": "delay", "type": "int64"}]},
        "key": ["carrier"],
        "operators": [{"name": "per-carrier", "groupBy": {
            "keys": ["carrier"], "aggregates": [{"name": "n", "function": "count"}],
        }}],
        "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
    });
    json!({
        "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
        "metadata": {"name": "p", "uid": "uid-of-p"}, "spec": spec,
    })
}

fn pod_of(deployment: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p-runners-1", "labels": deployment["spec"]["template"]["metadata"]["labels"],
            "annotations": deployment["spec"]["template"]["metadata"]["annotations"]},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    })
}

fn template(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// The reason of a condition.
fn reason<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    condition(object, kind)?["reason"].as_str()
}
