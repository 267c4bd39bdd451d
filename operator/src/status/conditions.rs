//! The seven conditions: each from the first status on, each with a reason and a sentence. No clock: `Seen` has one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use millrace_crds::ConditionType;

use super::{Outcome, Reason, Seen};
use crate::observe::{Observation, SourceState};

/// Longest message, in characters.
const MOST: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    True,
    False,
    Unknown,
}

/// What one condition says.
struct Said(Status, Reason, String);

/// All conditions, in the order of `ConditionType::ALL`. A condition whose status stays keeps its time.
pub(super) fn conditions(seen: &Seen, observation: &Observation) -> Vec<Condition> {
    let view = View { seen, observation };
    ConditionType::ALL.map(|of| condition(seen, of, view.say(of))).into()
}

fn condition(seen: &Seen, of: ConditionType, Said(status, reason, message): Said) -> Condition {
    let status = match status {
        Status::True => "True",
        Status::False => "False",
        Status::Unknown => "Unknown",
    };
    let mut previous = seen.previous.iter().flat_map(|previous| &previous.conditions);
    let before = previous.find(|before| before.type_ == of.as_str() && before.status == status);
    let now = || Time(Timestamp::from_second(seen.now.as_second()).unwrap_or(seen.now));
    Condition {
        type_: of.as_str().to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.chars().take(MOST).collect(),
        observed_generation: Some(seen.generation),
        last_transition_time: before.map_or_else(now, |before| before.last_transition_time.clone()),
    }
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) seen: &'a Seen,
    pub(super) observation: &'a Observation,
}

