//! Two streams joined through an internal topic, on the in-memory broker, crashed, fenced and rebalanced at random: what
//! readers see must be all pairs of all records, and each record that has none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use world::{PARTITIONS, Random, Runner, World, play};

mod world;

/// Both sides by another field than the record key, with disorder of their own.
const WITHIN: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: joined}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema:
    fields:
      - {name: k, type: string}
      - {name: g, type: int64, nullable: true}
      - {name: v, type: int64}
      - {name: at, type: int64}
  key: [k]
  eventTime: {field: at, maxOutOfOrderness: 10s}
  operators:
    - name: positive
      filter: {where: v >= 0}
    - name: pairs
      join:
        stream:
          name: other
          source: {kafka: {topics: [other]}}
          schema:
            fields:
              - {name: group, type: int64, nullable: true, path: g}
              - {name: v, type: int64}
              - {name: at, type: timestamp}
          eventTime: {field: at, maxOutOfOrderness: 15s}
        match: [{field: g, equals: group}]
        type: outer
        within: {before: 4s, after: 2s}
        fields: [{field: v, as: r}]
  sinks: [{name: out, kafka: {topic: out}}]
";

/// The same rows in windows; results change partitions once more.
const WINDOWS: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: joined}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema:
    fields:
      - {name: k, type: string}
      - {name: g, type: int64, nullable: true}
      - {name: v, type: int64}
      - {name: at, type: int64}
  key: [k]
  eventTime: {field: at, maxOutOfOrderness: 10s}
  operators:
    - name: positive
      filter: {where: v >= 0}
    - name: pairs
      join:
        stream:
          name: other
          source: {kafka: {topics: [other]}}
          schema: {fields: [{name: g, type: int64, nullable: true}, {name: v, type: int64}, {name: at, type: int64}]}
          eventTime: {field: at, maxOutOfOrderness: 15s}
        match: [{field: g}]
        window: {tumbling: {size: 5s}}
        fields: [{field: v, as: r}]
    - name: counts
      window:
        tumbling: {size: 5s}
        keys: [k]
        aggregates: [{name: n, function: count}, {name: total, function: sum, expression: v + r}]
  sinks: [{name: out, kafka: {topic: out}}]
";

/// Time goes on by chance, for all keys and both streams together. One in three records is of the other stream.
fn record(random: &mut Random) -> (String, Value) {
    let now = random.clock(700);
    let right = random.below(3) == 0;
    let key = format!("k{}", random.below(7));
    let value = json!({
        "k": key,
        "right": right,
        "g": (random.below(10) > 0).then_some(random.below(3)),
        "v": random.below(1 << 30) as i64 - if right { 0 } else { 1 << 27 },
        "at": now - random.below(if right { 15_000 } else { 10_000 }) as i64,
    });
    (key, value)
}

fn world(seed: u64, manifest: &str) -> World {
    let mut world = World::new(seed, manifest, record);
    world.topic_of = |value| match value["right"] == json!(true) {
        true => "other",
        false => "in",
    };
    world
}

fn whole(record: &Value, name: &str) -> Option<i64> {
    record[name].as_i64()
}

/// Far ahead of all records.
const FUTURE: i64 = 1 << 40;

/// Moves time on: each partition of both topics gets a record far in the future, which matches nothing.
fn close(world: &mut World) {
    for partition in 0..i32::from(PARTITIONS) {
        for (right, g) in [(false, 7), (true, 8)] {
            let value = json!({"k": "end", "right": right, "g": g, "v": 1, "at": FUTURE});
            world.append_to(Some(partition), "end", value);
        }
    }
    world.settle();
}

/// Records that take part: of the stream, and of the other.
fn sides(world: &World) -> [Vec<&Value>; 2] {
    [false, true].map(|right| {
        let records = world
            .appended
            .iter()
            .filter(move |record| record["right"] == json!(right));
        let early = records.filter(|record| whole(record, "at").unwrap() < FUTURE);
        early.filter(|record| whole(record, "v").unwrap() >= 0).collect()
    })
}

