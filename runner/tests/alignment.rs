//! Two partitions of which one covers ten times as much event time a record, in a plan of two stages: without a limit the
//! next stage keeps all windows between them open.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_engine::Program;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Routes, Status, Worker};

const DAY: i64 = 86_400_000;
/// Records of each partition.
const RECORDS: i64 = 30_000;
/// Milliseconds from one record of a partition to the next: 100 days in all, and 1000.
const STEPS: [i64; 2] = [100 * DAY / RECORDS, 1000 * DAY / RECORDS];

struct World {
    broker: Broker,
    metrics: Arc<Metrics>,
    worker: Worker<MemoryConnector, MemoryStore>,
    status: Arc<Status>,
}

/// Windows of a day over another key than the record's.
fn world(drift: &str) -> World {
    let manifest = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: days}}
spec:
  source: {{kafka: {{bootstrapServers: ['memory:1'], topics: [in]}}}}
  schema: {{fields: [{{name: g, type: int64}}, {{name: t, type: int64}}]}}
  eventTime: {{field: t{drift}}}
  operators: [{{name: days, window: {{tumbling: {{size: 1d}}, keys: [g], aggregates: [{{name: n, function: count}}]}}}}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
  checkpoint: {{interval: 10m}}
"
    );
    let manifests = millrace_plan::load(&manifest).unwrap();
    let plan = Arc::new(millrace_plan::validate(&manifests[0], &[]).unwrap());
    let broker = Broker::new();
    for topic in plan.topics() {
        broker.create_topic(topic.as_str(), 2);
    }
    for topic in Routes::of(&plan).names() {
        broker.create_topic(topic.as_str(), 2);
    }
    let connector = MemoryConnector::new(broker.clone(), plan.topics(), plan.source.group.clone());
    let metrics = Arc::new(Metrics::register(&plan, &prometheus::Registry::new()).unwrap());
    let status = Arc::new(Status::new("a"));
    let program = Arc::new(Program::compile(plan).unwrap());
    let (counts, told) = (Arc::clone(&metrics), Arc::clone(&status));
    let worker = Worker::open(connector, MemoryStore::new(), program, counts, told, "a").unwrap();
    World {
        broker,
        metrics,
        worker,
        status,
    }
}

impl World {
    fn fill(&self) {
        for (partition, step) in (0..).zip(STEPS) {
            for at in 0..RECORDS {
                let value = format!(r#"{{"g":{},"t":{}}}"#, at % 3, at * step);
                let record = Delivered {
                    value: Some(value.as_bytes()),
                    timestamp: 1,
                    ..Delivered::default()
                };
                self.broker.append("in", Some(partition), record).unwrap();
            }
        }
    }

    /// Days by which the second partition is ahead, while the first has records left.
    fn drift(&self) -> i64 {
        let mut times = [0; 2];
        if self
            .worker
            .positions()
            .any(|(of, position)| (of.topic, of.number, position) == (0, 0, RECORDS))
        {
            return 0;
        }
        for (partition, position) in self.worker.positions().filter(|(partition, _)| partition.topic == 0) {
            times[partition.number as usize] = position * STEPS[partition.number as usize];
        }
        (times[1] - times[0]) / DAY
    }

    /// Works to the end; returns by how many days the second partition was ahead at most, and how many partitions were
    /// paused at one time at most.
    fn work(&mut self) -> (i64, f64) {
        let (mut drift, mut paused) = (0, 0.0_f64);
        while self.worker.turn(Duration::ZERO).unwrap() {
            drift = drift.max(self.drift());
            paused = paused.max(self.metrics.paused.get());
            self.worker.commit().unwrap();
        }
        (drift, paused)
    }

    fn results(&self) -> Vec<Vec<u8>> {
        let records = self.broker.read_committed("out").unwrap().into_iter();
        let mut results: Vec<Vec<u8>> = records.map(|(_, record)| record.value.clone().unwrap()).collect();
        results.sort();
        results
    }

    /// Windows that are open once the slow partition has come so far.
    fn open_windows_at(mut self, records: i64) -> f64 {
        let slow = |worker: &Worker<_, _>| worker.positions().find(|(of, _)| (of.topic, of.number) == (0, 0));
        while slow(&self.worker).is_none_or(|(_, position)| position < records) {
            assert!(self.worker.turn(Duration::ZERO).unwrap());
            self.worker.commit().unwrap();
        }
        self.worker.leave().unwrap();
        self.metrics.state_groups.get()
    }
}

#[test]
fn a_partition_that_runs_ahead_waits_and_results_are_the_same() {
    let (mut free, mut aligned) = (world(""), world(", maxDrift: 20d"));
    free.fill();
    aligned.fill();
    let (drift, paused) = free.work();
    assert!(
        drift > 600 && paused == 0.0,
        "without a limit it is far ahead: {drift} days"
    );
    let (drift, paused) = aligned.work();
    // A batch of 4096 records, which is taken as a whole, is 137 days of the fast partition.
    assert!(drift <= 20 + 137 && paused == 1.0, "{drift} days, {paused} paused");
    let report = aligned.status.report();
    assert!(
        report.partitions.iter().all(|of| !of.paused),
        "nobody waits at the end: {report:?}"
    );
    let positions: Vec<i64> = aligned
        .worker
        .positions()
        .filter(|(of, _)| of.topic == 0)
        .map(|(_, at)| at)
        .collect();
    assert_eq!(positions, [RECORDS; 2], "all is read");
    for world in [&mut free, &mut aligned] {
        world.worker.finish().unwrap();
    }
    assert_eq!(free.results(), aligned.results());
    assert_eq!(free.results().len(), 3 * 1000, "three groups of every day");
}

#[test]
fn the_next_stage_keeps_few_windows_open() {
    let open = |drift| {
        let world = world(drift);
        world.fill();
        world.open_windows_at(RECORDS / 2)
    };
    let (free, aligned) = (open(""), open(", maxDrift: 20d"));
    assert!(free > 3.0 * 250.0, "{free} windows without a limit");
    assert!(aligned < 3.0 * 170.0, "{aligned} windows with one");
}
