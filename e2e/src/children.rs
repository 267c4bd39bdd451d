//! What a controller has made of an object, in a form that two runs can be compared by.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::kubectl::Kubectl;

/// Kinds of which the controller makes objects.
pub const KINDS: [&str; 7] = [
    "Deployment",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Service",
    "ServiceAccount",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
];

/// Everything of ours in a namespace, as `Kind/name`, without what differs between two runs that end the same: identities,
/// versions, times, who wrote it, and what other controllers add.
pub fn children(kubectl: &Kubectl, namespace: &str) -> Result<BTreeMap<String, Value>> {
    let mut children = BTreeMap::new();
    for mut child in ours(kubectl, namespace)? {
        strip(&mut child);
        let child = anonymous(&child)?;
        let mut name = format!("{}/{}", text(&child["kind"]), text(&child["metadata"]["name"]));
        // An old plan that is left behind has the name of the new one, once hashes are blotted out.
        while children.contains_key(&name) {
            name.push_str(" again");
        }
        children.insert(name, child);
    }
    Ok(children)
}

/// The object with every identifier that two runs do not share blotted out, wherever it stands: uids, and the hashes that
/// are made of them.
fn anonymous(child: &Value) -> Result<Value> {
    let identifier = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16}")?;
    Ok(serde_json::from_str(&identifier.replace_all(&child.to_string(), "x"))?)
}

/// Kind and name of each.
pub fn names(kubectl: &Kubectl, namespace: &str) -> Result<Vec<(String, String)>> {
    let name = |child: &Value| {
        (
            text(&child["kind"]).to_owned(),
            text(&child["metadata"]["name"]).to_owned(),
        )
    };
    Ok(ours(kubectl, namespace)?.iter().map(name).collect())
}

fn ours(kubectl: &Kubectl, namespace: &str) -> Result<Vec<Value>> {
    let mut all = kubectl.list(namespace, &KINDS.join(","))?;
    all.retain(|child| child["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "millrace-operator");
    Ok(all)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn strip(child: &mut Value) {
    remove(child, &["status"]);
    remove(
        &mut child["metadata"],
        &[
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "generation",
            "namespace",
            "finalizers",
        ],
    );
    remove(
        &mut child["metadata"]["annotations"],
        &[
            "deployment.kubernetes.io/revision",
            "pv.kubernetes.io/bind-completed",
            "pv.kubernetes.io/bound-by-controller",
            "volume.beta.kubernetes.io/storage-provisioner",
            "volume.kubernetes.io/storage-provisioner",
        ],
    );
    remove(&mut child["spec"], &["clusterIP", "clusterIPs", "volumeName"]);
    if let Some(owners) = child["metadata"]["ownerReferences"].as_array_mut() {
        owners.iter_mut().for_each(|owner| remove(owner, &["uid"]));
    }
}

fn remove(object: &mut Value, members: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        for member in members {
            object.remove(*member);
        }
    }
}
