//! What the API server tells us: both kinds, and all children by label. Writes only into the caches, and asks for looks.
//!
//! Every watch is a task of its own with its own back-off, so that one that fails holds up no other.

mod standing;

use std::collections::HashSet;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::core::{ApiResource, DynamicObject, Resource};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::task::JoinSet;

use super::backoff;
use super::build::{ChildKind, labels};
use super::declared::{Declared, KINDS, resource};
use super::live::{Live, Writers};
use super::objects::Objects;
use super::triggers::Triggers;
use crate::key::ObjectKey;

pub use standing::Standing;

/// Longest wait between two tries: an API server that comes back is found soon.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A failure this long after the one before is a new one.
const GOOD_WHILE: Duration = Duration::from_secs(60);

/// Begins to watch, each time for `lifetime`. Everything ends when the returned set is dropped.
pub fn start(
    client: &Client,
    lifetime: Duration,
    namespaces: &[String],
    objects: &Arc<Objects>,
    triggers: &Triggers,
    standing: &Standing,
) -> (Live, JoinSet<()>) {
    let (live, writers) = Live::new(namespaces);
    let mut tasks = JoinSet::new();
    // Of zero seconds, a watch would be taken to live for ever.
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
    let every = || watcher::Config::default().timeout(seconds);
    let ours = || every().labels(labels::ALL_CHILDREN);
    for Writers {
        namespace,
        children,
        pods,
    } in writers
    {
        let watch = |name: &str| Watch::new(name, &namespace, triggers, standing);
        for kind in KINDS {
            let stream = watcher::watcher(dynamic(client, namespace.as_deref(), &resource(kind)), every());
            tasks.spawn(watch(kind).run_objects(kind, stream, objects.clone()));
        }
        for (kind, writer) in children {
            let resource = kind.resource();
            let api = dynamic(client, namespace.as_deref(), &resource);
            let stream = watcher::watcher(api, ours()).modify(move |it| trim(kind, it));
            tasks.spawn(watch(&resource.kind).run_children(stream, writer));
        }
        let api: Api<Pod> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let stream = watcher::watcher(api, ours());
        let stream = stream.modify(|pod| pod.metadata.managed_fields = None);
        tasks.spawn(watch("Pod").run_children(stream, pods));
    }
    (live, tasks)
}

fn dynamic(client: &Client, namespace: Option<&str>, resource: &ApiResource) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Drops what nobody asks for. A ConfigMap of ours is immutable and named after what it holds.
fn trim(kind: ChildKind, child: &mut DynamicObject) {
    child.metadata.managed_fields = None;
    if let (ChildKind::ConfigMap, Some(data)) = (kind, child.data.as_object_mut()) {
        data.clear();
    }
}

/// One watch.
struct Watch {
    name: String,
    scope: Option<String>,
    triggers: Triggers,
    standing: Standing,
}

impl Watch {
    fn new(name: &str, scope: &Option<String>, triggers: &Triggers, standing: &Standing) -> Self {
        let name = format!("{name} in {}", scope.as_deref().unwrap_or("all namespaces"));
        standing.expect(&name);
        Self {
            name,
            scope: scope.clone(),
            triggers: triggers.clone(),
            standing: standing.clone(),
        }
    }

    /// Keeps `objects` as the API server has them.
    async fn run_objects(
        self,
        kind: &'static str,
        stream: impl Stream<Item = watcher::Result<Event<DynamicObject>>>,
        objects: Arc<Objects>,
    ) {
        let mut stream = pin!(stream.backoff(Patience::default()));
        let mut listed = HashSet::new();
        while let Some(event) = stream.next().await {
            let Some(event) = self.look_at(event) else { continue };
            let affected = match event {
                Event::Init => {
                    listed.clear();
                    Vec::new()
                }
                Event::InitApply(object) => {
                    let declared = Declared::read(kind, &object);
                    listed.insert(declared.key.clone());
                    objects.apply(declared)
                }
                Event::InitDone => {
                    let gone = objects.missing(kind, self.scope.as_deref(), &listed);
                    self.triggers.all();
                    let affected = gone.into_iter().flat_map(|key| removed(&objects, key));
                    affected.collect()
                }
                Event::Apply(object) => objects.apply(Declared::read(kind, &object)),
                Event::Delete(object) => removed(&objects, Declared::read(kind, &object).key),
            };
            affected.into_iter().for_each(|key| self.triggers.look(key));
        }
    }

    /// Keeps a cache of children as the API server has them, and asks for a look at whose child changed.
    async fn run_children<K>(self, stream: impl Stream<Item = watcher::Result<Event<K>>>, writer: Writer<K>)
    where
        K: Resource + Clone + 'static,
        K::DynamicType: Eq + Hash + Clone,
    {
        let mut stream = pin!(stream.backoff(Patience::default()).reflect(writer));
        while let Some(event) = stream.next().await {
            match self.look_at(event) {
                Some(Event::Apply(child) | Event::Delete(child)) => {
                    labels::object_of(&child)
                        .into_iter()
                        .for_each(|key| self.triggers.look(key));
                }
                // What changed while nobody watched is not said.
                Some(Event::InitDone) => self.triggers.all(),
                Some(Event::Init | Event::InitApply(_)) | None => {}
            }
        }
    }

    /// Notes how the watch does.
    fn look_at<K>(&self, event: watcher::Result<Event<K>>) -> Option<Event<K>> {
        match event {
            Ok(event) => {
                if matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_))
                    && self.standing.set_forbidden(&self.scope, &self.name, None)
                {
                    self.triggers.all();
                }
                if matches!(event, Event::InitDone) {
                    self.standing.listed(&self.name);
                }
                Some(event)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&self, error: &watcher::Error) {
        if let watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error
            && status.is_forbidden()
        {
            if self
                .standing
                .set_forbidden(&self.scope, &self.name, Some(status.message.clone()))
            {
                tracing::error!(watch = self.name, "{}", status.message);
                self.triggers.all();
            }
            // Waiting for what we may never see would keep everything else from working.
            self.standing.listed(&self.name);
            return;
        }
        tracing::warn!(watch = self.name, %error, "a watch failed and is tried again");
    }
}

/// The key itself is looked at too: what is remembered of it has to go.
fn removed(objects: &Objects, key: ObjectKey) -> Vec<ObjectKey> {
    let mut affected = objects.remove(&key);
    affected.push(key);
    affected
}

/// Waits between tries of one watch: longer and longer, until one has not failed for a good while.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
    last: Option<Instant>,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > GOOD_WHILE) {
            self.failures = 0;
        }
        self.last = Some(Instant::now());
        self.failures = self.failures.saturating_add(1);
        Some(backoff::after(self.failures, backoff::jitter()).min(LONGEST_WAIT))
    }
}

impl Backoff for Patience {
    /// Asked for at every event. But every new try begins with an event, which is no success yet.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_though_every_try_begins_with_an_event() {
        let mut patience = Patience::default();
        let mut next = || {
            patience.reset();
            patience.next().unwrap().as_secs_f64()
        };
        let waits: Vec<f64> = std::iter::repeat_with(&mut next).take(6).collect();
        for (wait, longest) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0]) {
            assert!((0.75 * longest..=longest).contains(wait), "{waits:?}");
        }
    }
}
