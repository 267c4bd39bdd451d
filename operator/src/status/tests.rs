//! One situation a row: what is seen, and what the seven conditions say.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use millrace_crds::{CheckpointStatus, ConditionType, PipelineStatus};

use super::*;
use crate::observe::{Lag, Observation, SourceState, Throughput};

const NOW: i64 = 1_000_000;

fn runners(desired: i32, replicas: i32, ready: i32) -> Runners {
    Runners {
        desired,
        replicas,
        ready,
        selector: "a=b".to_owned(),
        plan: Some("f00".to_owned()),
        checkpoint_interval: Some(Duration::from_secs(1)),
        ..Runners::default()
    }
}

/// Two runners, both ready, nothing to do.
fn well() -> Seen {
    let observation = Observation {
        source: Some(SourceState::Reachable),
        lag: Some(Lag {
            records: 0,
            seconds: Some(0),
        }),
        partitions: Some(6),
        throughput: Some(Throughput {
            read: 10.4,
            written: 4.6,
        }),
        watermark: Some(NOW * 1000 - 12_345),
        held_back_by: Some(millrace_report::PartitionName {
            topic: "in".to_owned(),
            partition: 4,
        }),
        committed_at: Some(NOW * 1000 - 700),
        checkpoint_bytes: Some(4096),
        ..Observation::default()
    };
    Seen {
        previous: None,
        generation: 3,
        now: Timestamp::from_second(NOW).unwrap(),
        outcome: Outcome::Applied,
        runners: runners(2, 2, 2),
        observation: Some(Arc::new(observation)),
        totals: Totals { late: 7, dead: 8 },
        trouble: None,
    }
}

fn observing(mut seen: Seen, change: impl FnOnce(&mut Observation)) -> Seen {
    let mut observation = seen.observation.as_deref().cloned().unwrap_or_default();
    change(&mut observation);
    seen.observation = Some(Arc::new(observation));
    seen
}

fn with(change: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = well();
    change(&mut seen);
    seen
}

/// No runner is ready, for this reason.
fn held_up(reason: Reason) -> Seen {
    with(|seen| {
        seen.runners = runners(2, 2, 0);
        seen.trouble = Some(Trouble {
            reason,
            message: "why".to_owned(),
        });
    })
}

/// What the source is, where runners may be ready or not.
fn source(ready: i32, source: SourceState) -> Seen {
    observing(with(|seen| seen.runners = runners(2, 2, ready)), |observation| {
        observation.source = Some(source);
        observation.lag = None;
    })
}

fn suspended(replicas: i32) -> Seen {
    with(|seen| {
        seen.runners = Runners {
            suspended: true,
            ..runners(0, replicas, replicas)
        }
    })
}

fn outcome(outcome: Outcome, replicas: i32) -> Seen {
    with(|seen| {
        seen.outcome = outcome;
        seen.runners = runners(2, replicas, replicas);
    })
}

/// `Ready Progressing Degraded CaughtUp CheckpointHealthy SourceReachable Suspended`: T, F or U, and the reason.
fn conditions(seen: &Seen) -> String {
    let said = |of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        assert!(!of.message.is_empty() && of.message.len() < 1024, "{of:?}");
        assert_eq!(of.observed_generation, Some(seen.generation));
        format!("{}/{}", &of.status[..1], of.reason)
    };
    let status = decide(seen);
    let types: Vec<&str> = status.conditions.iter().map(|of| of.type_.as_str()).collect();
    assert_eq!(types, ConditionType::ALL.map(ConditionType::as_str));
    status.conditions.iter().map(said).collect::<Vec<_>>().join(" ")
}

fn message(seen: &Seen, of: ConditionType) -> String {
    let status = decide(seen);
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == of.as_str());
    found.unwrap().message.clone()
}

