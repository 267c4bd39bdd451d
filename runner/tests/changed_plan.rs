//! A spec that changes while a pipeline lives, on the in-memory broker: the next worker goes on from what the one before
//! has committed, exactly, or does not go on at all.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_engine::Program;
use millrace_report::Report;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Error, Status, Worker};

type Runner = Worker<MemoryConnector, MemoryStore>;

const GROUP: &str = "millrace-default-totals";
const TOTALS: &str = "{name: totals, groupBy: {keys: [k], aggregates: [{name: n, function: count}, {name: s, function: sum, expression: v}]}}";

/// A broker with two input partitions, and the volume.
struct World {
    broker: Broker,
    store: MemoryStore,
    written: u64,
}

impl World {
    fn new() -> Self {
        let broker = Broker::new();
        for (topic, partitions) in [("in", 2), ("out", 1), ("totals-dead-letters", 1)] {
            broker.create_topic(topic, partitions);
        }
        Self {
            broker,
            store: MemoryStore::new(),
            written: 0,
        }
    }

    /// Appends `count` records with the keys `k0` to `k4` in turn.
    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let (key, value) = (format!("k{}", self.written % 5), self.written);
            let json = format!(r#"{{"k":"{key}","v":{value}}}"#);
            let record = Delivered {
                key: Some(key.as_bytes()),
                value: Some(json.as_bytes()),
                timestamp: 1,
                headers: &[],
            };
            self.broker.append("in", None, record).unwrap();
            self.written += 1;
        }
    }

    fn open(&self, operators: &str, on_state_change: &str) -> (Runner, Arc<Status>) {
        let yaml = format!(
            "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: totals}}
spec:
  source: {{kafka: {{bootstrapServers: ['memory:1'], topics: [in]}}}}
  schema: {{fields: [{{name: k, type: string}}, {{name: v, type: int64}}]}}
  key: [k]
  operators: [{operators}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
  {on_state_change}
"
        );
        let manifests = millrace_plan::load(&yaml).unwrap();
        let plan = Arc::new(millrace_plan::validate(&manifests[0], &[]).unwrap());
        let (topics, group) = (plan.source.topics.clone(), plan.source.group.clone());
        let connector = MemoryConnector::new(self.broker.clone(), topics, group);
        let metrics = Arc::new(Metrics::register(&plan, &prometheus::Registry::new()).unwrap());
        let status = Arc::new(Status::new("runner-0"));
        let program = Arc::new(Program::compile(plan).unwrap());
        let told = Arc::clone(&status);
        let worker = Worker::open(connector, self.store.clone(), program, metrics, told, "runner-0").unwrap();
        (worker, status)
    }

    /// Lets a worker with these operators do all there is, commit and leave. Returns its last report.
    fn run(&self, operators: &str, on_state_change: &str) -> Result<Report, Error> {
        // A worker that stopped left no word.
        self.broker.expire_crashed_members();
        let (mut worker, status) = self.open(operators, on_state_change);
        while worker.turn(Duration::ZERO)? {}
        worker.leave()?;
        Ok(status.report())
    }

    fn why_it_stops(&self, operators: &str, on_state_change: &str) -> String {
        match self.run(operators, on_state_change) {
            Err(Error::Stop(why)) => why,
            other => panic!("must stop, not {other:?}"),
        }
    }

    /// All committed results as `key: n, s`, sorted.
    fn results(&self) -> Vec<(String, u64, u64)> {
        let records = self.broker.read_committed("out").unwrap();
        let result = |(_, record): (i32, Arc<millrace_connect::memory::StoredRecord>)| {
            let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            let number = |name: &str| value[name].as_u64().unwrap();
            (value["k"].as_str().unwrap().to_owned(), number("n"), number("s"))
        };
        let mut results: Vec<_> = records.into_iter().map(result).collect();
        results.sort();
        results
    }

    fn committed_metadata(&self) -> Vec<String> {
        let committed = |partition| self.broker.committed(GROUP, "in", partition).unwrap().metadata;
        (0..2).map(committed).collect()
    }
}

/// What one run over the values `from..to` writes that knows of the values `since..from`.
fn expected(since: u64, from: u64, to: u64) -> Vec<(String, u64, u64)> {
    let result = |value: u64| {
        let seen = (since..=value).filter(|other| other % 5 == value % 5);
        let (n, s) = seen.fold((0, 0), |(n, s), value| (n + 1, s + value));
        (format!("k{}", value % 5), n, s)
    };
    let mut results: Vec<_> = (from..to).map(result).collect();
    results.sort();
    results
}

