//! Makes the cluster as it was decided. Writes, and decides nothing but whether a write is needed.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::build::{Built, Child, ChildKind, SavedState, labels};
use super::context::Context;
use super::dereference::{Found, is_stranger};
use super::failure::Failure;
use super::memory::Applied;
use super::ownership::{self, Ownership};

/// Stops the runners and changes nothing else.
pub async fn drain(context: &Context, found: &Found) -> Result<(), Failure> {
    let Some(deployment) = &found.deployment else {
        return Ok(());
    };
    let writes = context.writes(&found.declared.key.namespace);
    let none = json!({"spec": {"replicas": 0}});
    writes.merge(ChildKind::Deployment, deployment, none).await
}

/// Whether nobody of another template runs, or is about to be started: asked of the API server itself, because what comes
/// next cannot be taken back.
pub async fn is_drained(context: &Context, found: &Found, template: &str) -> Result<bool, Failure> {
    let key = &found.declared.key;
    let selector = labels::text(&labels::selector(key));
    let (sets, pods) = context.writes(&key.namespace).runners(&selector).await?;
    let starts_more = sets.iter().any(|set| may_start_strangers(set, template));
    Ok(!starts_more && !pods.iter().any(|pod: &Pod| is_stranger(pod, template)))
}

/// Whether the controller of this ReplicaSet may still start a pod: until it has seen that it should have none.
fn may_start_strangers(set: &ReplicaSet, template: &str) -> bool {
    if set.labels().get(labels::TEMPLATE).map(String::as_str) == Some(template) {
        return false;
    }
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation).unwrap_or_default();
    let have = status.map_or(0, |status| status.replicas);
    wanted != 0 || have != 0 || seen < set.metadata.generation.unwrap_or_default()
}

/// Writes all children that are not as they should be, in order, then removes those that should not be.
pub async fn apply(context: &Context, found: &Found, built: &Built) -> Result<(), Failure> {
    let mut first = None;
    for child in &built.children {
        match apply_one(context, found, child).await {
            Ok(()) => {}
            // What exists goes on as it is; pods must not start before what they mount.
            Err(Failed { failure, existed: true }) => drop(first.get_or_insert(failure)),
            Err(Failed {
                failure,
                existed: false,
            }) => return Err(failure),
        }
    }
    if let Some(failure) = first {
        return Err(failure);
    }
    forget_state(context, found, built).await?;
    remove_orphans(context, found, built).await
}

struct Failed {
    failure: Failure,
    existed: bool,
}

async fn apply_one(context: &Context, found: &Found, child: &Child) -> Result<(), Failed> {
    let key = &found.declared.key;
    let cached = context.live.child(child.kind, &key.namespace, &child.name);
    let existed = cached.is_some();
    let failed = |failure| Failed { failure, existed };
    let id = (child.kind, child.name.clone());
    let needed = context.memories.of(key, |memory| {
        let applied = memory.applied.get_mut(&id);
        applied.is_none_or(|applied| applied.differs(child, cached.as_deref()))
    });
    if !needed {
        return Ok(());
    }
    let writes = context.writes(&key.namespace);
    // The caches hold only what carries our label: another's child may be there all the same.
    let live = match &cached {
        Some(cached) => Some(DynamicObject::clone(cached)),
        None => writes.get(child.kind, &child.name).await.map_err(failed)?,
    };
    match live
        .as_ref()
        .map(|live| ownership::of(live, child.kind, &found.declared))
    {
        None | Some(Ownership::Ours) => {}
        Some(Ownership::Going) => return Err(failed(going(child))),
        Some(Ownership::Theirs(whose)) => return Err(failed(Failure::NameTaken(whose))),
    }
    let applied = writes
        .apply(child.kind, &child.name, child.object.clone(), live.as_ref())
        .await;
    let applied = applied.map_err(failed)?;
    if live.as_ref().and_then(ResourceExt::resource_version) != applied.resource_version() {
        tracing::info!(object = %key, child = child.name, kind = child.kind.resource().kind, "applied");
    }
    let remembered = Applied::new(child, &applied, cached.as_deref());
    context.memories.of(key, |memory| memory.applied.insert(id, remembered));
    Ok(())
}

/// Its end is an event, and that another look. A claim ends only when its runners do, and then for good.
fn going(child: &Child) -> Failure {
    match child.kind {
        ChildKind::Claim => Failure::Refused(format!(
            "PersistentVolumeClaim `{}` is being deleted, with all state on it: it goes when its runners stop",
            child.name
        )),
        _ => Failure::Changed(format!("`{}`", child.name)),
    }
}

/// A claim that is not used any more keeps what is on it, but nothing reads that: it is no reason to refuse a change.
async fn forget_state(context: &Context, found: &Found, built: &Built) -> Result<(), Failure> {
    let used = built.children.iter().any(|child| child.kind == ChildKind::Claim);
    let (false, Some(claim), Some(saved)) = (used, &found.claim, &found.saved) else {
        return Ok(());
    };
    if saved.states.is_empty() {
        return Ok(());
    }
    let nothing = SavedState {
        states: Vec::new(),
        ..saved.clone()
    };
    let change = json!({"metadata": {"annotations": {(labels::STATE): nothing.to_annotation()}}});
    let writes = context.writes(&found.declared.key.namespace);
    writes.merge(ChildKind::Claim, claim, change).await
}

/// Old plans, and the autoscaler that is not asked for any more. Never a claim.
async fn remove_orphans(context: &Context, found: &Found, built: &Built) -> Result<(), Failure> {
    let declared = &found.declared;
    for kind in [ChildKind::Autoscaler, ChildKind::ConfigMap] {
        for child in context.live.children(kind, &declared.key) {
            let name = child.name_any();
            let wanted = built
                .children
                .iter()
                .any(|built| built.kind == kind && built.name == name);
            if wanted || ownership::of(&child, kind, declared) != Ownership::Ours {
                continue;
            }
            context.writes(&declared.key.namespace).delete(kind, &child).await?;
            context
                .memories
                .of(&declared.key, |memory| memory.applied.remove(&(kind, name.clone())));
            tracing::info!(object = %declared.key, child = name, "removed");
        }
    }
    Ok(())
}

/// `spec.replicas` of a Deployment; what is left out is 1.
pub fn replicas(deployment: &DynamicObject) -> i32 {
    let replicas = deployment.data.pointer("/spec/replicas").and_then(Value::as_i64);
    replicas.and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_set_is_done_only_once_its_controller_has_seen_that_it_should_have_no_pods() {
        for (template, wanted, have, generation, seen, expected) in [
            ("old", 0, 0, 2, 2, false),
            ("old", 0, 0, 3, 2, true),
            ("old", 0, 1, 2, 2, true),
            ("old", 1, 0, 2, 2, true),
            ("new", 1, 1, 2, 1, false),
        ] {
            let set = json!({
                "metadata": {"labels": {"millrace.io/template": template}, "generation": generation},
                "spec": {"replicas": wanted, "selector": {}},
                "status": {"replicas": have, "observedGeneration": seen},
            });
            let set = serde_json::from_value(set).unwrap();
            assert_eq!(may_start_strangers(&set, "new"), expected, "{set:?}");
        }
    }
}