fn equal(left: &Value, right: &Value) -> bool {
    whole(left, "g").is_some() && left["g"] == right["g"]
}

/// Group, left value, right value; and how often that comes out.
type Pairs = BTreeMap<(Option<i64>, Option<i64>, Option<i64>), usize>;

fn expected_pairs(world: &World) -> Pairs {
    let [lefts, rights] = sides(world);
    let matches = |left: &Value, right: &Value| {
        let apart = whole(right, "at").unwrap() - whole(left, "at").unwrap();
        equal(left, right) && (-4_000..=2_000).contains(&apart)
    };
    let mut pairs = Pairs::new();
    let mut add = |group, left, right| *pairs.entry((group, left, right)).or_default() += 1;
    for left in &lefts {
        let found: Vec<_> = rights.iter().filter(|right| matches(left, right)).collect();
        for right in &found {
            add(whole(left, "g"), whole(left, "v"), whole(right, "v"));
        }
        if found.is_empty() {
            add(whole(left, "g"), whole(left, "v"), None);
        }
    }
    for right in rights {
        if !lefts.iter().any(|left| matches(left, right)) {
            add(whole(right, "g"), None, whole(right, "v"));
        }
    }
    pairs
}

fn written(world: &World) -> Vec<(Value, Option<Vec<u8>>)> {
    let records = world.broker.read_committed("out").unwrap().into_iter();
    let read = |(_, record): (i32, std::sync::Arc<millrace_connect::memory::StoredRecord>)| {
        let value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        (value, record.key.clone())
    };
    records.map(read).collect()
}

fn written_pairs(world: &World) -> Pairs {
    let mut pairs = Pairs::new();
    for (value, key) in written(world) {
        assert_eq!(key.as_deref(), Some(value["g"].to_string().as_bytes()));
        let pair = (whole(&value, "g"), whole(&value, "v"), whole(&value, "r"));
        *pairs.entry(pair).or_default() += 1;
    }
    pairs
}

#[test]
fn pairs_of_two_streams_are_those_of_a_run_without_faults() {
    play(
        0..150,
        250,
        |seed| world(seed, WITHIN),
        |world, seed| {
            close(world);
            assert_eq!(written_pairs(world), expected_pairs(world), "seed {seed}");
        },
    );
}

fn played_without_faults(manifest: &str) -> World {
    let mut world = world(1, manifest);
    world.start("a");
    for _ in 0..50 {
        (0..5).for_each(|_| world.append());
        world.act("a", |worker| worker.turn(Duration::ZERO).map(drop));
    }
    world.act("a", Runner::commit);
    close(&mut world);
    world
}

#[test]
fn without_faults_every_pair_comes_out_once() {
    let world = played_without_faults(WITHIN);
    let pairs = written_pairs(&world);
    assert_eq!(pairs, expected_pairs(&world));
    let kind = |left: bool, right: bool| {
        pairs
            .keys()
            .filter(|pair| (pair.1.is_some(), pair.2.is_some()) == (left, right))
            .count()
    };
    assert!(
        kind(true, true) > 10 && kind(true, false) > 10 && kind(false, true) > 10,
        "{pairs:?}"
    );
}

/// Key and start of a window, with count and sum of pairs.
type Counts = BTreeMap<(String, i64), (i64, i64)>;

fn expected_counts(world: &World) -> Counts {
    let [lefts, rights] = sides(world);
    let start = |record: &Value| whole(record, "at").unwrap().div_euclid(5_000) * 5_000;
    let mut counts = Counts::new();
    for left in &lefts {
        for right in rights
            .iter()
            .filter(|right| equal(left, right) && start(left) == start(right))
        {
            let key = (left["k"].as_str().unwrap().to_owned(), start(left));
            let (n, total) = counts.entry(key).or_default();
            *n += 1;
            *total += whole(left, "v").unwrap() + whole(right, "v").unwrap();
        }
    }
    counts
}

