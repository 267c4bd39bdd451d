//! What a runner shows of itself while it works, and how it leaves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use millrace_e2e::broker::shared;
use millrace_e2e::compare::{outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use millrace_e2e::scenario::{PARTITIONS, Scenario};
use serde_json::Value;

/// Metrics that a runner promises.
const METRICS: [&str; 11] = [
    "stream_events_processed_total",
    "stream_processing_latency_seconds",
    "stream_buffer_size",
    "stream_errors_total",
    "stream_lag_records",
    "stream_watermark_delay_seconds",
    "stream_checkpoint_size_bytes",
    "stream_checkpoint_duration_seconds",
    "stream_checkpoint_age_seconds",
    "stream_late_records_total",
    "stream_dead_letters_total",
];

/// A scenario over the first 2,000 flights.
fn scenario(example: &str, name: &str) -> Scenario {
    let source = format!("flights-{name}");
    let client = shared().client();
    client.create_topic(&source, PARTITIONS).unwrap();
    let lines = flights::january().unwrap();
    client
        .write(
            &source,
            lines[..2000].iter().map(|line| flights::message(line).unwrap()),
        )
        .unwrap();
    Scenario::new(
        Manifest::example(example).unwrap(),
        client,
        shared().bootstrap(),
        &source,
        name,
    )
    .unwrap()
}

#[test]
fn metrics_count_what_happened_and_logs_hold_no_contents() {
    let scenario = scenario("02-tumbling-window/pipeline.yaml", "metrics");
    let mut runner = scenario.runners().start("runner-0").unwrap();
    runner.wait_until_ready(Duration::from_secs(60)).unwrap();
    assert_eq!(runner.get("/healthz").unwrap().0, 200);
    assert_eq!(runner.get("/nothing").unwrap().0, 404);
    scenario.wait_until_caught_up().unwrap();

    // Gauges are set now and then, and lag only once a statistic of the client has come.
    eventually(
        "all records are read and the lag is known to be 0",
        Duration::from_secs(30),
        || Ok((runner.metric("stream_lag_records")? == Some(0.0)).then_some(())),
    )
    .unwrap();
    let (status, text) = runner.get("/metrics").unwrap();
    assert_eq!(status, 200);
    for name in METRICS {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is missing:\n{text}");
    }
    let read = text
        .lines()
        .find(|line| line.starts_with("stream_events_processed_total") && line.contains(r#""source""#))
        .unwrap();
    assert!(
        read.contains(r#"namespace="default""#) && read.contains(r#"pipeline="metrics""#),
        "{read}"
    );
    assert!(read.ends_with(" 2000"), "{read}");
    assert_eq!(runner.metric("stream_dead_letters_total").unwrap(), Some(0.0));

    assert!(runner.process.terminate(Duration::from_secs(30)).unwrap().success());
    let log = runner.process.log();
    for line in log.lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
            "not JSON: {line}"
        );
    }
    assert!(!log.contains("N14228"), "record contents stand in the log");
}

#[test]
fn sigterm_commits_what_was_read_and_the_next_runner_goes_on_there() {
    let scenario = scenario("01-filter-map/pipeline.yaml", "handover");
    let mut first = scenario.runners().start("runner-0").unwrap();
    eventually("some is committed", Duration::from_secs(60), || {
        Ok((scenario.committed()? > 0).then_some(()))
    })
    .unwrap();
    assert!(
        first.process.terminate(Duration::from_secs(30)).unwrap().success(),
        "{}",
        first.process.log_tail()
    );
    assert_eq!(
        shared().client().members("handover").unwrap(),
        0,
        "it has left its group"
    );

    let lines = flights::january().unwrap();
    let more = lines[2000..3000].iter().map(|line| flights::message(line).unwrap());
    shared().client().write(&scenario.source, more).unwrap();
    let mut second = scenario.runners().start("runner-1").unwrap();
    scenario.wait_until_caught_up().unwrap();
    assert!(
        second.process.terminate(Duration::from_secs(30)).unwrap().success(),
        "{}",
        second.process.log_tail()
    );
    let expected = oracle::filter_map(&scenario.input().unwrap()).unwrap();
    same_multiset(outcomes(&scenario.output().unwrap()), expected).unwrap();
}
