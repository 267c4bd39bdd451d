//! Everything there is about one object. Reads caches only: a look at an object that is as it should be asks the API server
//! nothing. Decides nothing.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;

use super::build::{ChildKind, SavedState, labels, names};
use super::context::Context;
use super::declared::Declared;
use super::objects::Neighbours;
use crate::key::ObjectKey;
use crate::observe::Observation;

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The object.
    pub declared: Arc<Declared>,
    /// The objects that it may refer to.
    pub neighbours: Arc<Neighbours>,
    /// Its Deployment.
    pub deployment: Option<Arc<DynamicObject>>,
    /// Its claim.
    pub claim: Option<Arc<DynamicObject>>,
    /// What the runners that used the claim last remember.
    pub saved: Option<SavedState>,
    /// Its pods, those that are leaving included.
    pub pods: Vec<Arc<Pod>>,
    /// What brokers and runners say.
    pub observation: Option<Arc<Observation>>,
    /// Partitions of its source: as last heard, else as its status says.
    pub partitions: Option<u32>,
    /// What we may not see of its namespace.
    pub forbidden: Option<String>,
}

/// Reads what there is. None: the object is gone.
pub fn dereference(context: &Context, key: &ObjectKey) -> Option<Found> {
    let declared = context.objects.get(key)?;
    let child = |kind, name: String| context.live.child(kind, &key.namespace, &name);
    let claim = child(ChildKind::Claim, names::claim(&key.name));
    let observation = context.observations.get(key);
    let heard = observation.as_ref().and_then(|observation| observation.partitions);
    let said = declared.status.as_ref().and_then(|status| status.partitions);
    Some(Found {
        neighbours: context.objects.neighbours(&key.namespace),
        deployment: child(ChildKind::Deployment, names::runners(&key.name)),
        saved: claim.as_ref().and_then(|claim| saved(claim)),
        claim,
        pods: context.live.pods(key),
        partitions: heard.or_else(|| said.and_then(|said| u32::try_from(said).ok())),
        observation,
        forbidden: context.standing.forbidden(&key.namespace),
        declared,
    })
}

fn saved(claim: &DynamicObject) -> Option<SavedState> {
    serde_json::from_str(claim.annotations().get(labels::STATE)?).ok()
}

/// Whether a pod still is, or may become, a runner.
pub fn exists(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a pod was made from another template than `template`.
pub fn is_stranger(pod: &Pod, template: &str) -> bool {
    exists(pod) && pod.labels().get(labels::TEMPLATE).map(String::as_str) != Some(template)
}
