//! A pod on its way: scheduled, its volumes mounted, its container started, its process running.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use super::super::{Reason, clean};
use super::{Trouble, between, message, newest};

/// No node takes it.
pub(super) fn unscheduled(pod: &Pod, _: &[Event]) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions
        .iter()
        .find(|of| of.type_ == "PodScheduled" && of.status == "False")?;
    if scheduled.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let why = scheduled.message.as_deref().unwrap_or_default();
    // These are being made; if they cannot be, the claim says why.
    if why.contains("unbound immediate PersistentVolumeClaims") || why.contains("persistentvolumeclaim \"") {
        return None;
    }
    let why = clean(why);
    let why = why.trim_end_matches('.');
    let message = format!("no node takes a runner: {why}. Change spec.resources, or add nodes");
    Some(Trouble::new(Reason::Unschedulable, message))
}

/// A volume cannot be mounted: a Secret is missing, or a key of it.
pub(super) fn unmounted(pod: &Pod, events: &[Event]) -> Option<Trouble> {
    let starting = container(pod).is_none_or(|container| waiting(container).is_some_and(|(why, _)| is_starting(why)));
    if !starting {
        return None;
    }
    let event = newest(
        events,
        pod.metadata.uid.as_deref(),
        &["FailedMount", "FailedAttachVolume"],
    )?;
    let text = message(event);
    if let Some(missing) = secret_missing(text, || {
        between(text, "for volume \"", "\"").and_then(|of| secret_of(pod, of))
    }) {
        return Some(missing);
    }
    // The kubelet's caches are not filled yet.
    if text.contains("not registered") || text.contains("failed to sync") {
        return None;
    }
    // The part that names the pod is another one at each try.
    let why = text.split(" (UniqueName:").next().unwrap_or_default();
    let message = format!("a runner's volumes cannot be mounted: {}", clean(why));
    Some(Trouble::new(Reason::ContainerFailed, message))
}

/// The container cannot be made or started.
pub(super) fn not_started(pod: &Pod, _: &[Event]) -> Option<Trouble> {
    let container = container(pod)?;
    let (reason, text) = waiting(container)?;
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => {
            // Pulling and backing off take turns, and the one repeats what the other said.
            let why = text.rsplit_once("ErrImagePull: ").map_or(text, |(_, why)| why);
            let is_wait = why.starts_with("Back-off pulling image");
            let why = if is_wait || why.is_empty() {
                String::new()
            } else {
                format!(": {}", clean(why))
            };
            let message = format!("image `{}` cannot be pulled{why}", clean(&container.image));
            Some(Trouble::new(Reason::ImagePullFailed, message))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
            secret_missing(text, || None).or_else(|| Some(cannot_start(text)))
        }
        _ => None,
    }
}

/// The process stopped, and has not been ready since.
pub(super) fn stopped(pod: &Pod, _: &[Event]) -> Option<Trouble> {
    let container = container(pod).filter(|container| !container.ready)?;
    let states = [container.state.as_ref(), container.last_state.as_ref()];
    let ends = states
        .into_iter()
        .flatten()
        .filter_map(|state| state.terminated.as_ref());
    let end: &ContainerStateTerminated = ends.into_iter().find(|end| end.exit_code != 0)?;
    match end.reason.as_deref() {
        Some("OOMKilled") => {
            let message = "a runner used more memory than it may, and was stopped: raise spec.resources.limits.memory";
            return Some(Trouble::new(Reason::OutOfMemory, message.to_owned()));
        }
        // What could not be started has stopped, too, in between.
        Some("StartError" | "ContainerCannotRun") => {
            return Some(cannot_start(end.message.as_deref().unwrap_or_default()));
        }
        _ => {}
    }
    let words = clean(end.message.as_deref().unwrap_or_default());
    let words = if words.is_empty() {
        "it left no last words; see its logs".to_owned()
    } else {
        words
    };
    let message = format!("a runner stopped with exit code {}: {words}", end.exit_code);
    Some(Trouble::new(Reason::RunnerFailed, message))
}

fn cannot_start(why: &str) -> Trouble {
    let message = format!("a runner's container cannot be started: {}", clean(why));
    Trouble::new(Reason::ContainerFailed, message)
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// Reason and message of a container that waits.
fn waiting(container: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    Some((
        waiting.reason.as_deref().unwrap_or_default(),
        waiting.message.as_deref().unwrap_or_default(),
    ))
}

fn is_starting(reason: &str) -> bool {
    matches!(reason, "" | "ContainerCreating" | "PodInitializing")
}

/// The name of the Secret that a volume of the pod shows.
fn secret_of(pod: &Pod, volume: &str) -> Option<String> {
    let mut volumes = pod.spec.as_ref()?.volumes.as_ref()?.iter();
    volumes
        .find(|of| of.name == volume)?
        .secret
        .as_ref()?
        .secret_name
        .clone()
}

/// In the words of the kubelet: `secret "x" not found`, `references non-existent secret key: k`,
/// `couldn't find key k in Secret ns/x`.
fn secret_missing(text: &str, secret: impl FnOnce() -> Option<String>) -> Option<Trouble> {
    let missing = |message: String| Some(Trouble::new(Reason::SecretMissing, clean(&message)));
    if let Some(name) = between(text, "secret \"", "\" not found") {
        return missing(format!("Secret `{name}` does not exist: create it"));
    }
    if let Some((_, key)) = text.split_once("references non-existent secret key: ") {
        let key = key.split_whitespace().next().unwrap_or_default();
        let name = secret().map_or_else(|| "a Secret".to_owned(), |name| format!("Secret `{name}`"));
        return missing(format!("{name} has no key `{key}`: add it"));
    }
    let (key, rest) = text.split_once("couldn't find key ")?.1.split_once(" in Secret ")?;
    let name = rest.split_whitespace().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    missing(format!("Secret `{name}` has no key `{key}`: add it"))
}
