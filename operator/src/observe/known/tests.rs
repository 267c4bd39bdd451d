//! What becomes of answers, one after the other.

use millrace_report::PartitionReport;

use super::super::testing::{CREDENTIALS, plan, subject};
use super::*;

fn runner(pod: &str) -> RunnerAddress {
    RunnerAddress {
        pod: pod.to_owned(),
        address: format!("{pod}:9464"),
    }
}

fn partition(topic: &str, partition: i32, lag: Option<i64>) -> PartitionReport {
    PartitionReport {
        topic: topic.to_owned(),
        partition,
        lag_records: lag,
        ..PartitionReport::default()
    }
}

fn report(partitions: Vec<PartitionReport>) -> Report {
    Report {
        started_at: 500,
        partitions,
        ..Report::default()
    }
}

fn reachable(records: i64) -> Measurement {
    Measurement {
        source: SourceState::Reachable,
        lag: Some(Lag {
            records,
            seconds: Some(1),
        }),
        partitions: Some(6),
    }
}

fn known(topics: &str, more: &str, pods: &[&str]) -> Known {
    let runners: Vec<RunnerAddress> = pods.iter().map(|pod| runner(pod)).collect();
    Known::new(subject("p", plan("p", "b:9092", topics, more), &runners), 1000)
}

#[test]
fn lag_is_known_as_long_as_the_broker_answers_and_for_a_minute() {
    let mut known = known("in", "", &[]);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(known.observation(start).source, None);
    known.broker_said(reachable(5), start);
    let seen = known.observation(at(60));
    assert_eq!(
        (seen.lag.map(|lag| lag.records), seen.lag_at, seen.partitions),
        (Some(5), Some(start), Some(6))
    );
    let stale = known.observation(at(61));
    assert_eq!((stale.lag, stale.lag_at), (None, None));
    let away = Measurement {
        source: SourceState::Unreachable("x".to_owned()),
        lag: None,
        partitions: None,
    };
    known.broker_said(away, at(62));
    let seen = known.observation(at(62));
    assert_eq!((seen.lag, seen.lag_at), (None, None));
    assert_eq!(seen.partitions, Some(6), "partitions stay known");
}

#[test]
fn another_source_makes_everything_about_the_old_one_unknown() {
    let mut known = known("in", "", &["a"]);
    let now = Instant::now();
    known.broker_said(reachable(5), now);
    let same = subject("p", plan("p", "b:9092", "in", ""), &[runner("a")]);
    assert!(!known.update(same), "nobody new is to be asked");
    assert!(known.observation(now).lag.is_some());
    assert!(known.update(subject("p", plan("p", "b:9092", "other", ""), &[runner("a")])));
    let seen = known.observation(now);
    assert_eq!((seen.source, seen.lag, seen.partitions), (None, None, None));
}

#[test]
fn runners_are_merged_and_those_that_fall_silent_say_nothing() {
    let mut known = known("in", "", &["a", "b"]);
    let start = Instant::now();
    let of = |number, watermark, committed, bytes| PartitionReport {
        watermark,
        committed,
        checkpoint_bytes: bytes,
        ..partition("in", number, None)
    };
    let a = Report {
        committed_at: Some(7_000),
        uncommitted_since: Some(8_000),
        ..report(vec![of(0, Some(90), Some(10), Some(100)), of(1, None, None, None)])
    };
    let b = Report {
        committed_at: Some(6_000),
        trouble: Some(Trouble {
            reason: "Checkpoint\nFailed!".to_owned(),
            message: "no\u{7} space".to_owned(),
        }),
        ..report(vec![of(2, Some(80), Some(20), Some(11))])
    };
    known.runners_said(
        vec![(runner("a"), a), (runner("b"), b), (runner("stranger"), report(vec![]))],
        start,
    );
    let seen = known.observation(start);
    assert_eq!(
        (seen.watermark, seen.committed_at, seen.uncommitted_since),
        (Some(80), Some(7_000), Some(8_000))
    );
    assert_eq!(
        seen.held_back_by.map(|by| (by.topic, by.partition)),
        Some(("in".to_owned(), 2))
    );
    assert_eq!(seen.checkpoint_bytes, Some(111));
    let trouble = seen.trouble.unwrap();
    assert_eq!(
        (trouble.reason.as_str(), trouble.message.as_str()),
        ("CheckpointFailed", "no space")
    );
    // Partition 2 moves to a, with a newer checkpoint; b is gone.
    let later = start + Duration::from_secs(16);
    let a = report(vec![
        of(0, Some(90), Some(10), Some(100)),
        of(2, Some(95), Some(21), Some(5)),
    ]);
    known.runners_said(vec![(runner("a"), a)], later);
    let seen = known.observation(later);
    assert_eq!((seen.watermark, seen.trouble.is_none()), (Some(90), true));
    assert_eq!(
        (seen.committed_at, seen.checkpoint_bytes),
        (Some(7_000), Some(105)),
        "commits stay facts"
    );
}

