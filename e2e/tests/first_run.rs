//! The January flights through both kinds of work, exactly once, with two runners of which one or the other is killed
//! five times while a third comes and goes. Judged by a reader of committed records against an independent computation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use millrace_e2e::broker::shared;
use millrace_e2e::compare::{origins, outcomes, same_multiset, same_order_per_key};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use millrace_e2e::scenario::{PARTITIONS, Scenario};
use serde_json::json;

fn scenario(manifest: &str, source: &str, name: &str) -> Scenario {
    let broker = shared();
    let manifest = Manifest::example(manifest).unwrap();
    Scenario::new(manifest, broker.client(), broker.bootstrap(), source, name).unwrap()
}

#[test]
fn filter_and_map_give_each_result_once_though_runners_are_killed() {
    shared().client().create_topic("flights-mapped", PARTITIONS).unwrap();
    let disturbed = scenario("01-filter-map/pipeline.yaml", "flights-mapped", "mapped");
    disturbed.run_with_faults().unwrap().check().unwrap();

    let expected = oracle::filter_map(&disturbed.input().unwrap()).unwrap();
    assert_eq!(expected.len(), 1821, "the oracle has work");
    let found = outcomes(&disturbed.output().unwrap());
    same_multiset(&found, &expected).unwrap();
    same_order_per_key(&found, &expected).unwrap();
    assert_eq!(disturbed.aside("dead").unwrap(), []);
    disturbed.check_no_transaction_hangs().unwrap();

    let control = scenario("01-filter-map/pipeline.yaml", "flights-mapped", "mapped-control");
    control.run_undisturbed().unwrap();
    same_multiset(outcomes(&control.output().unwrap()), expected).unwrap();
}

#[test]
fn hourly_windows_give_each_result_once_though_runners_are_killed() {
    shared().client().create_topic("flights-hourly", PARTITIONS).unwrap();
    let disturbed = scenario("02-tumbling-window/pipeline.yaml", "flights-hourly", "hourly");
    disturbed.run_with_faults().unwrap().check().unwrap();

    let expected = oracle::hourly(&disturbed.input().unwrap()).unwrap();
    assert!(
        expected.results.len() > 5000 && expected.late.len() > 10,
        "the oracle has work: {:?}",
        expected.late
    );
    same_multiset(outcomes(&disturbed.output().unwrap()), expected.results.clone()).unwrap();
    assert_eq!(origins(&disturbed.aside("late").unwrap()), expected.late);
    assert_eq!(disturbed.aside("dead").unwrap(), []);
    disturbed.check_no_transaction_hangs().unwrap();

    let control = scenario(
        "02-tumbling-window/aggregation.yaml",
        "flights-hourly",
        "hourly-control",
    );
    control.run_undisturbed().unwrap();
    same_multiset(outcomes(&control.output().unwrap()), expected.results).unwrap();
    assert_eq!(origins(&control.aside("late").unwrap()), expected.late);
}

#[test]
fn windows_by_another_key_give_each_result_once_though_runners_are_killed() {
    shared()
        .client()
        .create_topic("flights-destinations", PARTITIONS)
        .unwrap();
    let scenario = |name| {
        let broker = shared();
        // A runner that was killed must not count as an idle partition.
        let manifest = Manifest::example("08-by-another-key/pipeline.yaml")
            .unwrap()
            .with("spec.eventTime.idleTimeout", json!("1h"));
        Scenario::new(
            manifest,
            broker.client(),
            broker.bootstrap(),
            "flights-destinations",
            name,
        )
        .unwrap()
    };
    let disturbed = scenario("destinations");
    disturbed.run_with_faults().unwrap().check().unwrap();
    disturbed.catch_up_on("millrace-destinations-daily").unwrap();

    let expected = oracle::destinations(&disturbed.input().unwrap()).unwrap();
    assert!(expected.len() > 2000, "the oracle has work: {}", expected.len());
    same_multiset(outcomes(&disturbed.output().unwrap()), expected.clone()).unwrap();
    assert_eq!(disturbed.aside("dead").unwrap(), []);
    disturbed.check_no_transaction_hangs().unwrap();

    let control = scenario("destinations-control");
    control.run_undisturbed().unwrap();
    control.catch_up_on("millrace-destinations-control-daily").unwrap();
    same_multiset(outcomes(&control.output().unwrap()), expected).unwrap();
}
