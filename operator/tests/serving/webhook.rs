//! Objects checked before they are stored.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use crate::caller::{Answer, Authority, Client, call, get};
use crate::cluster::{Cluster, SERVICE};
use crate::replica::Replica;

async fn started() -> (Cluster, Replica) {
    let cluster = Cluster::new(SERVICE, &Authority::new("front-proxy").pem);
    let replica = Replica::settled(&cluster, "24h").await;
    (cluster, replica)
}

async fn review(cluster: &Cluster, replica: &Replica, body: impl Into<Bytes>) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri("/validate?timeout=5s")
        .header("host", "operator");
    let request = request
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap();
    call(replica.address, &cluster.webhook_bundle(), &Client::nobody(), request)
        .await
        .unwrap()
}

fn reader(from: &str, sink: &str) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5", "operation": "CREATE", "namespace": "shop",
            "kind": {"group": "millrace.io", "version": "v1alpha1", "kind": "StreamPipeline"},
            "object": {
                "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
                "metadata": {"name": "totals", "namespace": "shop"},
                "spec": {
                    "source": {"pipeline": {"name": from, "sink": sink}},
                    "operators": [{"name": "large", "filter": {"where": "lenght(id) > 3"}}],
                    "sinks": [{"name": "out", "kafka": {"topic": "totals"}}],
                },
            },
        },
    })
}

#[tokio::test]
async fn an_object_is_checked_against_those_of_its_namespace() {
    let (cluster, replica) = started().await;
    let answer = review(&cluster, &replica, reader("orders", "uot").to_string()).await;
    assert_eq!(answer.code, StatusCode::OK);
    let response = answer.json()["response"].clone();
    assert_eq!(
        (&response["uid"], &response["allowed"]),
        (&json!("705ab4f5"), &json!(false))
    );
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("spec.source.pipeline.sink: ") && message.contains("`orders`"),
        "{message}"
    );

    let waiting = review(&cluster, &replica, reader("not-yet", "out").to_string())
        .await
        .json()["response"]
        .clone();
    let warning = waiting["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("spec.source.pipeline.name: no StreamPipeline or WindowAggregation `not-yet`"),
        "{warning}"
    );
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let (cluster, replica) = started().await;
    for body in [
        "",
        "{}",
        "[1]",
        r#"{"apiVersion":"admission.k8s.io/v1beta1","request":{}}"#,
    ] {
        assert_eq!(
            review(&cluster, &replica, body).await.code,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    let answer = call(
        replica.address,
        &cluster.webhook_bundle(),
        &Client::nobody(),
        get("/validate", &[]),
    )
    .await;
    assert_eq!(answer.unwrap().code, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let (cluster, replica) = started().await;
    let largest = reader("orders", &"x".repeat(6 << 20)).to_string();
    assert_eq!(review(&cluster, &replica, largest).await.code, StatusCode::OK);
    let request = Request::builder()
        .method("POST")
        .uri("/validate")
        .header("host", "operator");
    let request = request.body(Full::new(Bytes::from(vec![b'x'; 64 << 20]))).unwrap();
    let answer = call(replica.address, &cluster.webhook_bundle(), &Client::nobody(), request).await;
    // Either the answer arrives, or the connection is closed before all is sent.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.code == StatusCode::PAYLOAD_TOO_LARGE));
}