#[test]
fn what_the_conditions_say() {
    let behind = |seen| {
        observing(seen, |of| {
            of.lag = Some(Lag {
                records: 9,
                seconds: None,
            })
        })
    };
    let first_visit = Seen {
        previous: None,
        observation: None,
        runners: runners(2, 0, 0),
        ..well()
    };
    let late = |seconds: i64, interval: u64| {
        let seen = with(|seen| seen.runners.checkpoint_interval = Some(Duration::from_secs(interval)));
        observing(seen, |of| of.uncommitted_since = Some((NOW - seconds) * 1000))
    };
    let runner_says = |reason: &str| {
        observing(well(), |of| {
            of.trouble = Some(millrace_report::Trouble {
                reason: reason.to_owned(),
                message: "no space".to_owned(),
            });
        })
    };
    let why = || "why".to_owned();
    let of = SourceState::RecordsLost;
    let rows: Vec<(&str, Seen, &str)> = vec![
        (
            "all is well",
            well(),
            "T/Running F/Running F/Running T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "behind",
            behind(well()),
            "T/Running F/Running F/Running F/Behind T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "the first visit",
            first_visit,
            "F/Starting T/Starting F/Starting U/LagUnknown U/NoRunner U/NotAskedYet F/NotSuspended",
        ),
        (
            "one of two is ready",
            with(|seen| seen.runners = runners(2, 2, 1)),
            "T/Running T/Scaling F/Scaling T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "one too many",
            with(|seen| seen.runners = runners(2, 3, 3)),
            "T/Running T/Scaling F/Scaling T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "no runner asked for",
            with(|seen| seen.runners = runners(0, 0, 0)),
            "F/ScaledToZero F/ScaledToZero F/ScaledToZero T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "no commit yet",
            observing(well(), |of| of.committed_at = None),
            "T/Running F/Running F/Running T/CaughtUp U/NoCommitYet T/Reachable F/NotSuspended",
        ),
        (
            "old runners leave",
            outcome(Outcome::RollingOut, 2),
            "F/RollingOut T/RollingOut F/RollingOut T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "old runners have left",
            outcome(Outcome::RollingOut, 0),
            "F/RollingOut T/RollingOut F/RollingOut T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "stopping",
            suspended(1),
            "F/Suspended T/Draining F/Draining T/CaughtUp T/Committing T/Reachable F/Draining",
        ),
        (
            "stopped",
            behind(suspended(0)),
            "F/Suspended F/Suspended F/Suspended F/Behind U/Suspended T/Reachable T/Suspended",
        ),
        (
            "a bad spec, the old one runs",
            outcome(Outcome::Invalid(vec![why()]), 2),
            "F/InvalidSpec F/InvalidSpec T/InvalidSpec T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "a bad spec from the start",
            outcome(Outcome::Invalid(vec![why()]), 0),
            "F/InvalidSpec F/InvalidSpec T/InvalidSpec T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "state would be lost",
            outcome(Outcome::StateWouldBeLost(vec![why()]), 2),
            "F/StateWouldBeLost F/StateWouldBeLost T/StateWouldBeLost T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "a name is taken",
            outcome(Outcome::NameTaken(why()), 0),
            "F/NameTaken F/NameTaken T/NameTaken T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "forbidden",
            outcome(Outcome::Forbidden(why()), 0),
            "F/Forbidden F/Forbidden T/Forbidden T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "refused",
            outcome(Outcome::Failed(why()), 0),
            "F/ApplyFailed F/ApplyFailed T/ApplyFailed T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        // C12: what a person has to mend.
        (
            "impossible memory",
            held_up(Reason::Unschedulable),
            "F/Unschedulable F/Unschedulable T/Unschedulable T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "bad image",
            held_up(Reason::ImagePullFailed),
            "F/ImagePullFailed F/ImagePullFailed T/ImagePullFailed T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "missing Secret",
            held_up(Reason::SecretMissing),
            "F/SecretMissing F/SecretMissing T/SecretMissing T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "no StorageClass",
            held_up(Reason::NoStorageClass),
            "F/NoStorageClass F/NoStorageClass T/NoStorageClass T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "quota",
            held_up(Reason::Forbidden),
            "F/Forbidden F/Forbidden T/Forbidden T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "crash loop",
            held_up(Reason::RunnerFailed),
            "F/RunnerFailed F/RunnerFailed T/RunnerFailed T/CaughtUp U/NoRunner T/Reachable F/NotSuspended",
        ),
        (
            "bad bootstrap",
            source(0, SourceState::Unreachable(why())),
            "F/SourceUnreachable F/SourceUnreachable T/SourceUnreachable U/LagUnknown U/NoRunner F/SourceUnreachable F/NotSuspended",
        ),
        (
            "missing topic",
            source(0, SourceState::TopicMissing(why())),
            "F/TopicMissing F/TopicMissing T/TopicMissing U/LagUnknown U/NoRunner F/TopicMissing F/NotSuspended",
        ),
        (
            "records lost",
            source(0, of(why())),
            "F/RecordsLost F/RecordsLost T/RecordsLost U/LagUnknown U/NoRunner F/RecordsLost F/NotSuspended",
        ),
        // The broker is away from here, but runners say that they work.
        (
            "unreachable for the operator alone",
            source(2, SourceState::Unreachable(why())),
            "T/Running F/Running T/SourceUnreachable U/LagUnknown T/Committing F/SourceUnreachable F/NotSuspended",
        ),
        (
            "credentials, runners ready",
            source(2, SourceState::NotAsked),
            "T/Running F/Running F/Running U/LagUnknown T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "credentials, no runner ready",
            source(0, SourceState::NotAsked),
            "F/Starting T/Starting F/Starting U/LagUnknown U/NoRunner U/CredentialsNeeded F/NotSuspended",
        ),
        (
            "credentials, lag from runners",
            observing(well(), |of| of.source = Some(SourceState::NotAsked)),
            "T/Running F/Running F/Running T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "lag unknown",
            observing(well(), |of| of.lag = None),
            "T/Running F/Running F/Running U/LagUnknown T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "one pod of three has no room",
            with(|seen| {
                seen.runners = runners(3, 3, 2);
                seen.trouble = held_up(Reason::Unschedulable).trouble;
            }),
            "T/Running F/Unschedulable T/Unschedulable T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "work waits 30 s",
            late(30, 1),
            "T/Running F/Running F/Running T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "work waits 31 s",
            late(31, 1),
            "T/Running F/Running T/CheckpointLate T/CaughtUp F/CheckpointLate T/Reachable F/NotSuspended",
        ),
        (
            "work waits 100 s of 10 s",
            late(100, 10),
            "T/Running F/Running F/Running T/CaughtUp T/Committing T/Reachable F/NotSuspended",
        ),
        (
            "work waits 101 s of 10 s",
            late(101, 10),
            "T/Running F/Running T/CheckpointLate T/CaughtUp F/CheckpointLate T/Reachable F/NotSuspended",
        ),
        (
            "the disk is full",
            runner_says("CheckpointFailed"),
            "T/Running F/Running T/CheckpointFailed T/CaughtUp F/CheckpointFailed T/Reachable F/NotSuspended",
        ),
    ];
    for (name, seen, expected) in rows {
        assert_eq!(conditions(&seen), expected, "{name}");
    }
}

#[test]
fn why_a_runner_stopped_is_best_told_by_the_source_and_nothing_else_is() {
    let unreachable = || SourceState::Unreachable("nowhere:9092 does not answer".to_owned());
    let both = |reason| observing(held_up(reason), |of| of.source = Some(unreachable()));
    assert!(conditions(&both(Reason::RunnerFailed)).starts_with("F/SourceUnreachable"));
    assert!(conditions(&both(Reason::SecretMissing)).starts_with("F/SecretMissing"));
    assert!(message(&both(Reason::RunnerFailed), ConditionType::Ready).contains("nowhere:9092"));
    let runner = observing(source(0, SourceState::NotAsked), |of| {
        of.trouble = Some(millrace_report::Trouble {
            reason: "BrokerUnreachable".to_owned(),
            message: "no answer".to_owned(),
        });
    });
    assert!(
        conditions(&runner).contains("F/SourceUnreachable F/NotSuspended"),
        "{}",
        conditions(&runner)
    );
}

#[test]
fn messages_say_what_where_and_what_to_do() {
    let bad = outcome(
        Outcome::Invalid(vec!["spec.key: no field `x`".to_owned(), "spec.sinks: b".to_owned()]),
        2,
    );
    assert_eq!(
        message(&bad, ConditionType::Ready),
        "spec.key: no field `x`; spec.sinks: b; the runners of the spec before go on"
    );
    let hostile = outcome(Outcome::Failed(format!("a\u{1b}[2J\n{}", "x".repeat(100_000))), 0);
    let told = message(&hostile, ConditionType::Degraded);
    assert!(told.starts_with("a [2J x") && told.len() < 600, "{told}");
    let behind = observing(well(), |of| {
        of.lag = Some(Lag {
            records: 9,
            seconds: Some(61),
        })
    });
    assert_eq!(
        message(&behind, ConditionType::CaughtUp),
        "9 records are left to read, the oldest written 61 s ago"
    );
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let first = decide(&well());
    let later = |change: fn(&mut Seen)| {
        let mut seen = well();
        seen.previous = Some(first.clone());
        seen.now = Timestamp::from_second(NOW + 60).unwrap();
        change(&mut seen);
        let status = decide(&seen);
        let time =
            |of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| of.last_transition_time.0.as_second();
        status.conditions.iter().map(time).collect::<Vec<_>>()
    };
    assert_eq!(later(|_| {}), [NOW; 7]);
    let moved = later(|seen| seen.outcome = Outcome::RollingOut);
    assert_eq!(
        moved,
        [NOW + 60, NOW + 60, NOW, NOW, NOW, NOW, NOW],
        "Ready and Progressing changed"
    );
}

#[test]
fn numbers_are_what_was_seen_and_unknown_ones_are_left_out() {
    let status = decide(&well());
    let lag = status.lag.as_ref().map(|lag| (lag.records, lag.seconds));
    let rate = status
        .throughput
        .as_ref()
        .map(|rate| (rate.in_per_second, rate.out_per_second));
    assert_eq!((lag, rate), (Some((0, Some(0))), Some((10, 5))));
    assert_eq!(
        (status.observed_generation, status.replicas, status.ready_replicas),
        (Some(3), 2, 2)
    );
    assert_eq!(
        (status.selector.as_str(), status.plan.as_deref(), status.partitions),
        ("a=b", Some("f00"), Some(6))
    );
    assert_eq!(status.watermark_delay_seconds, Some(12));
    let held_back_by = status.watermark_held_back_by.as_ref();
    assert_eq!(
        held_back_by.map(|by| (by.topic.as_str(), by.partition)),
        Some(("in", 4))
    );
    assert_eq!((status.late_records, status.dead_letters), (7, 8));
    let checkpoint = status.checkpoint.clone().unwrap();
    assert_eq!(
        (checkpoint.completed_at.0.as_second(), checkpoint.size_bytes),
        (NOW - 1, 4096)
    );
    // As the API server gives it back, it is the same: nothing would be written again.
    let back: PipelineStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
    assert_eq!(back, status);

    let seen = Seen {
        previous: Some(status),
        observation: None,
        runners: runners(2, 0, 0),
        totals: Totals::default(),
        ..well()
    };
    let unknown = decide(&seen);
    assert_eq!(
        (unknown.lag, unknown.throughput, unknown.watermark_delay_seconds),
        (None, None, None)
    );
    assert_eq!(unknown.watermark_held_back_by, None);
    assert_eq!(unknown.partitions, Some(6), "topics do not lose partitions");
    assert_eq!(unknown.checkpoint, Some(checkpoint), "the latest commit stays a fact");
    assert_eq!(
        (unknown.late_records, unknown.dead_letters),
        (7, 8),
        "counts do not go back"
    );
}

#[test]
fn an_older_commit_does_not_replace_a_newer_one() {
    let newer = CheckpointStatus {
        completed_at: Time(Timestamp::from_second(NOW + 5).unwrap()),
        size_bytes: 1,
    };
    let previous = PipelineStatus {
        checkpoint: Some(newer.clone()),
        ..PipelineStatus::default()
    };
    let seen = with(|seen| seen.previous = Some(previous));
    assert_eq!(decide(&seen).checkpoint, Some(newer));
}

#[test]
fn what_is_worth_a_write_at_once_later_and_never() {
    let old = decide(&observing(well(), |of| {
        of.lag = Some(Lag {
            records: 1000,
            seconds: Some(100),
        });
        of.watermark = Some((NOW - 100) * 1000);
    }));
    let changed = |change: fn(&mut PipelineStatus)| {
        let mut new = old.clone();
        change(&mut new);
        new
    };
    let at_once = Some(Duration::ZERO);
    let soon = Some(Duration::from_secs(10));
    let late = Some(Duration::from_secs(60));
    let never = None;
    type Change = fn(&mut PipelineStatus);
    let rows: [(&str, Change, Option<Duration>); 20] = [
        ("the same", |_| {}, never),
        ("another generation", |new| new.observed_generation = Some(4), at_once),
        ("a runner less", |new| new.ready_replicas = 1, at_once),
        (
            "a condition",
            |new| new.conditions[0].status = "False".to_owned(),
            at_once,
        ),
        (
            "a reason",
            |new| new.conditions[0].reason = "Starting".to_owned(),
            at_once,
        ),
        ("lag becomes unknown", |new| new.lag = None, at_once),
        ("another plan", |new| new.plan = None, at_once),
        ("a sentence", |new| new.conditions[0].message = "x".to_owned(), soon),
        (
            "how much is left, as a sentence",
            |new| new.conditions[3].message = "x".to_owned(),
            never,
        ),
        ("lag up by 51", |new| new.lag.as_mut().unwrap().records = 1053, soon),
        ("lag up by 50", |new| new.lag.as_mut().unwrap().records = 1050, late),
        (
            "seconds up by 4",
            |new| new.lag.as_mut().unwrap().seconds = Some(104),
            never,
        ),
        ("one dead letter more than 8", |new| new.dead_letters += 1, soon),
        (
            "flow up by 1 of 10",
            |new| new.throughput.as_mut().unwrap().in_per_second = 11,
            soon,
        ),
        ("a commit 29 s later", |new| commit_later(new, 29), never),
        ("a commit 30 s later", |new| commit_later(new, 30), soon),
        (
            "delay up by 6 of 100 while something flows",
            |new| new.watermark_delay_seconds = Some(106),
            soon,
        ),
        (
            "another partition holds the watermark back",
            |new| new.watermark_held_back_by.as_mut().unwrap().partition = 5,
            late,
        ),
        ("delay doubled while nothing flows", |new| stand_still(new, 200), soon),
        (
            "delay more than doubled while nothing flows",
            |new| stand_still(new, 201),
            soon,
        ),
    ];
    for (name, change, from) in rows {
        let new = changed(change);
        for since in [
            Duration::ZERO,
            Duration::from_secs(9),
            Duration::from_secs(10),
            Duration::from_secs(59),
            Duration::from_secs(60),
            Duration::from_secs(3600),
        ] {
            let expected = from.is_some_and(|from| since >= from);
            assert_eq!(
                worth_writing(Some(&old), &new, Some(since)),
                expected,
                "{name} after {since:?}"
            );
        }
    }
    assert!(worth_writing(None, &old, at_once), "the first one");
    assert!(!worth_writing(Some(&old), &old, None));
}

fn commit_later(status: &mut PipelineStatus, seconds: i64) {
    let checkpoint = status.checkpoint.as_mut().unwrap();
    let at = checkpoint.completed_at.0.as_second() + seconds;
    checkpoint.completed_at = Time(Timestamp::from_second(at).unwrap());
}

fn stand_still(status: &mut PipelineStatus, delay: i64) {
    status.throughput.as_mut().unwrap().in_per_second = 0;
    status.watermark_delay_seconds = Some(delay);
}

#[test]
fn a_pipeline_that_stands_still_is_hardly_written() {
    let still = |delay: i64| {
        let mut seen = observing(well(), |of| {
            of.throughput = Some(Throughput::default());
            of.watermark = Some((NOW - 50) * 1000);
        });
        seen.now = Timestamp::from_second(NOW + delay).unwrap();
        seen
    };
    let mut written = decide(&still(0));
    let mut last = 0;
    let mut writes = Vec::new();
    for second in (5..3600).step_by(5) {
        let seen = Seen {
            previous: Some(written.clone()),
            ..still(second)
        };
        let new = decide(&seen);
        if worth_writing(Some(&written), &new, Some(Duration::from_secs((second - last) as u64))) {
            writes.push(second);
            (written, last) = (new, second);
        }
    }
    assert_eq!(
        writes,
        [55, 165, 385, 825, 1705, 3465],
        "only as often as the delay has doubled"
    );
}
