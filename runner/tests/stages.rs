//! Two stages with an internal topic between them, on the in-memory broker, crashed, fenced and rebalanced at random: what
//! readers see must be what a count over all input says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use world::{PARTITIONS, Random, Runner, World, play};

mod world;

/// Windows of ten seconds over another field than the record key.
const WINDOWS: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: windows}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema:
    fields:
      - {name: k, type: string}
      - {name: g, type: int64}
      - {name: v, type: int64}
      - {name: at, type: int64}
  key: [k]
  eventTime: {field: at, maxOutOfOrderness: 10s}
  operators:
    - name: positive
      filter: {where: v >= 0}
    - name: windows
      window:
        tumbling: {size: 10s}
        keys: [g]
        aggregates:
          - {name: n, function: count}
          - {name: total, function: sum, expression: v}
  sinks: [{name: out, kafka: {topic: out}}]
";

/// Time goes on by chance, for all keys together, and records are up to ten seconds out of order.
fn record(random: &mut Random) -> (String, Value) {
    let now = random.clock(700);
    let key = format!("k{}", random.below(7));
    let value = json!({
        "k": key,
        "g": random.below(3),
        "v": random.below(1000) as i64 - 200,
        "at": now - random.below(10_000) as i64,
    });
    (key, value)
}

fn new(seed: u64) -> World {
    World::new(seed, WINDOWS, record)
}

/// The same with rows that cross one by one: a topic for late records needs them.
fn one_by_one(seed: u64) -> World {
    let late = "  lateRecords: {kafka: {topic: late}}\n  sinks:";
    World::new(seed, &WINDOWS.replacen("  sinks:", late, 1), record)
}

/// Records of the internal topic that are still there: rows, and those that stand for several.
fn crossed(world: &World) -> (usize, usize) {
    let stored = world.broker.read_committed("millrace-default-windows-windows").unwrap();
    let begins = |with: u8| {
        let values = stored.iter().filter_map(|(_, record)| record.value.as_deref());
        values.filter(|value| value.first() == Some(&with)).count()
    };
    (begins(b'{'), begins(b'p'))
}

/// Group and start of a window, with count and sum.
type Windows = BTreeMap<(i64, i64), (i64, i64)>;

/// What must come out of all records that are older than `before`.
fn expected(world: &World, before: i64) -> Windows {
    let mut windows = Windows::new();
    let whole = |record: &Value, name: &str| record[name].as_i64().unwrap();
    for record in &world.appended {
        let start = whole(record, "at").div_euclid(10_000) * 10_000;
        if whole(record, "v") >= 0 && start < before {
            let (n, total) = windows.entry((whole(record, "g"), start)).or_default();
            *n += 1;
            *total += whole(record, "v");
        }
    }
    windows
}

fn written(world: &World) -> Windows {
    let mut windows = Windows::new();
    for (_, record) in world.broker.read_committed("out").unwrap() {
        let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let whole = |name: &str| value[name].as_i64().unwrap();
        assert_eq!(value["is_final"], json!(true));
        assert_eq!(record.key.as_deref(), Some(value["g"].to_string().as_bytes()));
        let window = (whole("g"), whole("window_start"));
        let before = windows.insert(window, (whole("n"), whole("total")));
        assert_eq!(before, None, "{window:?} came out twice");
    }
    windows
}

/// Closes every window: each partition gets a record far in the future.
fn close(world: &mut World) {
    let future: i64 = 1 << 40;
    for partition in 0..i32::from(PARTITIONS) {
        let value = json!({"k": "end", "g": 0, "v": 1, "at": future});
        world.append_to(Some(partition), "end", value);
    }
    world.settle();
}

#[test]
fn windows_over_another_key_are_those_of_a_run_without_faults() {
    play(0..300, 250, new, |world, seed| {
        close(world);
        assert_eq!(written(world), expected(world, 1 << 39), "seed {seed}");
    });
}

#[test]
fn partitions_that_wait_for_others_are_read_to_their_end_however_runners_end() {
    let manifest = WINDOWS.replace("maxOutOfOrderness: 10s", "maxOutOfOrderness: 10s, maxDrift: 1s");
    let mut paused = 0;
    for seed in 0..100 {
        let mut world = World::new(seed, &manifest, record);
        for _ in 0..250 {
            world.chaos();
            paused += usize::from(world.is_any_paused());
        }
        world.settle();
        close(&mut world);
        assert_eq!(written(&world), expected(&world, 1 << 39), "seed {seed}");
    }
    assert!(paused > 100, "partitions had to wait {paused} times");
}

#[test]
fn windows_over_rows_that_cross_one_by_one_are_the_same() {
    play(0..100, 250, one_by_one, |world, seed| {
        close(world);
        assert_eq!(written(world), expected(world, 1 << 39), "seed {seed}");
    });
}

/// One runner, which finds `together` records whenever it looks.
fn without_faults(mut world: World, together: usize) -> (Windows, (usize, usize)) {
    world.start("a");
    for _ in 0..250 / together {
        (0..together).for_each(|_| world.append());
        world.act("a", |worker| {
            while worker.turn(Duration::ZERO)? {}
            Ok(())
        });
    }
    world.act("a", Runner::commit);
    let crossed = crossed(&world);
    close(&mut world);
    let windows = written(&world);
    assert_eq!(windows, expected(&world, 1 << 39));
    assert!(windows.len() > 3, "{windows:?}");
    (windows, crossed)
}

#[test]
fn without_faults_every_window_comes_out_once_combined_or_not() {
    let (few, (rows, partials)) = without_faults(new(1), 5);
    assert!(rows > 0, "few rows cross one by one: {rows} {partials}");
    let (many, (rows, partials)) = without_faults(new(1), 125);
    assert!(partials > 0, "many rows are combined: {rows} {partials}");
    let (single, (rows, partials)) = without_faults(one_by_one(1), 125);
    assert!(rows > 100 && partials == 0, "{rows} {partials}");
    assert_eq!((&few, &many), (&single, &single));
}

#[test]
fn a_partition_that_has_had_no_record_holds_every_window_back() {
    let mut world = new(2);
    world.start("a");
    for at in [1_000, 50_000, 90_000] {
        world.append_to(Some(0), "k", json!({"k": "k", "g": 1, "v": 1, "at": at}));
    }
    world.settle();
    assert_eq!(written(&world), Windows::new());
    close(&mut world);
    assert_eq!(written(&world), expected(&world, 1 << 39));
}
