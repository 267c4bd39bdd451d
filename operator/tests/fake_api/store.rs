//! Objects and everything that ever happened to them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Path;

/// Objects, and the events that a watch sees.
#[derive(Default)]
pub struct Store {
    objects: Vec<(Path, Value)>,
    log: Vec<(u64, Path, &'static str, Value)>,
    version: u64,
}

type Refused = (StatusCode, &'static str);

impl Store {
    pub fn get(&self, path: &Path) -> Option<Value> {
        self.position(path).map(|at| self.objects[at].1.clone())
    }

    pub fn list(&self, path: &Path, selector: &[(String, String)]) -> Value {
        let chosen = self
            .objects
            .iter()
            .filter(|(at, object)| path.holds(at) && matches(object, selector));
        let items: Vec<_> = chosen.map(|(_, object)| object).collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    /// The first event after `seen` that concerns a collection.
    pub fn event_after(&self, path: &Path, selector: &[(String, String)], seen: u64) -> Option<(u64, Value)> {
        let mut events = self
            .log
            .iter()
            .filter(|(version, at, _, object)| *version > seen && path.holds(at) && matches(object, selector));
        let (version, _, kind, object) = events.next()?;
        Some((*version, json!({"type": kind, "object": object})))
    }

    pub fn write(&mut self, method: &Method, mut path: Path, body: Value) -> Result<Value, Refused> {
        let here = match method {
            &Method::POST => {
                path.name = body["metadata"]["name"].as_str().map(str::to_owned);
                None
            }
            _ => self.get(&path),
        };
        let wanted = if method == Method::DELETE {
            &body["preconditions"]
        } else {
            &body["metadata"]
        };
        for field in ["uid", "resourceVersion"] {
            let found = here.as_ref().map(|here| &here["metadata"][field]);
            if wanted[field].is_string() && found.is_some_and(|found| *found != wanted[field]) {
                return Err((StatusCode::CONFLICT, "Conflict"));
            }
        }
        match *method {
            Method::DELETE => self.remove(&path).ok_or((StatusCode::NOT_FOUND, "NotFound")),
            _ if path.status && here.is_none() => Err((StatusCode::NOT_FOUND, "NotFound")),
            _ => Ok(self.merge(&path, body)),
        }
    }

    /// Puts `change` over what is there.
    pub fn merge(&mut self, path: &Path, mut change: Value) -> Value {
        if path.status {
            change = json!({"status": change["status"]});
        }
        let before = self.get(path).unwrap_or_default();
        let mut object = before.clone();
        merge(&mut object, change);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(path.namespace);
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if object == before {
            return object;
        }
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        let generation = before["metadata"]["generation"].as_u64().unwrap_or_default();
        let another = u64::from(object["spec"] != before["spec"]);
        object["metadata"]["generation"] = json!(generation + another);
        let kind = match self.position(path) {
            Some(at) => {
                self.objects[at].1 = object.clone();
                "MODIFIED"
            }
            None => {
                let path = Path {
                    status: false,
                    ..path.clone()
                };
                self.objects.push((path, object.clone()));
                "ADDED"
            }
        };
        self.log.push((self.version, path.clone(), kind, object.clone()));
        object
    }

    pub fn remove(&mut self, path: &Path) -> Option<Value> {
        let (_, mut object) = self.objects.remove(self.position(path)?);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.log.push((self.version, path.clone(), "DELETED", object.clone()));
        Some(object)
    }

    fn position(&self, path: &Path) -> Option<usize> {
        self.objects
            .iter()
            .position(|(at, _)| path.holds(at) && at.name == path.name)
    }
}

fn matches(object: &Value, selector: &[(String, String)]) -> bool {
    selector
        .iter()
        .all(|(name, value)| object["metadata"]["labels"][name] == *value)
}

/// Maps are merged, everything else is replaced, null removes.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                match value {
                    Value::Null => drop(into.shift_remove(&name)),
                    value => merge(into.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (into, change) => *into = change,
    }
}
