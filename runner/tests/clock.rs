//! What the clock of a runner does: state that expires by it, and windows of idle partitions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_engine::Program;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Status, Worker};

const WINDOW: &str = "{keys: [k], tumbling: {size: 1s}, aggregates: [{name: n, function: count}]}";
const COUNT: &str = "{keys: [k], aggregates: [{name: n, function: count}], ttl: {after: 10s, time: processing}}";
/// When the tests begin.
const BEGIN: i64 = 1_700_000_000_000;

/// A pipeline whose clock the test sets; commits are the test's own.
struct World {
    broker: Broker,
    store: MemoryStore,
    manifest: String,
    clock: Arc<AtomicI64>,
    read: i64,
    worker: Option<Worker<MemoryConnector, MemoryStore>>,
    metrics: Arc<Metrics>,
}

fn world(operator: &str, event_time: &str) -> World {
    let broker = Broker::new();
    for topic in ["in", "out", "idle-dead-letters"] {
        broker.create_topic(topic, 1);
    }
    let manifest = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: idle}}
spec:
  source: {{kafka: {{bootstrapServers: ['memory:1'], topics: [in]}}}}
  schema: {{fields: [{{name: k, type: string}}, {{name: t, type: int64}}]}}
  key: [k]
  eventTime: {event_time}
  operators: [{{name: step, {operator}}}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
  checkpoint: {{interval: 10m}}
"
    );
    let (store, clock) = (MemoryStore::new(), Arc::new(AtomicI64::new(BEGIN)));
    let (worker, metrics) = worker(&broker, &store, &manifest, &clock);
    World {
        broker,
        store,
        manifest,
        clock,
        read: 0,
        worker: Some(worker),
        metrics,
    }
}

fn worker(
    broker: &Broker,
    store: &MemoryStore,
    manifest: &str,
    clock: &Arc<AtomicI64>,
) -> (Worker<MemoryConnector, MemoryStore>, Arc<Metrics>) {
    let manifests = millrace_plan::load(manifest).unwrap();
    let plan = Arc::new(millrace_plan::validate(&manifests[0], &[]).unwrap());
    let connector = MemoryConnector::new(broker.clone(), plan.source.topics.clone(), plan.source.group.clone());
    let metrics = Arc::new(Metrics::register(&plan, &prometheus::Registry::new()).unwrap());
    let program = Arc::new(Program::compile(plan).unwrap());
    let (status, counted) = (Arc::new(Status::new("runner-0")), Arc::clone(&metrics));
    let clock = Arc::clone(clock);
    let worker = Worker::open(connector, store.clone(), program, counted, status, "runner-0").unwrap();
    (worker.with_clock(move || clock.load(Ordering::SeqCst)), metrics)
}

impl World {
    fn record(&mut self, time: i64) {
        let value = format!(r#"{{"k":"x","t":{time}}}"#);
        let record = Delivered {
            key: Some(b"x"),
            value: Some(value.as_bytes()),
            timestamp: 1,
            headers: &[],
        };
        self.broker.append("in", Some(0), record).unwrap();
    }

    /// Works until there is nothing to do.
    fn work(&mut self) {
        while self.worker.as_mut().unwrap().turn(Duration::ZERO).unwrap() {}
    }

    /// Lets so many milliseconds pass, second by second.
    fn pass(&mut self, millis: i64) {
        let end = self.clock.load(Ordering::SeqCst) + millis;
        while self.clock.load(Ordering::SeqCst) < end {
            let now = self.clock.load(Ordering::SeqCst);
            self.clock.store(end.min(now + 1_000), Ordering::SeqCst);
            self.work();
        }
    }

    /// Commits, and returns the counts that were written since the last call.
    fn committed(&mut self) -> Vec<i64> {
        self.worker.as_mut().unwrap().commit().unwrap();
        let (records, next) = self.broker.read_committed_from("out", 0, self.read).unwrap();
        self.read = next;
        let count = |value: &[u8]| serde_json::from_slice::<serde_json::Value>(value).unwrap()["n"].as_i64();
        let counts = records
            .iter()
            .map(|record| count(record.value.as_deref().unwrap()).unwrap());
        counts.collect()
    }

    /// The runner goes without a last commit, and another comes.
    fn crash(&mut self) {
        self.worker = None;
        self.broker.expire_crashed_members();
        let (worker, metrics) = worker(&self.broker, &self.store, &self.manifest, &self.clock);
        (self.worker, self.metrics) = (Some(worker), metrics);
        self.work();
    }
}

#[test]
fn the_last_window_of_an_idle_partition_closes_by_the_clock_and_stays_closed() {
    let mut world = world(&format!("window: {WINDOW}"), "{field: t, closeAfterIdle: 5s}");
    world.record(100);
    world.work();
    assert_eq!(world.committed(), [0i64; 0]);
    world.pass(4_900);
    assert_eq!(world.committed(), [0i64; 0], "not idle for long enough");
    world.pass(200);
    assert_eq!(world.committed(), [1]);
    world.crash();
    assert_eq!(world.committed(), [0i64; 0]);
    world.record(200);
    world.record(6_000);
    world.work();
    assert_eq!((world.metrics.late.total(), world.committed()), (1, Vec::new()));
}

#[test]
fn without_the_setting_the_last_window_stays_open() {
    let mut world = world(&format!("window: {WINDOW}"), "{field: t}");
    world.record(100);
    world.work();
    world.pass(60_000);
    assert_eq!(world.committed(), [0i64; 0]);
}

#[test]
fn what_closes_by_the_clock_and_was_not_committed_closes_again() {
    let mut world = world(&format!("window: {WINDOW}"), "{field: t, closeAfterIdle: 5s}");
    world.record(100);
    world.work();
    world.committed();
    world.pass(6_000);
    world.crash();
    assert_eq!(world.committed(), [0i64; 0]);
    world.pass(6_000);
    assert_eq!(world.committed(), [1]);
}

#[test]
fn time_in_which_nobody_looked_closes_no_window_before_the_records_that_waited() {
    let mut world = world(&format!("window: {WINDOW}"), "{field: t, closeAfterIdle: 5s}");
    world.record(100);
    world.work();
    world.record(200);
    world.clock.fetch_add(3_600_000, Ordering::SeqCst);
    world.work();
    world.pass(6_000);
    assert_eq!((world.committed(), world.metrics.late.total()), (vec![2], 0));
}

#[test]
fn a_group_is_forgotten_by_the_clock_and_a_restart_does_not_renew_it() {
    let mut world = world(&format!("groupBy: {COUNT}"), "{field: t}");
    world.record(1);
    world.record(1);
    world.work();
    world.pass(9_900);
    world.record(1);
    world.work();
    assert_eq!(world.committed(), [1, 2, 3]);
    world.pass(5_000);
    world.crash();
    world.pass(4_900);
    world.record(1);
    world.work();
    assert_eq!(world.committed(), [4]);
    world.pass(5_000);
    world.crash();
    world.pass(5_000);
    world.record(1);
    world.work();
    assert_eq!(world.committed(), [1]);
    assert_eq!(world.metrics.expired[0].get(), 1);
}
