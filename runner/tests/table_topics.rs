//! Joins with tables that are topics, on the in-memory broker: read to their end before the first record, followed between
//! records, and the same after any crash.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_connect::Delivered;
use serde_json::{Value, json};

use world::{Random, Runner, World, play};

mod world;

/// Every record with the name of its group, if it has one.
const NAMED: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: named}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema: {fields: [{name: k, type: string}, {name: g, type: int64}, {name: id, type: int64}]}
  key: [k]
  operators:
    - name: names
      join:
        table:
          name: groups
          topic: {name: groups}
          schema: {fields: [{name: g, type: int64}, {name: name, type: string}]}
          key: [g]
        match: [{field: g}]
        type: left
  sinks: [{name: out, kafka: {topic: out}}]
";

const GROUPS: u64 = 5;

fn record(random: &mut Random) -> (String, Value) {
    let key = format!("k{}", random.below(7));
    // Large enough to be another one each time.
    let id = (random.below(1 << 31) << 20) + random.below(1 << 20);
    let value = json!({"k": key, "g": random.below(GROUPS), "id": id});
    (key, value)
}

fn put(world: &World, group: u64, name: Option<&str>) {
    let key = group.to_string();
    let value = name.map(|name| json!({"g": group, "name": name}).to_string());
    let record = Delivered {
        key: Some(key.as_bytes()),
        value: value.as_deref().map(str::as_bytes),
        ..Delivered::default()
    };
    world.broker.append("groups", None, record).unwrap();
}

/// A table with updates, deletions, and what is no row, in several partitions.
fn new(seed: u64) -> World {
    let world = World::new(seed, NAMED, record);
    world.broker.create_topic("groups", 3);
    for group in 0..GROUPS {
        put(&world, group, Some("old"));
    }
    put(&world, 1, None);
    put(&world, 2, None);
    put(&world, 2, Some("again"));
    put(&world, 3, Some("newer"));
    let broken = Delivered {
        key: Some(b"4"),
        value: Some(br#"{"g":4}"#),
        ..Delivered::default()
    };
    world.broker.append("groups", None, broken).unwrap();
    world
}

/// The names as the records above leave them, written down by hand.
fn first_names() -> BTreeMap<u64, &'static str> {
    BTreeMap::from([(0, "old"), (2, "again"), (3, "newer"), (4, "old")])
}

/// By id, the name that came out.
fn written(world: &World) -> BTreeMap<u64, Option<String>> {
    let mut found = BTreeMap::new();
    for (_, record) in world.broker.read_committed("out").unwrap() {
        let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let name = value["name"].as_str().map(str::to_owned);
        let before = found.insert(value["id"].as_u64().unwrap(), name);
        assert_eq!(before, None, "{value} came out twice");
    }
    found
}

fn expected(records: &[Value], names: &BTreeMap<u64, &str>) -> BTreeMap<u64, Option<String>> {
    let name = |record: &Value| names.get(&record["g"].as_u64().unwrap()).map(|name| (*name).to_owned());
    let records = records.iter();
    records
        .map(|record| (record["id"].as_u64().unwrap(), name(record)))
        .collect()
}

/// Does all there is to do, takes changes of the table, and does what comes then.
fn check(world: &mut World, seed: u64) {
    let first = expected(&world.appended, &first_names());
    assert_eq!(written(world), first, "seed {seed}");
    let many = world.appended.len();
    put(world, 0, None);
    put(world, 1, Some("late"));
    put(world, 3, Some("newest"));
    (0..40).for_each(|_| world.append());
    // The faults of commits that are left over come first.
    for _ in 0..50 {
        world.act("last", |worker| {
            while worker.turn(Duration::ZERO)? {}
            worker.commit()
        });
    }
    let names = BTreeMap::from([(1, "late"), (2, "again"), (3, "newest"), (4, "old")]);
    let mut all = first;
    all.extend(expected(&world.appended[many..], &names));
    assert_eq!(written(world), all, "seed {seed}: what came before keeps what it found");
}

#[test]
fn records_find_the_table_as_it_was_at_its_end_however_runners_end() {
    play(0..150, 200, new, check);
}

#[test]
fn without_faults_every_record_finds_its_row() {
    let mut world = new(1);
    world.start("last");
    (0..50).for_each(|_| world.append());
    world.act("last", |worker| {
        while worker.turn(Duration::ZERO)? {}
        worker.commit()
    });
    check(&mut world, 1);
}

#[test]
fn a_runner_that_starts_again_reads_the_table_as_it_is_then() {
    let mut world = new(1);
    world.work_and_leave();
    put(&world, 2, None);
    world.append_to(None, "k", json!({"k": "k", "g": 2, "id": 7}));
    world.start("b");
    world.act("b", |worker: &mut Runner| {
        while worker.turn(Duration::ZERO)? {}
        worker.commit()
    });
    assert_eq!(written(&world).get(&7), Some(&None), "{:?}", written(&world));
}