#[test]
fn counts_stay_exact_while_the_steps_around_them_change() {
    let mut world = World::new();
    let around = [
        TOTALS.to_owned(),
        format!("{{name: all, filter: {{where: v >= 0}}}}, {TOTALS}"),
        format!("{TOTALS}, {{name: shape, map: {{keep: [k, n, s]}}}}"),
        format!("{{name: all, filter: {{where: v > -1}}}}, {TOTALS}, {{name: last, filter: {{where: n > 0}}}}"),
    ];
    for operators in &around {
        world.append(50);
        world.run(operators, "").unwrap();
    }
    assert_eq!(world.results(), expected(0, 0, 200));
}

#[test]
fn state_that_the_new_spec_has_no_use_for_stops_the_runner_and_nothing_is_committed() {
    let mut world = World::new();
    world.append(20);
    world.run(TOTALS, "").unwrap();
    let before = world.committed_metadata();
    world.append(20);
    let other = TOTALS.replace("totals", "sums");
    let why = world.why_it_stops(&other, "");
    assert!(
        why.contains("state of operator `totals`: the spec no longer has this operator"),
        "{why}"
    );
    assert!(why.contains("onStateChange: {drop: [totals]}"), "{why}");
    let why = world.why_it_stops(&other, "onStateChange: {drop: [sums]}");
    assert!(why.contains("`totals`"), "{why}");
    assert_eq!(world.committed_metadata(), before);

    world.run(TOTALS, "").unwrap();
    assert_eq!(
        world.results(),
        expected(0, 0, 40),
        "the change taken back, nothing is lost or twice"
    );
}

#[test]
fn dropped_state_begins_anew_at_the_record_where_the_old_one_ended() {
    let mut world = World::new();
    world.append(20);
    world.run(TOTALS, "").unwrap();
    world.append(20);
    let other = TOTALS.replace("totals", "sums");
    world.run(&other, "onStateChange: {drop: [totals]}").unwrap();
    let mut both = expected(0, 0, 20);
    both.extend(expected(20, 20, 40));
    both.sort();
    assert_eq!(world.results(), both);
}

#[test]
fn dropped_state_is_gone_from_partitions_without_new_records_too() {
    let mut world = World::new();
    world.append(20);
    world.run(TOTALS, "").unwrap();
    let other = TOTALS.replace("totals", "sums");
    world.run(&other, "onStateChange: {drop: [totals]}").unwrap();
    world.append(5);
    world.run(&other, "").unwrap();
    let last = expected(20, 20, 25);
    assert!(
        last.iter().all(|result| world.results().contains(result)),
        "{:?}",
        world.results()
    );
}

#[test]
fn a_pipeline_that_became_stateless_needs_neither_its_checkpoints_nor_its_volume() {
    let mut world = World::new();
    world.append(20);
    world.run(TOTALS, "").unwrap();
    assert!(
        world
            .committed_metadata()
            .iter()
            .all(|it| it.contains(';') && it != "mr1;-")
    );
    // An empty directory is all that a stateless pipeline gets.
    world.store = MemoryStore::new();
    let pass = "{name: pass, map: {keep: [k], set: [{field: n, expression: v}, {field: s, expression: v}]}}";
    let why = world.why_it_stops(pass, "");
    assert!(why.contains("name its operators in `onStateChange.drop`"), "{why}");

    world.run(pass, "onStateChange: {drop: [totals]}").unwrap();
    assert_eq!(
        world.committed_metadata(),
        ["mr1;-", "mr1;-"],
        "committed although no record came"
    );
    world.append(5);
    world.run(pass, "").unwrap();
    assert_eq!(world.results().len(), 25);
}

#[test]
fn a_stateless_pipeline_goes_on_in_a_directory_that_knows_nothing() {
    let mut world = World::new();
    let pass = "{name: pass, map: {keep: [k], set: [{field: n, expression: v}, {field: s, expression: v}]}}";
    for _ in 0..3 {
        world.append(10);
        world.store = MemoryStore::new();
        world.run(pass, "").unwrap();
    }
    assert_eq!(world.results().len(), 30);
}