impl View<'_> {
    fn say(self, of: ConditionType) -> Said {
        match of {
            ConditionType::Ready => self.ready(),
            ConditionType::Progressing => self.progressing(),
            ConditionType::Degraded => self.degraded(),
            ConditionType::CaughtUp => self.caught_up(),
            ConditionType::CheckpointHealthy => self.checkpoint_healthy(),
            ConditionType::SourceReachable => self.source_reachable(),
            ConditionType::Suspended => self.suspended(),
        }
    }

    /// Runs as declared: everything was applied and a runner is ready. What keeps further runners from starting is no
    /// reason to say that it does not run: those that are ready have all partitions.
    fn ready(self) -> Said {
        let runners = &self.seen.runners;
        if let Some((reason, message)) = self.refused() {
            return Said(Status::False, reason, message);
        }
        if runners.suspended {
            return Said(Status::False, Reason::Suspended, self.suspended().2);
        }
        if runners.ready > 0 && self.seen.outcome != Outcome::RollingOut {
            return Said(Status::True, Reason::Running, self.how_many_are_ready());
        }
        if let Some((reason, message)) = self.held_up() {
            return Said(Status::False, reason, message);
        }
        if runners.desired == 0 && self.seen.outcome != Outcome::RollingOut {
            let message = "no runner is asked for: spec.replicas is 0".to_owned();
            return Said(Status::False, Reason::ScaledToZero, message);
        }
        let Said(_, reason, message) = self.progressing();
        Said(Status::False, reason, message)
    }

    fn progressing(self) -> Said {
        let runners = &self.seen.runners;
        if let Some((reason, message)) = self.refused() {
            return Said(Status::False, reason, message);
        }
        if runners.suspended {
            let status = if runners.replicas > 0 {
                Status::True
            } else {
                Status::False
            };
            let Said(_, reason, message) = self.suspended();
            return Said(status, reason, message);
        }
        if self.seen.outcome == Outcome::RollingOut {
            let message = match runners.replicas {
                0 => "the old runners have left, new ones are started".to_owned(),
                left => format!("the spec changed: waiting for {left} old runners to commit and leave"),
            };
            return Said(Status::True, Reason::RollingOut, message);
        }
        if runners.replicas > runners.desired {
            let message = format!(
                "{} of {} runners commit and leave",
                runners.replicas - runners.desired,
                runners.replicas
            );
            return Said(Status::True, Reason::Scaling, message);
        }
        if runners.ready < runners.desired {
            return match self.held_up() {
                Some((reason, message)) => Said(Status::False, reason, message),
                None if runners.ready > 0 => Said(Status::True, Reason::Scaling, self.how_many_are_ready()),
                None => Said(Status::True, Reason::Starting, self.how_many_are_ready()),
            };
        }
        match runners.desired {
            0 => Said(Status::False, Reason::ScaledToZero, "no runner is asked for".to_owned()),
            _ => Said(Status::False, Reason::Running, self.how_many_are_ready()),
        }
    }

    fn degraded(self) -> Said {
        let wrong = self
            .refused()
            .or_else(|| self.held_up())
            .or_else(|| self.checkpoint_trouble());
        match wrong {
            Some((reason, message)) => Said(Status::True, reason, message),
            None => {
                let Said(_, reason, _) = self.progressing();
                Said(Status::False, reason, "nothing is known to be wrong".to_owned())
            }
        }
    }

    fn caught_up(self) -> Said {
        let source = self.source_reachable();
        match self.observation.lag {
            Some(lag) if lag.records > 0 => {
                let since = lag
                    .seconds
                    .map(|seconds| format!(", the oldest written {seconds} s ago"));
                let message = format!("{} records are left to read{}", lag.records, since.unwrap_or_default());
                Said(Status::False, Reason::Behind, message)
            }
            Some(_) if source.0 == Status::True => Said(
                Status::True,
                Reason::CaughtUp,
                "all committed records are processed".to_owned(),
            ),
            Some(_) | None if source.0 == Status::False => Said(
                Status::Unknown,
                Reason::LagUnknown,
                format!("the lag is not known: {}", source.2),
            ),
            _ => Said(Status::Unknown, Reason::LagUnknown, self.why_lag_is_unknown()),
        }
    }

    fn checkpoint_healthy(self) -> Said {
        let runners = &self.seen.runners;
        if let Some((reason, message)) = self.checkpoint_trouble() {
            return Said(Status::False, reason, message);
        }
        if runners.ready == 0 {
            let reason = if runners.suspended {
                Reason::Suspended
            } else {
                Reason::NoRunner
            };
            return Said(Status::Unknown, reason, "no runner is there to commit".to_owned());
        }
        match self.observation.committed_at {
            Some(_) => Said(Status::True, Reason::Committing, "commits succeed".to_owned()),
            None => Said(
                Status::Unknown,
                Reason::NoCommitYet,
                "no runner has told of a commit yet".to_owned(),
            ),
        }
    }

    fn source_reachable(self) -> Said {
        use SourceState::{NotAsked, Reachable, RecordsLost, TopicMissing, Unreachable};
        if let Some((reason, message)) = self.source_trouble() {
            return Said(Status::False, reason, message);
        }
        match &self.observation.source {
            Some(Reachable) => Said(
                Status::True,
                Reason::Reachable,
                "the broker answers and the topics are there".to_owned(),
            ),
            Some(NotAsked) if self.seen.runners.ready > 0 => {
                let message = "runners read it; the operator has no credentials to ask the broker itself";
                Said(Status::True, Reason::Reachable, message.to_owned())
            }
            Some(NotAsked) => {
                let message = "the broker wants credentials, which only runners have, and none is ready";
                Said(Status::Unknown, Reason::CredentialsNeeded, message.to_owned())
            }
            None | Some(Unreachable(_) | TopicMissing(_) | RecordsLost(_)) => Said(
                Status::Unknown,
                Reason::NotAskedYet,
                "the broker has not answered yet".to_owned(),
            ),
        }
    }

    fn suspended(self) -> Said {
        let runners = &self.seen.runners;
        match (runners.suspended, runners.replicas) {
            (false, _) => Said(Status::False, Reason::NotSuspended, "nobody asked for it".to_owned()),
            (true, 0) => {
                let message = "stopped on request; state and offsets are kept. Set spec.suspend to false to go on";
                Said(Status::True, Reason::Suspended, message.to_owned())
            }
            (true, left) => {
                let message = format!("waiting for {left} runners to commit and leave");
                Said(Status::False, Reason::Draining, message)
            }
        }
    }

    fn why_lag_is_unknown(self) -> String {
        match &self.observation.source {
            Some(SourceState::NotAsked) => {
                "the lag is not known: the broker wants credentials, and runners have not told the lag of all partitions"
            }
            Some(SourceState::Reachable) => {
                "the lag is not known: a partition has no committed offset yet, and the pipeline begins at the end"
            }
            _ => "the lag is not known: the broker has not answered yet",
        }
        .to_owned()
    }

    fn how_many_are_ready(self) -> String {
        let runners = &self.seen.runners;
        format!("{} of {} runners are ready", runners.ready, runners.desired)
    }
}