#[test]
fn a_partition_of_a_topic_that_the_plan_does_not_read_holds_nothing_back() {
    let mut known = known("in", "", &["a"]);
    let now = Instant::now();
    let strange = PartitionReport {
        watermark: Some(5),
        ..partition("another", 0, None)
    };
    known.runners_said(vec![(runner("a"), report(vec![strange]))], now);
    assert_eq!(known.observation(now).held_back_by, None);
}

#[test]
fn lag_of_runners_counts_only_where_they_have_all_partitions() {
    type Row = (&'static str, &'static str, Vec<Vec<PartitionReport>>, Option<i64>);
    let rows: [Row; 6] = [
        (
            "all",
            "in",
            vec![
                vec![partition("in", 0, Some(3)), partition("in", 2, Some(4))],
                vec![partition("in", 1, Some(0))],
            ],
            Some(7),
        ),
        (
            "a hole",
            "in",
            vec![vec![partition("in", 0, Some(3)), partition("in", 2, Some(4))]],
            None,
        ),
        (
            "one twice",
            "in",
            vec![vec![partition("in", 0, Some(3))], vec![partition("in", 0, Some(3))]],
            None,
        ),
        (
            "one not known",
            "in",
            vec![vec![partition("in", 0, Some(3)), partition("in", 1, None)]],
            None,
        ),
        (
            "a topic without a report",
            "in, other",
            vec![vec![partition("in", 0, Some(3))]],
            None,
        ),
        ("no runner", "in", vec![], None),
    ];
    for (name, topics, reports, expected) in rows {
        let mut known = known(topics, CREDENTIALS, &["a", "b"]);
        let now = Instant::now();
        let not_asked = Measurement {
            source: SourceState::NotAsked,
            lag: None,
            partitions: None,
        };
        known.broker_said(not_asked, now);
        let answers = ["a", "b"]
            .into_iter()
            .zip(reports)
            .map(|(pod, partitions)| (runner(pod), report(partitions)));
        known.runners_said(answers.collect(), now);
        let seen = known.observation(now);
        assert_eq!(seen.lag.map(|lag| lag.records), expected, "{name}");
        assert_eq!(seen.lag_at.is_some(), expected.is_some(), "{name}");
        assert_eq!(seen.source, Some(SourceState::NotAsked), "{name}");
    }
}

#[test]
fn partitions_that_are_on_their_way_between_runners_make_the_lag_unknown() {
    let mut known = known("in", CREDENTIALS, &["a", "b"]);
    let now = Instant::now();
    let half = |from: i32| {
        report(
            (from..from + 2)
                .map(|number| partition("in", number, Some(1)))
                .collect(),
        )
    };
    known.runners_said(vec![(runner("a"), half(0)), (runner("b"), half(2))], now);
    assert_eq!(known.observation(now).lag.map(|lag| lag.records), Some(4));
    assert_eq!(known.observation(now).partitions, Some(4));
    // What b had is not with a yet: 0 and 1 alone look like all there is.
    known.update(subject("p", plan("p", "b:9092", "in", CREDENTIALS), &[runner("a")]));
    known.runners_said(vec![(runner("a"), half(0))], now);
    assert_eq!(known.observation(now).lag, None);
}

#[test]
fn totals_go_on_from_the_status_and_never_back() {
    let status = |late, dead| Totals { late, dead };
    let mut known = known("in", "", &["a"]);
    let now = Instant::now();
    let says = |known: &mut Known, started_at, late, dead| {
        let report = Report {
            started_at,
            late,
            dead,
            ..Report::default()
        };
        known.runners_said(vec![(runner("a"), report)], now);
    };
    // The operator is new, the runner is not: the status has 100, of which the runner counted 40.
    assert_eq!(known.totals(status(100, 7)), status(100, 7));
    says(&mut known, 500, 40, 9);
    assert_eq!(
        known.totals(status(100, 7)),
        status(100, 9),
        "there are at least as many as the runner says"
    );
    says(&mut known, 500, 42, 9);
    assert_eq!(known.totals(status(100, 9)), status(102, 9));
    says(&mut known, 1500, 3, 0);
    assert_eq!(
        known.totals(status(100, 9)),
        status(105, 9),
        "a new run counts from zero"
    );
    assert_eq!(
        known.totals(status(500, 9)),
        status(500, 9),
        "another operator wrote more"
    );
    // A replica that only watched until now goes on from what the leader wrote.
    let mut standby = Known::new(known.subject.clone(), 1000);
    says(&mut standby, 1500, 3, 0);
    says(&mut standby, 1500, 5, 0);
    assert_eq!(standby.totals(status(200, 0)), status(200, 0));
    says(&mut standby, 1500, 6, 0);
    assert_eq!(standby.totals(status(200, 0)), status(201, 0));
}
