//! Labels and annotations of every child, and how to find a child's object again.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DynamicObject;

use super::names;
use crate::controller::declared::known_kind;
use crate::key::ObjectKey;

/// Label: kind of the object that a child belongs to.
pub const KIND: &str = "millrace.io/kind";
/// Annotation: name of the object that a child belongs to. No label, because names may be too long for one.
pub const NAME: &str = "millrace.io/name";
/// Label of pods: from which template they were made, plan included.
pub const TEMPLATE: &str = "millrace.io/template";
/// Annotation of the claim: what its runners remember.
pub const STATE: &str = "millrace.io/state";
/// Annotation of the Deployment: `spec.onStateChange` as its runners' plan has it.
pub const ON_STATE_CHANGE: &str = "millrace.io/on-state-change";
/// Selects every child of every object.
pub const ALL_CHILDREN: &str = "app.kubernetes.io/managed-by=millrace-operator";

/// Names or values, sorted.
pub type Labels = BTreeMap<String, String>;

/// Labels of every child.
pub fn labels(key: &ObjectKey) -> Labels {
    let mut labels = selector(key);
    labels.extend(
        [
            ("app.kubernetes.io/component", "runner"),
            ("app.kubernetes.io/part-of", "millrace"),
            ("app.kubernetes.io/managed-by", "millrace-operator"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

/// Labels that only the pods of this object have.
pub fn selector(key: &ObjectKey) -> Labels {
    Labels::from([
        ("app.kubernetes.io/name".to_owned(), "millrace-runner".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), names::base(&key.name)),
        (KIND.to_owned(), key.kind.to_owned()),
    ])
}

/// A selector as text, for lists and for the scale subresource.
pub fn text(selector: &Labels) -> String {
    let pairs: Vec<_> = selector.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

/// Annotations of every child.
pub fn annotations(key: &ObjectKey) -> Labels {
    Labels::from([(NAME.to_owned(), key.name.clone())])
}

/// Which template a Deployment has. The mark is part of the template itself, so it changes with it or not at all.
pub fn template(deployment: &DynamicObject) -> Option<String> {
    let labels = deployment.data.pointer("/spec/template/metadata/labels")?;
    Some(labels.get(TEMPLATE)?.as_str()?.to_owned())
}

/// The object that `child` belongs to: its owner, or where it has none what it is marked with.
pub fn object_of(child: &impl ResourceExt) -> Option<ObjectKey> {
    let namespace = child.namespace()?;
    let owner = child.owner_references().iter().find_map(|owner| {
        let ours = owner.api_version.starts_with("millrace.io/");
        ours.then(|| Some((known_kind(&owner.kind)?, owner.name.clone())))?
    });
    let marked = || {
        let kind = child.labels().get(KIND).and_then(|kind| known_kind(kind))?;
        Some((kind, child.annotations().get(NAME)?.clone()))
    };
    let (kind, name) = owner.or_else(marked)?;
    Some(ObjectKey { kind, namespace, name })
}
