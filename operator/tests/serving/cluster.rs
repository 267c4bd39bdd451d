//! A fake API server: the few objects that serving reads and writes, with versions, conflicts and a watch.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
pub const WEBHOOKS: &str = "millrace";
pub const NAMESPACE: &str = "millrace-system";
pub const SERVICE: &str = "millrace-operator";

/// The fake. Clones are one.
#[derive(Clone)]
pub struct Cluster {
    objects: Arc<Mutex<Objects>>,
    config_map: watch::Sender<Value>,
}

#[derive(Default)]
struct Objects {
    api_service: Value,
    webhooks: Value,
    writes: u64,
    conflicts: u64,
    /// Users who may.
    allowed: Vec<String>,
    asked: Vec<Value>,
}

impl Cluster {
    /// With an APIService of that Service, a webhook configuration, and what the API server says of its own
    /// certificate.
    pub fn new(served_by: &str, front_proxy: &str) -> Self {
        let service = json!({"namespace": NAMESPACE, "name": served_by});
        let objects = Objects {
            api_service: json!({
                "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
                "metadata": {"name": API_SERVICE, "resourceVersion": "1"},
                "spec": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1", "service": service,
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                },
            }),
            webhooks: json!({
                "kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1",
                "metadata": {"name": WEBHOOKS, "resourceVersion": "1"},
                "webhooks": [{
                    "name": "validating.millrace.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                    "clientConfig": {"service": {"namespace": NAMESPACE, "name": SERVICE, "path": "/validate"}},
                }],
            }),
            allowed: vec!["hpa".to_owned()],
            ..Objects::default()
        };
        let (config_map, _) = watch::channel(config_map(front_proxy, 1));
        Self {
            objects: Arc::new(Mutex::new(objects)),
            config_map,
        }
    }

    /// Listens, and gives a client for it.
    pub async fn client(&self) -> kube::Client {
        let configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}";
        let router = Router::new()
            .route(
                "/apis/apiregistration.k8s.io/v1/apiservices/{name}",
                get(read).patch(write),
            )
            .route(configurations, get(read).patch(write))
            .route("/api/v1/namespaces/kube-system/configmaps", get(config_maps))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        kube::Client::try_from(kube::Config::new(address.parse().unwrap())).unwrap()
    }

    /// What the API server trusts when it asks for metrics.
    pub fn bundle(&self) -> Vec<u8> {
        bundle(&self.objects.lock().unwrap().api_service["spec"]["caBundle"])
    }

    /// What it trusts when it calls the webhook.
    pub fn webhook_bundle(&self) -> Vec<u8> {
        bundle(&self.objects.lock().unwrap().webhooks["webhooks"][0]["clientConfig"]["caBundle"])
    }

    /// Empties the APIService's bundle, as an installer may that knows nothing of it.
    pub fn reset_bundle(&self) {
        let mut objects = self.objects.lock().unwrap();
        objects.api_service["spec"].as_object_mut().unwrap().remove("caBundle");
        next_version(&mut objects.api_service);
    }

    pub fn api_service(&self) -> Value {
        self.objects.lock().unwrap().api_service.clone()
    }

    pub fn webhooks(&self) -> Value {
        self.objects.lock().unwrap().webhooks.clone()
    }

    pub fn writes(&self) -> u64 {
        self.objects.lock().unwrap().writes
    }

    pub fn conflicts(&self) -> u64 {
        self.objects.lock().unwrap().conflicts
    }

    /// The SubjectAccessReviews so far.
    pub fn asked(&self) -> Vec<Value> {
        self.objects.lock().unwrap().asked.clone()
    }

    /// The API server gets a certificate of another authority.
    pub fn change_front_proxy(&self, authority: &str) {
        self.config_map.send_replace(config_map(authority, 2));
    }
}

fn config_map(front_proxy: &str, version: u32) -> Value {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {
            "name": "extension-apiserver-authentication", "namespace": "kube-system", "uid": "c",
            "resourceVersion": version.to_string(),
        },
        "data": {
            "requestheader-client-ca-file": front_proxy,
            "requestheader-allowed-names": r#"["front-proxy-client"]"#,
            "requestheader-username-headers": r#"["X-Remote-User"]"#,
            "requestheader-group-headers": r#"["X-Remote-Group"]"#,
            "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
        },
    })
}

fn bundle(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Option<ByteString>>(value.clone())
        .unwrap()
        .unwrap_or_default()
        .0
}

fn object<'a>(objects: &'a mut Objects, name: &str) -> Option<&'a mut Value> {
    match name {
        API_SERVICE => Some(&mut objects.api_service),
        WEBHOOKS => Some(&mut objects.webhooks),
        _ => None,
    }
}

fn next_version(object: &mut Value) {
    let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
}

async fn read(State(cluster): State<Cluster>, Path(name): Path<String>) -> Response {
    match object(&mut cluster.objects.lock().unwrap(), &name) {
        Some(object) => object.to_string().into_response(),
        None => failure(StatusCode::NOT_FOUND, "NotFound"),
    }
}

async fn write(State(cluster): State<Cluster>, Path(name): Path<String>, body: String) -> Response {
    let patch: Value = serde_json::from_str(&body).unwrap();
    let mut objects = cluster.objects.lock().unwrap();
    let Some(target) = object(&mut objects, &name) else {
        return failure(StatusCode::NOT_FOUND, "NotFound");
    };
    if patch["metadata"]["resourceVersion"] != target["metadata"]["resourceVersion"] {
        objects.conflicts += 1;
        return failure(StatusCode::CONFLICT, "Conflict");
    }
    merge(target, &patch);
    next_version(target);
    let answer = target.to_string();
    objects.writes += 1;
    answer.into_response()
}

/// A merge patch, with lists merged by name.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.remove(key)),
                    value => merge(target.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) => {
            for one in patch {
                let same = target.iter_mut().find(|other| other["name"] == one["name"]).unwrap();
                merge(same, one);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

async fn config_maps(State(cluster): State<Cluster>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    assert!(
        query.contains("metadata.name%3Dextension-apiserver-authentication"),
        "{query}"
    );
    let mut changes = cluster.config_map.subscribe();
    if !query.contains("watch=true") {
        let item = changes.borrow().clone();
        let metadata = json!({"resourceVersion": "1"});
        let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": [item]});
        return list.to_string().into_response();
    }
    changes.mark_unchanged();
    let events = futures::stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        let event = json!({"type": "MODIFIED", "object": *changes.borrow()});
        Some((format!("{event}\n"), changes))
    });
    Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)).into_response()
}

async fn review(State(cluster): State<Cluster>, body: String) -> Response {
    let mut review: Value = serde_json::from_str(&body).unwrap();
    let mut objects = cluster.objects.lock().unwrap();
    let user = review["spec"]["user"].as_str().unwrap_or_default();
    review["status"] = json!({"allowed": objects.allowed.iter().any(|allowed| allowed == user)});
    objects.asked.push(review["spec"].clone());
    (StatusCode::CREATED, review.to_string()).into_response()
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "message": reason,
        "code": code.as_u16(),
    });
    (code, status.to_string()).into_response()
}
