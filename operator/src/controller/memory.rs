//! What this process remembers of an object between two looks. All of it can be lost: after a restart everything is applied
//! once more, which changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::core::DynamicObject;
use millrace_crds::PipelineStatus;
use millrace_plan::{Plan, Problem};

use super::build::{Child, ChildKind, hash};
use crate::key::ObjectKey;

/// How long what a watch should have brought may take.
const LAG: Duration = Duration::from_secs(10);

/// A checked spec.
pub type Checked = Result<Arc<Plan>, Vec<Problem>>;

/// What is remembered of one object.
#[derive(Debug, Default)]
pub struct Memory {
    /// The checked spec, and the revision of the namespace for which that holds.
    pub checked: Option<(u64, Arc<Checked>)>,
    /// Children as they came back from the API server.
    pub applied: HashMap<(ChildKind, String), Applied>,
    /// The status as it was written last, and when.
    pub written: Option<(PipelineStatus, Instant)>,
    /// The cluster's events about its pods, and when they were asked for.
    pub events: Option<(Vec<Event>, Instant)>,
    /// Since when something has not been as it should be.
    pub unsettled: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
}

/// All memories.
#[derive(Debug, Default)]
pub struct Memories {
    inner: Mutex<HashMap<ObjectKey, Memory>>,
}

impl Memories {
    /// Reads or changes what is remembered of an object.
    pub fn of<T>(&self, key: &ObjectKey, look: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memories = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        look(memories.entry(key.clone()).or_default())
    }

    /// Forgets an object.
    pub fn forget(&self, key: &ObjectKey) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// A child as it came back from the API server, after defaults and other people's webhooks. As long as both sides stay as
/// they were, there is nothing to write: a webhook that changes what we say does not make us say it again and again.
#[derive(Debug)]
pub struct Applied {
    /// Hash of what we said.
    desired: u64,
    /// Hash of what came back.
    live: u64,
    /// resourceVersion that is known to be the same as what came back.
    same: Option<String>,
    /// resourceVersion that the cache held when we wrote: seeing it again means that the cache lags behind.
    replaced: Option<String>,
    /// Whether the cache has held the child since.
    seen: bool,
    at: Instant,
}

impl Applied {
    /// Notes what came back. `cached` is what the cache held then.
    pub fn new(child: &Child, came_back: &DynamicObject, cached: Option<&DynamicObject>) -> Self {
        Self {
            desired: fingerprint_of(child),
            live: fingerprint(came_back),
            same: came_back.resource_version(),
            replaced: cached.and_then(ResourceExt::resource_version),
            seen: cached.is_some(),
            at: Instant::now(),
        }
    }

    /// Whether `child` has to be written, given what the cache holds.
    pub fn differs(&mut self, child: &Child, cached: Option<&DynamicObject>) -> bool {
        if self.desired != fingerprint_of(child) {
            return true;
        }
        let Some(cached) = cached else {
            return self.seen || self.at.elapsed() > LAG;
        };
        self.seen = true;
        let version = cached.resource_version();
        if version == self.same || version == self.replaced {
            return false;
        }
        let same = fingerprint(cached) == self.live;
        if same {
            self.same = version;
        }
        !same
    }
}

fn fingerprint_of(child: &Child) -> u64 {
    hash(child.object.to_string().as_bytes())
}

/// Everything about a child but what changes without anybody wanting it.
fn fingerprint(object: &DynamicObject) -> u64 {
    let mut object = object.clone();
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    metadata.resource_version = None;
    metadata.generation = None;
    if let Some(annotations) = &mut metadata.annotations {
        // Counted by the Deployment controller.
        annotations.remove("deployment.kubernetes.io/revision");
    }
    if let Some(data) = object.data.as_object_mut() {
        data.shift_remove("status");
        if object.types.as_ref().is_some_and(|types| types.kind == "ConfigMap") {
            // The cache does not keep it.
            data.clear();
        }
    }
    let text = serde_json::to_string(&object).expect("an object is plain data");
    hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn child(image: &str) -> Child {
        Child {
            kind: ChildKind::Deployment,
            name: "d".to_owned(),
            object: json!({"spec": {"image": image}}),
        }
    }

    fn live(version: &str, image: &str, replicas: i32) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "resourceVersion": version, "generation": replicas},
            "spec": {"image": image}, "status": {"replicas": replicas},
        }))
        .unwrap()
    }

    #[test]
    fn a_webhook_that_changes_what_we_say_is_not_contradicted() {
        let mut applied = Applied::new(&child("a"), &live("2", "mirror/a", 0), Some(&live("1", "a", 0)));
        assert!(!applied.differs(&child("a"), Some(&live("2", "mirror/a", 0))));
        assert!(
            !applied.differs(&child("a"), Some(&live("3", "mirror/a", 7))),
            "only the status changed"
        );
    }

    #[test]
    fn a_cache_that_lags_behind_causes_no_write() {
        let mut applied = Applied::new(&child("b"), &live("2", "b", 0), Some(&live("1", "a", 0)));
        assert!(!applied.differs(&child("b"), Some(&live("1", "a", 0))));
        let mut created = Applied::new(&child("b"), &live("2", "b", 0), None);
        assert!(!created.differs(&child("b"), None));
    }

    #[test]
    fn what_somebody_changed_or_deleted_or_what_we_say_anew_is_written() {
        let mut applied = Applied::new(&child("a"), &live("2", "a", 0), Some(&live("1", "a", 0)));
        assert!(applied.differs(&child("a"), Some(&live("3", "x", 0))));
        assert!(applied.differs(&child("b"), Some(&live("2", "a", 0))));
        assert!(applied.differs(&child("a"), None));
    }
}
