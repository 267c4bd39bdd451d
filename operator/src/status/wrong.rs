//! What is wrong: the one reason and sentence that `Ready`, `Progressing` and `Degraded` share. No clock.

use std::time::Duration;

use super::conditions::View;
use super::{Outcome, Reason, Trouble, clean};
use crate::observe::SourceState;

/// Work waits for a commit no longer than this, or ten intervals where that is more.
const WAIT: Duration = Duration::from_secs(30);

/// Something that is wrong.
pub(super) type Wrong = Option<(Reason, String)>;

impl View<'_> {
    /// What keeps the spec from being carried out. The runners of before, if there are any, go on.
    pub(super) fn refused(self) -> Wrong {
        let go_on = match self.seen.runners.replicas {
            0 => "",
            _ => "; the runners of the spec before go on",
        };
        let joined = |lines: &[String]| lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("; ");
        match &self.seen.outcome {
            Outcome::Applied | Outcome::RollingOut => None,
            Outcome::Invalid(problems) => Some((Reason::InvalidSpec, format!("{}{go_on}", joined(problems)))),
            Outcome::StateWouldBeLost(lost) => {
                let message = format!(
                    "the spec has no use for state that exists: {}. Go back to the spec before, or name the operators in \
                     spec.onStateChange.drop{go_on}",
                    joined(lost)
                );
                Some((Reason::StateWouldBeLost, message))
            }
            Outcome::NameTaken(why) => Some((Reason::NameTaken, clean(why))),
            Outcome::Forbidden(why) => Some((Reason::Forbidden, clean(why))),
            Outcome::Failed(why) => Some((Reason::ApplyFailed, clean(why))),
        }
    }

    /// What keeps runners from running. Why a runner stopped is best told by the source, where that has a problem.
    pub(super) fn held_up(self) -> Wrong {
        let trouble = self.seen.trouble.as_ref();
        let (stopped, other): (Vec<_>, Vec<_>) = trouble.into_iter().partition(|of| of.reason == Reason::RunnerFailed);
        let told = |of: &&Trouble| (of.reason, of.message.clone());
        let of_pods = other.first().map(told);
        of_pods
            .or_else(|| self.source_trouble())
            .or_else(|| stopped.first().map(told))
    }

    pub(super) fn source_trouble(self) -> Wrong {
        let runner = self
            .observation
            .trouble
            .as_ref()
            .filter(|trouble| trouble.reason == "BrokerUnreachable");
        match &self.observation.source {
            Some(SourceState::Unreachable(why)) => {
                let message = format!(
                    "{}. Check spec.source.kafka.bootstrapServers and the network",
                    clean(why)
                );
                Some((Reason::SourceUnreachable, message))
            }
            Some(SourceState::TopicMissing(why)) => {
                let message = format!("{}. Create it, or correct the source's topics", clean(why));
                Some((Reason::TopicMissing, message))
            }
            Some(SourceState::RecordsLost(why)) => {
                let message = format!(
                    "{}. Retention was faster than the pipeline. Decide what the gap means, then give the pipeline a new \
                     stateId, or without state set the group's offset",
                    clean(why)
                );
                Some((Reason::RecordsLost, message))
            }
            Some(SourceState::NotAsked) => runner.map(|trouble| {
                (
                    Reason::SourceUnreachable,
                    format!("a runner says: {}", clean(&trouble.message)),
                )
            }),
            Some(SourceState::Reachable) | None => None,
        }
    }

    pub(super) fn checkpoint_trouble(self) -> Wrong {
        if self.seen.runners.replicas == 0 {
            return None;
        }
        let failed = self
            .observation
            .trouble
            .as_ref()
            .filter(|trouble| trouble.reason == "CheckpointFailed");
        if let Some(trouble) = failed {
            let message = format!("a checkpoint cannot be written: {}", clean(&trouble.message));
            return Some((Reason::CheckpointFailed, message));
        }
        let interval = self.seen.runners.checkpoint_interval.unwrap_or_default();
        let most = WAIT.max(interval * 10);
        let waited = self.seen.now.as_millisecond() - self.observation.uncommitted_since?;
        let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
        (waited > most).then(|| {
            // The limit and not the time: the message stays the same while it lasts.
            let message = format!(
                "work waits for a commit for more than {} s. Look at the volume, at the broker and at the runner's logs",
                most.as_secs()
            );
            (Reason::CheckpointLate, message)
        })
    }
}
