//! An API server that keeps objects in memory, over plain HTTP: lists, watches, server-side apply of whole objects,
//! preconditions, and refusals on demand. It validates nothing, fills in no defaults and has no controllers: a test plays
//! their part with [`FakeApi::put`] and [`FakeApi::remove`].

mod operator;
mod path;
mod store;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

pub use operator::Operator;
pub use path::Path;
pub use store::Store;

/// Refuses requests for which the test asked.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Of this method.
    pub method: Method,
    /// For this resource.
    pub plural: &'static str,
    /// What it says.
    pub message: &'static str,
}

/// The server. Clones are one.
#[derive(Clone)]
pub struct FakeApi {
    store: Arc<Mutex<Store>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    writes: Arc<Mutex<Vec<String>>>,
    changed: watch::Sender<u64>,
    pub url: String,
}

impl FakeApi {
    /// Listens on a free port until the test ends.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            store: Arc::default(),
            refusals: Arc::default(),
            writes: Arc::default(),
            changed: watch::channel(0).0,
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// Writes an object as somebody else.
    pub fn put(&self, path: &str, object: Value) {
        self.store().merge(&Path::parse(path), object);
        self.tell();
    }

    /// Deletes an object as somebody else.
    pub fn remove(&self, path: &str) {
        self.store().remove(&Path::parse(path));
        self.tell();
    }

    /// An object as it is now.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.store().get(&Path::parse(path))
    }

    /// Returns once `is` says yes of an object.
    pub async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(object) = self.get(path).filter(|object| is(object)) {
                    return object;
                }
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("waited too long for {path}: {:?}", self.get(path)))
    }

    /// What was written by way of HTTP since the last call: method and resource, without Leases and events.
    pub fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }

    /// Refuses with 403 from now on, and nothing else.
    pub fn refuse(&self, refusals: &[Refusal]) {
        *self.refusals.lock().unwrap() = refusals.to_vec();
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn refusal(&self, method: &Method, plural: &str) -> Option<Response> {
        let refusals = self.refusals.lock().unwrap();
        let refusal = refusals
            .iter()
            .find(|refusal| refusal.method == method && refusal.plural == plural)?;
        Some(status(StatusCode::FORBIDDEN, "Forbidden", refusal.message))
    }
}

async fn answer(State(fake): State<FakeApi>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = Path::parse(uri.path());
    let query = uri.query().unwrap_or_default();
    if let Some(refused) = fake.refusal(&method, &path.plural) {
        return refused;
    }
    if method == Method::GET {
        return read(&fake, &path, query);
    }
    if !matches!(path.plural.as_str(), "leases" | "events") {
        fake.writes
            .lock()
            .unwrap()
            .push(format!("{method} {}", path.resource()));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = fake.store().write(&method, path, body);
    fake.tell();
    match answer {
        Ok(object) => json_answer(StatusCode::OK, &object),
        Err((code, reason)) => status(code, reason, "refused by the fake"),
    }
}

fn read(fake: &FakeApi, path: &Path, query: &str) -> Response {
    if query.contains("watch=true") {
        return follow(fake.clone(), path.clone(), query);
    }
    if path.name.is_none() {
        return json_answer(StatusCode::OK, &fake.store().list(path, &selector(query)));
    }
    match fake.store().get(path) {
        Some(object) => json_answer(StatusCode::OK, &object),
        None => status(StatusCode::NOT_FOUND, "NotFound", "not found"),
    }
}

/// One line an event, from a resourceVersion on, for ever.
fn follow(fake: FakeApi, path: Path, query: &str) -> Response {
    let from = parameter(query, "resourceVersion").parse::<u64>().unwrap_or_default();
    let selector = selector(query);
    let changes = fake.changed.subscribe();
    let events = futures::stream::unfold((fake, from, changes), move |(fake, seen, mut changes)| {
        let (path, selector) = (path.clone(), selector.clone());
        async move {
            loop {
                changes.mark_unchanged();
                let next = fake.store().event_after(&path, &selector, seen);
                if let Some((version, event)) = next {
                    let line = format!("{event}\n");
                    return Some((Ok::<_, Infallible>(line), (fake, version, changes)));
                }
                changes.changed().await.ok()?;
            }
        }
    });
    Response::new(Body::from_stream(events))
}

fn selector(query: &str) -> Vec<(String, String)> {
    let text = parameter(query, "labelSelector");
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn parameter(query: &str, name: &str) -> String {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    json_answer(code, &status)
}

fn json_answer(code: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    response
}
