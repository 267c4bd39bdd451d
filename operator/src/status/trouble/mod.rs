//! What keeps runners from running, in the words of the cluster. No client: everything that is looked at is an argument.
//!
//! The same cause keeps the same sentence while it lasts, whatever the cluster says in between (pod names, times, back-off
//! and retry in turn): a status that changes is a status that is written.

mod claims;
mod pods;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};

use super::{Reason, clean};

/// Something that keeps runners from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In one word for programs.
    pub reason: Reason,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl Trouble {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message }
    }
}

/// One step on the way of a pod: what is wrong there.
type Step = fn(&Pod, &[Event]) -> Option<Trouble>;

/// What keeps the runners of one object from running, if anything does: the cause that comes first on the way of a pod.
/// `events` are those of the pods and of the claim, `core/v1`.
pub fn trouble(
    deployment: Option<&Deployment>,
    pods: &[Pod],
    events: &[Event],
    claim: Option<&PersistentVolumeClaim>,
) -> Option<Trouble> {
    let staying = || pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    // A step of all pods before the next step of any.
    let steps: [Step; 4] = [pods::unscheduled, pods::unmounted, pods::not_started, pods::stopped];
    deployment
        .and_then(refused)
        .or_else(|| claim.and_then(|claim| claims::unbound(claim, events)))
        .or_else(|| {
            steps
                .iter()
                .find_map(|step| staying().find_map(|pod| step(pod, events)))
        })
}

/// Pods that the API server does not let in: a quota, Pod Security, an admission webhook.
fn refused(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions
        .iter()
        .find(|of| of.type_ == "ReplicaFailure" && of.status == "True")?;
    let message = failure.message.as_deref().unwrap_or_default();
    // `pods "x-7c9f-abcde" is forbidden: exceeded quota: ...`: another name at each try.
    let (reason, why) = match message.split_once(" is forbidden: ") {
        Some((_, why)) => (Reason::Forbidden, why),
        None => (Reason::ApplyFailed, message),
    };
    Some(Trouble::new(
        reason,
        format!("the cluster refuses to create runner pods: {}", clean(why)),
    ))
}

/// The newest of the events about the object of this uid that have one of these reasons.
fn newest<'a>(events: &'a [Event], uid: Option<&str>, reasons: &[&str]) -> Option<&'a Event> {
    let about = |event: &&Event| uid.is_some() && event.involved_object.uid.as_deref() == uid;
    let told = |event: &&Event| event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason));
    events.iter().filter(about).filter(told).max_by_key(|event| time(event))
}

fn time(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let times = [
        series.map(|time| time.0),
        last,
        event.event_time.as_ref().map(|time| time.0),
    ];
    times.into_iter().flatten().max()
}

fn message(event: &Event) -> &str {
    event.message.as_deref().unwrap_or_default()
}

/// What stands between `before` and `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests;
