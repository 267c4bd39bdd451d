//! All objects of both kinds, as the watches brought them. Fed by `watches`, read by everyone; no client.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_crds::manifest::Manifest;

use super::declared::Declared;
use crate::key::ObjectKey;

/// The objects of a namespace that can be read, at one moment.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// Another number for every change of a spec in the namespace.
    pub revision: u64,
    /// The objects.
    pub manifests: Vec<Manifest>,
}

/// All objects of both kinds.
#[derive(Debug, Default)]
pub struct Objects {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<ObjectKey, Arc<Declared>>,
    /// By namespace; gone after a change of a spec in it.
    neighbours: HashMap<String, Arc<Neighbours>>,
    revisions: u64,
}

impl Objects {
    /// Takes what a watch brought. Returns which objects have to be looked at because of it: none after a mere change
    /// of the status, which is our own.
    pub fn apply(&self, declared: Declared) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        let declared = Arc::new(declared);
        let old = inner.known.insert(declared.key.clone(), declared.clone());
        let same = |old: &Arc<Declared>| {
            old.uid == declared.uid
                && old.generation == declared.generation
                && old.being_deleted == declared.being_deleted
        };
        if old.as_ref().is_some_and(same) {
            return Vec::new();
        }
        inner.neighbours.remove(&declared.key.namespace);
        let mut affected = inner.affected(&declared);
        affected.extend(old.iter().flat_map(|old| inner.affected(old)));
        affected.insert(declared.key.clone());
        affected.into_iter().collect()
    }

    /// Takes a deletion. Returns which other objects have to be looked at because of it.
    pub fn remove(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        let Some(old) = inner.known.remove(key) else {
            return Vec::new();
        };
        inner.neighbours.remove(&key.namespace);
        inner.affected(&old).into_iter().collect()
    }

    /// The objects of `kind`, in `namespace` or everywhere, that are not among those of a complete list.
    pub fn missing(&self, kind: &str, namespace: Option<&str>, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        let inner = self.lock();
        let watched = |key: &&ObjectKey| key.kind == kind && namespace.is_none_or(|it| it == key.namespace);
        let keys = inner.known.keys().filter(watched);
        keys.filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Declared>> {
        self.lock().known.get(key).cloned()
    }

    /// All of them.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.lock().known.keys().cloned().collect()
    }

    /// Everything in a namespace that an object may refer to.
    pub fn neighbours(&self, namespace: &str) -> Arc<Neighbours> {
        let mut inner = self.lock();
        if let Some(found) = inner.neighbours.get(namespace) {
            return found.clone();
        }
        inner.revisions += 1;
        let here = inner
            .known
            .values()
            .filter(|declared| declared.key.namespace == namespace);
        let mut here: Vec<_> = here.collect();
        here.sort_by(|a, b| a.key.cmp(&b.key));
        let neighbours = Arc::new(Neighbours {
            revision: inner.revisions,
            manifests: here
                .iter()
                .filter_map(|it| it.manifest.as_ref().ok().cloned())
                .collect(),
        });
        inner.neighbours.insert(namespace.to_owned(), neighbours.clone());
        neighbours
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Those whose plan depends on `changed`: its readers, their readers, and whoever claims the same state.
    fn affected(&self, changed: &Declared) -> HashSet<ObjectKey> {
        let here = |key: &ObjectKey| key.namespace == changed.key.namespace && *key != changed.key;
        let mut affected = HashSet::new();
        let mut names = vec![changed.key.name.clone()];
        while let Some(name) = names.pop() {
            for (key, declared) in &self.known {
                if here(key) && declared.reads().contains(&name.as_str()) && affected.insert(key.clone()) {
                    names.push(key.name.clone());
                }
            }
        }
        if let Some(state_id) = changed.state_id() {
            let same = |declared: &&Arc<Declared>| here(&declared.key) && declared.state_id() == Some(state_id);
            affected.extend(self.known.values().filter(same).map(|declared| declared.key.clone()));
        }
        affected
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(name: &str, generation: i64, reads: Option<&str>) -> Declared {
        let source = match reads {
            Some(name) => json!({"pipeline": {"name": name}}),
            None => json!({}),
        };
        let object = json!({
            "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
            "metadata": {"name": name, "namespace": "n", "uid": name, "generation": generation},
            "spec": {"source": source, "sinks": []},
        });
        Declared::read("StreamPipeline", &serde_json::from_value(object).unwrap())
    }

    fn names(mut keys: Vec<ObjectKey>) -> Vec<String> {
        keys.sort();
        keys.into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn a_changed_pipeline_concerns_its_readers_and_theirs() {
        let objects = Objects::default();
        assert_eq!(names(objects.apply(declared("c", 1, Some("b")))), ["c"]);
        assert_eq!(names(objects.apply(declared("b", 1, Some("a")))), ["b", "c"]);
        assert_eq!(names(objects.apply(declared("a", 1, None))), ["a", "b", "c"]);
        assert_eq!(names(objects.apply(declared("a", 1, None))), Vec::<String>::new());
        assert_eq!(names(objects.apply(declared("c", 2, Some("b")))), ["c"]);
        assert_eq!(names(objects.remove(&declared("a", 1, None).key)), ["b", "c"]);
    }

    #[test]
    fn pipelines_that_read_each_other_end_the_search() {
        let objects = Objects::default();
        objects.apply(declared("a", 1, Some("b")));
        assert_eq!(names(objects.apply(declared("b", 1, Some("a")))), ["a", "b"]);
    }

    #[test]
    fn neighbours_have_a_new_revision_after_a_change_only() {
        let objects = Objects::default();
        objects.apply(declared("a", 1, None));
        let first = objects.neighbours("n");
        objects.apply(declared("a", 1, None));
        assert_eq!(objects.neighbours("n").revision, first.revision);
        objects.apply(declared("a", 2, None));
        assert_ne!(objects.neighbours("n").revision, first.revision);
    }

    #[test]
    fn a_list_says_what_is_gone() {
        let objects = Objects::default();
        objects.apply(declared("a", 1, None));
        objects.apply(declared("b", 1, None));
        let listed = HashSet::from([declared("a", 1, None).key]);
        assert_eq!(names(objects.missing("StreamPipeline", None, &listed)), ["b"]);
        assert_eq!(
            names(objects.missing("StreamPipeline", Some("other"), &listed)),
            Vec::<String>::new()
        );
    }
}
