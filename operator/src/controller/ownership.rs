//! Whose child it is. Pure.

use kube::ResourceExt;
use kube::core::DynamicObject;

use super::build::{ChildKind, labels};
use super::declared::Declared;

/// Whose child it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Our object's.
    Ours,
    /// It is being deleted, or was that of an object of the same name that is gone: it goes by itself.
    Going,
    /// Somebody else's: the sentence says whose.
    Theirs(String),
}

/// Whose `child` is, of those whose names we would use for `declared`.
pub fn of(child: &DynamicObject, kind: ChildKind, declared: &Declared) -> Ownership {
    let what = || format!("{} `{}`", kind.resource().kind, child.name_any());
    let theirs = |whose: String| Ownership::Theirs(format!("{} {whose}", what()));
    let controller = child
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true));
    let ownership = match controller {
        Some(owner) if owner.uid == declared.uid => Ownership::Ours,
        Some(owner) if owner.kind == declared.key.kind && owner.name == declared.key.name => Ownership::Going,
        Some(owner) => theirs(format!("belongs to {} `{}`", owner.kind, owner.name)),
        None => match labels::object_of(child) {
            Some(marked) if marked == declared.key => Ownership::Ours,
            Some(marked) => theirs(format!("belongs to {} `{}`", marked.kind, marked.name)),
            // A claim that somebody has prepared is there to be used.
            None if kind == ChildKind::Claim => Ownership::Ours,
            None => theirs("was not made by Millrace".to_owned()),
        },
    };
    match ownership {
        Ownership::Ours if child.metadata.deletion_timestamp.is_some() => Ownership::Going,
        ownership => ownership,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn declared() -> Declared {
        let object = json!({
            "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
            "metadata": {"name": "p", "namespace": "n", "uid": "new"}, "spec": {},
        });
        Declared::read("StreamPipeline", &serde_json::from_value(object).unwrap())
    }

    fn owned_by(kind: &str, name: &str, uid: &str) -> Value {
        json!({"ownerReferences": [
            {"apiVersion": "millrace.io/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true}
        ]})
    }

    fn marked(kind: &str, name: &str) -> Value {
        json!({"labels": {"millrace.io/kind": kind}, "annotations": {"millrace.io/name": name}})
    }

    #[test]
    fn only_our_own_children_are_touched() {
        use ChildKind::{Claim, Service};
        let deleted = {
            let mut metadata = owned_by("StreamPipeline", "p", "new");
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            metadata
        };
        for (kind, metadata, expected) in [
            (Service, owned_by("StreamPipeline", "p", "new"), Some(Ownership::Ours)),
            (Service, owned_by("StreamPipeline", "p", "old"), Some(Ownership::Going)),
            (Service, deleted, Some(Ownership::Going)),
            (Service, owned_by("WindowAggregation", "p", "x"), None),
            (Service, owned_by("StreamPipeline", "q", "x"), None),
            (Service, json!({}), None),
            (Service, marked("StreamPipeline", "p"), Some(Ownership::Ours)),
            (Service, marked("WindowAggregation", "p"), None),
            (Claim, json!({}), Some(Ownership::Ours)),
            (Claim, marked("WindowAggregation", "p"), None),
        ] {
            let mut object = json!({"apiVersion": "v1", "kind": "X", "metadata": metadata.clone()});
            object["metadata"]["name"] = json!("p-runners");
            object["metadata"]["namespace"] = json!("n");
            let found = of(&serde_json::from_value(object).unwrap(), kind, &declared());
            match expected {
                Some(expected) => assert_eq!(found, expected, "{kind:?} {metadata}"),
                None => assert!(matches!(found, Ownership::Theirs(_)), "{kind:?} {metadata} {found:?}"),
            }
        }
    }
}
