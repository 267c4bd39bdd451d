//! What a person should hear about, as events of the object: transitions only, the same once. The recorder counts
//! repetitions up instead of writing them again.

use kube::runtime::events::{Event, EventType};
use millrace_crds::{ConditionType, PipelineStatus};

use super::context::Context;
use super::declared::Declared;

/// The API server refuses longer ones.
const LONGEST_NOTE: usize = 1000;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should do something.
    pub warning: bool,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// What happened between two statuses of an object.
pub fn between(old: Option<&PipelineStatus>, new: &PipelineStatus) -> Vec<Note> {
    let was = |kind| old.and_then(|old| state(old, kind));
    let mut notes = Vec::new();
    if old.is_none_or(|old| old.conditions.is_empty()) && state(new, ConditionType::Degraded).is_none() {
        notes.push(note(
            false,
            "Created",
            "the runners and all that they need were created",
        ));
    }
    if let Some((reason, message)) = state(new, ConditionType::Progressing)
        && reason == "RollingOut"
        && was(ConditionType::Progressing).is_none_or(|(before, _)| before != reason)
    {
        notes.push(note(false, reason, message));
    }
    match (was(ConditionType::Suspended), state(new, ConditionType::Suspended)) {
        (None, Some((_, message))) => notes.push(note(false, "Suspended", message)),
        (Some(_), None) => notes.push(note(false, "Resumed", "runners start again")),
        _ => {}
    }
    if let Some((reason, message)) = state(new, ConditionType::Degraded)
        && was(ConditionType::Degraded).is_none_or(|(before, _)| before != reason)
    {
        notes.push(note(true, reason, message));
    }
    notes
}

/// Reason and message of a condition, where it is true.
fn state(status: &PipelineStatus, kind: ConditionType) -> Option<(&str, &str)> {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind.as_str());
    let condition = found.filter(|condition| condition.status == "True")?;
    Some((&condition.reason, &condition.message))
}

fn note(warning: bool, reason: &str, message: &str) -> Note {
    Note {
        warning,
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST_NOTE).collect(),
    }
}

/// Says it. An event that cannot be written is no reason to do anything again.
pub async fn publish(context: &Context, declared: &Declared, note: &Note) {
    let event = Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.clone(),
        note: Some(note.message.clone()),
        action: "Reconciling".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &declared.object_reference()).await {
        tracing::warn!(object = %declared.key, %error, reason = note.reason, "cannot write an event");
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn status(conditions: &[(ConditionType, &str)]) -> PipelineStatus {
        let condition = |(kind, reason): &(ConditionType, &str)| Condition {
            type_: kind.as_str().to_owned(),
            status: "True".to_owned(),
            reason: (*reason).to_owned(),
            message: "why".to_owned(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        PipelineStatus {
            conditions: conditions.iter().map(condition).collect(),
            ..PipelineStatus::default()
        }
    }

    #[test]
    fn only_transitions_are_said() {
        use ConditionType::{Degraded, Progressing, Ready, Suspended};
        let ready = status(&[(Ready, "Running")]);
        let rolling = status(&[(Progressing, "RollingOut")]);
        let suspended = status(&[(Suspended, "Suspended")]);
        let broken = status(&[(Degraded, "InvalidSpec")]);
        let worse = status(&[(Degraded, "RunnerFailed")]);
        for (old, new, expected) in [
            (None, &ready, vec!["Created"]),
            (None, &broken, vec!["InvalidSpec"]),
            (Some(&ready), &ready, vec![]),
            (Some(&ready), &rolling, vec!["RollingOut"]),
            (Some(&rolling), &rolling, vec![]),
            (Some(&rolling), &ready, vec![]),
            (Some(&ready), &suspended, vec!["Suspended"]),
            (Some(&suspended), &ready, vec!["Resumed"]),
            (Some(&ready), &broken, vec!["InvalidSpec"]),
            (Some(&broken), &broken, vec![]),
            (Some(&broken), &worse, vec!["RunnerFailed"]),
            (Some(&broken), &ready, vec![]),
        ] {
            let said: Vec<_> = between(old, new).into_iter().map(|note| note.reason).collect();
            assert_eq!(said, expected, "{old:?} {new:?}");
        }
    }
}
