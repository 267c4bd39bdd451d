//! A laptop run gives what the cluster gives: the same manifests over the same records, on the in-memory connectors and on
//! a real broker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::time::Duration;

use millrace_e2e::broker::shared;
use millrace_e2e::compare::{outcomes, same_multiset};
use millrace_e2e::flights;
use millrace_e2e::manifest::{Manifest, examples};
use millrace_e2e::programs::millrace;
use millrace_e2e::scenario::{PARTITIONS, Scenario};

/// Values that the broker run and the local run give over the January flights.
fn both(manifest: &str, name: &str) -> (Vec<String>, Vec<String>) {
    let source = format!("flights-{name}");
    let client = shared().client();
    client.create_topic(&source, PARTITIONS).unwrap();
    let lines = flights::january().unwrap();
    client
        .write(&source, lines.iter().map(|line| flights::message(line).unwrap()))
        .unwrap();
    client.write(&source, flights::closing(PARTITIONS)).unwrap();
    let on_broker = Scenario::new(
        Manifest::example(manifest).unwrap(),
        client,
        shared().bootstrap(),
        &source,
        name,
    )
    .unwrap();
    on_broker.run_undisturbed().unwrap();
    let from_broker = outcomes(&on_broker.output().unwrap())
        .into_iter()
        .map(|outcome| outcome.value)
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output.jsonl");
    let manifest = examples().join(manifest).display().to_string();
    let input = examples().join("data/flights-january.jsonl.gz").display().to_string();
    let partitions = PARTITIONS.to_string();
    let arguments = [
        "run",
        &manifest,
        "--input",
        &input,
        "--output",
        output.to_str().unwrap(),
        "--partitions",
        &partitions,
    ];
    let run = millrace(arguments, Duration::from_secs(120)).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let local = fs::read_to_string(output).unwrap().lines().map(str::to_owned).collect();
    (from_broker, local)
}

#[test]
fn filter_and_map_agree() {
    let (broker, local) = both("01-filter-map/pipeline.yaml", "filter-map");
    assert_eq!(local.len(), 1821);
    same_multiset(local, broker).unwrap();
}

#[test]
fn windows_agree_whether_a_later_record_or_the_end_of_the_file_closes_them() {
    let (broker, local) = both("02-tumbling-window/pipeline.yaml", "window");
    assert!(local.len() > 5000, "{}", local.len());
    same_multiset(local, broker).unwrap();
}

#[test]
fn running_aggregates_agree() {
    let (broker, local) = both("03-group-by/pipeline.yaml", "group-by");
    assert_eq!(local.len(), 27_004);
    // The closing records of the broker run are flights of a carrier that does not exist.
    same_multiset(local, broker.into_iter().filter(|value| !value.contains(r#""ZZ""#))).unwrap();
}