fn written_counts(world: &World) -> Counts {
    let mut counts = Counts::new();
    for (value, _) in written(world) {
        let key = (
            value["k"].as_str().unwrap().to_owned(),
            whole(&value, "window_start").unwrap(),
        );
        let before = counts.insert(key, (whole(&value, "n").unwrap(), whole(&value, "total").unwrap()));
        assert_eq!(before, None, "{value} came out twice");
    }
    counts
}

#[test]
fn windows_of_pairs_behind_another_change_of_key_are_those_of_a_run_without_faults() {
    play(
        0..100,
        250,
        |seed| world(seed, WINDOWS),
        |world, seed| {
            close(world);
            assert_eq!(written_counts(world), expected_counts(world), "seed {seed}");
        },
    );
}

#[test]
fn without_faults_every_window_of_pairs_comes_out_once() {
    let world = played_without_faults(WINDOWS);
    let counts = written_counts(&world);
    assert_eq!(counts, expected_counts(&world));
    assert!(counts.len() > 5, "{counts:?}");
}

#[test]
fn a_bad_record_of_the_other_stream_is_a_dead_letter_that_names_its_topic() {
    let mut world = world(3, WITHIN);
    world.append_to(Some(2), "k", json!({"right": true, "g": "three", "v": 1, "at": 5}));
    world.settle();
    let letters = world.broker.read_committed("joined-dead-letters").unwrap();
    let [(_, letter)] = letters.as_slice() else {
        unreachable!("one letter, not {letters:?}")
    };
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(found, _)| found == name);
        String::from_utf8(found.unwrap().1.clone().unwrap()).unwrap()
    };
    let found = ["topic", "partition", "offset", "operator", "reason"].map(|name| header(&format!("millrace.{name}")));
    assert_eq!(found, ["other", "2", "0", "source", "schema-mismatch"]);
}

#[test]
fn one_stream_alone_waits_for_the_other() {
    let mut world = world(2, WITHIN);
    for at in [1_000, 50_000, 90_000] {
        for partition in 0..i32::from(PARTITIONS) {
            let value = json!({"k": "k", "right": false, "g": 1, "v": 1, "at": at});
            world.append_to(Some(partition), "k", value);
        }
    }
    world.settle();
    assert_eq!(written_pairs(&world), Pairs::new(), "a match may still come");
    close(&mut world);
    assert_eq!(written_pairs(&world), expected_pairs(&world));
}

/// Topics that are read get other places in the plan then: what was told of event time must not go with the places.
#[test]
fn a_step_added_behind_a_join_with_another_key_leaves_its_state_and_its_time() {
    let (start, _) = WINDOWS.split_once("    - name: counts").unwrap();
    let without = format!("{start}  sinks: [{{name: out, kafka: {{topic: out}}}}]\n");
    let mut world = world(4, &without);
    (0..200).for_each(|_| world.append());
    // No partition is without records.
    let now = world
        .appended
        .iter()
        .filter_map(|record| whole(record, "at"))
        .max()
        .unwrap();
    for partition in 0..i32::from(PARTITIONS) {
        for right in [false, true] {
            let value = json!({"k": "k", "right": right, "g": null, "v": 1, "at": now});
            world.append_to(Some(partition), "k", value);
        }
    }
    world.settle();
    let before: i64 = written(&world).len() as i64;
    world.change(WINDOWS);
    (0..200).for_each(|_| world.append());
    close(&mut world);
    let expected: i64 = expected_counts(&world).values().map(|(n, _)| n).sum();
    let counts = written(&world).into_iter().filter_map(|(value, _)| whole(&value, "n"));
    let counted: i64 = counts.sum();
    assert!(before > 10 && counted > 10, "{before} and {counted}");
    assert_eq!(before + counted, expected);
}
