//! The last step: says in the status, and in events, how it stands. `crate::status` decides what to say.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use millrace_crds::PipelineStatus;
use serde::de::DeserializeOwned;

use super::build::{Built, labels};
use super::context::Context;
use super::dereference::{Found, exists};
use super::failure::Failure;
use super::memory::Checked;
use super::reconcile::SAFETY_NET;
use super::{apply, declared, events};
use crate::status::{Outcome, Runners, Seen, Trouble, decide, trouble, worth_writing};

/// While something is not as it should be, or still moves: the longer it does, the less often. Whatever changes about the
/// pods is seen at once anyway.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(60);
/// How old a status of ours may be that the cache does not hold yet.
const FRESH: Duration = Duration::from_secs(10);
/// More pods than this fail for the same reason.
const PODS_ASKED_ABOUT: usize = 2;

/// Writes the status where that is worth it. Returns when to look again; a failure that only waiting helps against is
/// returned as one, after it was written down.
pub async fn report(
    context: &Context,
    found: &Found,
    checked: &Checked,
    done: Result<(Outcome, Option<Built>), Failure>,
) -> Result<Duration, Failure> {
    let (outcome, built, failure) = match done {
        Ok((outcome, built)) => (outcome, built, None),
        Err(failure) => match said(&failure) {
            Some(outcome) => (outcome, None, Some(failure)),
            None => return Err(failure),
        },
    };
    let previous = previous(context, found);
    let runners = runners(found, checked, built.as_ref(), previous.as_ref());
    let settled = runners.ready == runners.desired && runners.replicas == runners.desired;
    let settled = settled && matches!(outcome, Outcome::Applied);
    let key = &found.declared.key;
    let again = again(context, found, settled);
    let new = decide(&Seen {
        generation: found.declared.generation,
        now: Timestamp::now(),
        outcome,
        totals: context.observations.totals(key, previous.as_ref()),
        observation: found.observation.clone(),
        trouble: if settled {
            None
        } else {
            ask(context, found, again).await?
        },
        runners,
        previous: previous.clone(),
    });
    context.reconciles.conditions(key, &new);
    write(context, found, previous.as_ref(), new).await?;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(again),
    }
}

/// When to look again where nothing asks for it.
fn again(context: &Context, found: &Found, settled: bool) -> Duration {
    context.memories.of(&found.declared.key, |memory| match settled {
        true => {
            memory.unsettled = None;
            SAFETY_NET
        }
        false => (memory.unsettled.get_or_insert_with(Instant::now).elapsed() / 4).clamp(SOON, LATER),
    })
}

/// What the status says of a failure; None: nothing, it is about us or passes by itself.
fn said(failure: &Failure) -> Option<Outcome> {
    match failure {
        Failure::NameTaken(message) => Some(Outcome::NameTaken(message.clone())),
        Failure::Forbidden(message) => Some(Outcome::Forbidden(message.clone())),
        Failure::Refused(message) => Some(Outcome::Failed(message.clone())),
        Failure::NotLeader | Failure::Changed(_) | Failure::Unavailable { .. } | Failure::TimedOut(_) => None,
    }
}

/// What the status says now: as we wrote it a moment ago, or as the cache has it.
fn previous(context: &Context, found: &Found) -> Option<PipelineStatus> {
    let written = context
        .memories
        .of(&found.declared.key, |memory| memory.written.clone());
    let fresh = written.filter(|(_, at)| at.elapsed() < FRESH).map(|(status, _)| status);
    fresh.or_else(|| found.declared.status.clone())
}

fn runners(found: &Found, checked: &Checked, built: Option<&Built>, previous: Option<&PipelineStatus>) -> Runners {
    let plan = checked.as_ref().ok();
    let here: Vec<_> = found.pods.iter().filter(|pod| exists(pod)).collect();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let told = found
        .deployment
        .as_ref()
        .map_or(0, |deployment| apply::replicas(deployment));
    let scaled = plan.map(|plan| super::scale::runners(&plan.workload, found.partitions));
    let runs = built.filter(|built| {
        here.iter()
            .any(|pod| !super::dereference::is_stranger(pod, &built.template))
    });
    Runners {
        desired: if built.is_some() { scaled.unwrap_or(told) } else { told },
        replicas: count(here.len()),
        ready: count(here.iter().filter(|pod| is_ready(pod)).count()),
        suspended: found.declared.suspended,
        selector: labels::text(&labels::selector(&found.declared.key)),
        plan: runs
            .map(|built| built.plan.clone())
            .or_else(|| previous.and_then(|previous| previous.plan.clone())),
        checkpoint_interval: plan.map(|plan| plan.checkpoint_interval),
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
    pod.metadata.deletion_timestamp.is_none() && ready.count() > 0
}

/// What the cluster says is wrong. Asks for its events, which nobody watches: they are many, and seldom needed.
async fn ask(context: &Context, found: &Found, fresh: Duration) -> Result<Option<Trouble>, Failure> {
    let pods: Vec<Pod> = found.pods.iter().map(|pod| Pod::clone(pod)).collect();
    let claim = found.claim.as_deref().and_then(typed::<PersistentVolumeClaim>);
    let deployment = found.deployment.as_deref().and_then(typed::<Deployment>);
    let unbound = claim.as_ref().filter(|claim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        phase != Some("Bound")
    });
    let troubled = pods
        .iter()
        .filter(|pod| exists(pod) && !is_ready(pod))
        .take(PODS_ASKED_ABOUT);
    let uids = troubled
        .filter_map(ResourceExt::uid)
        .chain(unbound.and_then(ResourceExt::uid));
    let events = cluster_events(context, found, uids.collect(), fresh).await?;
    Ok(trouble(deployment.as_ref(), &pods, &events, claim.as_ref()))
}

async fn cluster_events(
    context: &Context,
    found: &Found,
    uids: Vec<String>,
    fresh: Duration,
) -> Result<Vec<Event>, Failure> {
    let key = &found.declared.key;
    let remembered = context.memories.of(key, |memory| memory.events.clone());
    if let Some((events, at)) = remembered
        && at.elapsed() < fresh
    {
        return Ok(events);
    }
    let mut events = Vec::new();
    for uid in &uids {
        match context.writes(&key.namespace).events(uid).await {
            Ok(more) => events.extend(more),
            // Pods say a good part by themselves.
            Err(Failure::Forbidden(message)) => tracing::debug!(object = %key, message),
            Err(failure) => return Err(failure),
        }
    }
    if !uids.is_empty() {
        context
            .memories
            .of(key, |memory| memory.events = Some((events.clone(), Instant::now())));
    }
    Ok(events)
}

async fn write(
    context: &Context,
    found: &Found,
    previous: Option<&PipelineStatus>,
    new: PipelineStatus,
) -> Result<(), Failure> {
    let declared = &found.declared;
    let key = &declared.key;
    let since = context
        .memories
        .of(key, |memory| memory.written.as_ref().map(|(_, at)| at.elapsed()));
    if !worth_writing(previous, &new, since) {
        return Ok(());
    }
    let status = serde_json::to_value(&new).expect("a status is plain data");
    let writes = context.writes(&key.namespace);
    let exists = writes
        .status(&declared::resource(key.kind), &key.name, &declared.uid, status)
        .await?;
    if !exists {
        return Ok(());
    }
    for note in events::between(previous, &new) {
        events::publish(context, declared, &note).await;
    }
    context
        .memories
        .of(key, |memory| memory.written = Some((new, Instant::now())));
    Ok(())
}

fn typed<T: DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    serde_json::to_value(object).and_then(serde_json::from_value).ok()
}
