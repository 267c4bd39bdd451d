//! Workers on the in-memory broker, crashed, fenced and rebalanced at random: what readers of committed records see must
//! be what one worker that never fails would have written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use world::{PARTITIONS, Random, Runner, World, play};

mod world;

const KEYS: u64 = 7;

/// Counts and sums per key: any record lost or taken twice shows in every later result of its key.
const MANIFEST: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: totals}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema:
    fields:
      - {name: k, type: string}
      - {name: v, type: int64}
  key: [k]
  operators:
    - name: totals
      groupBy:
        keys: [k]
        aggregates:
          - {name: n, function: count}
          - {name: total, function: sum, expression: v}
  sinks: [{name: out, kafka: {topic: out}}]
";

type Results = BTreeMap<String, Vec<(u64, i64)>>;

fn record(random: &mut Random) -> (String, serde_json::Value) {
    let key = format!("k{}", random.below(KEYS));
    let value = random.below(1000) as i64 - 500;
    let record = json!({"k": key, "v": value});
    (key, record)
}

fn new(seed: u64) -> World {
    World::new(seed, MANIFEST, record)
}

/// What must come out, from what went in.
fn expected(world: &World) -> Results {
    let mut expected = Results::new();
    for record in &world.appended {
        let results = expected.entry(record["k"].as_str().unwrap().to_owned()).or_default();
        let (n, total) = results.last().copied().unwrap_or_default();
        results.push((n + 1, total + record["v"].as_i64().unwrap()));
    }
    expected
}

fn written(world: &World) -> Results {
    let mut written = Results::new();
    for (_, record) in world.broker.read_committed("out").unwrap() {
        let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        assert_eq!(value["k"], key.as_str());
        written
            .entry(key)
            .or_default()
            .push((value["n"].as_u64().unwrap(), value["total"].as_i64().unwrap()));
    }
    written
}

#[test]
fn committed_results_are_those_of_a_run_without_faults() {
    play(0..500, 250, new, |world, seed| {
        assert_eq!(written(world), expected(world), "seed {seed}");
    });
}

#[test]
fn a_run_without_faults_writes_every_result_once() {
    let mut world = new(1);
    world.start("a");
    for _ in 0..50 {
        (0..5).for_each(|_| world.append());
        world.act("a", |worker| worker.turn(Duration::ZERO).map(drop));
    }
    world.act("a", Runner::commit);
    world.settle();
    assert_eq!(written(&world), expected(&world));
}

#[test]
fn a_group_that_lost_its_offsets_stops_the_runner_instead_of_counting_again() {
    let mut world = new(3);
    world.work_and_leave();
    for partition in 0..i32::from(PARTITIONS) {
        world
            .broker
            .reset_offset("millrace-default-totals", "in", partition, None);
    }
    let why = world.why_the_next_runner_stops();
    assert!(why.contains("has no offset, but results were committed"), "{why}");
}

#[test]
fn a_lost_checkpoint_stops_the_runner_instead_of_counting_from_zero() {
    let mut world = new(2);
    world.work_and_leave();
    world.store.lose_all();
    let why = world.why_the_next_runner_stops();
    assert!(why.contains("missing"), "{why}");
}
