//! Which partition holds event time back, as a runner of two stages says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_engine::Program;
use millrace_report::{PartitionName, Report};
use millrace_runner::metrics::Metrics;
use millrace_runner::{Routes, Status, Worker};

const MANIFEST: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: counts}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema: {fields: [{name: k, type: string}, {name: g, type: string}, {name: t, type: int64}]}
  key: [k]
  eventTime: {field: t}
  operators: [{name: counts, window: {tumbling: {size: 1s}, keys: [g], aggregates: [{name: n, function: count}]}}]
  sinks: [{name: out, kafka: {topic: out}}]
  # Commits are the test's own.
  checkpoint: {interval: 10m}
";

struct World {
    broker: Broker,
    program: Arc<Program>,
    store: MemoryStore,
}

fn world() -> World {
    let manifests = millrace_plan::load(MANIFEST).unwrap();
    let plan = millrace_plan::validate(&manifests[0], &[]).unwrap();
    let broker = Broker::new();
    for topic in plan.topics() {
        broker.create_topic(topic.as_str(), 3);
    }
    for topic in Routes::of(&plan).names() {
        broker.create_topic(topic.as_str(), 3);
    }
    World {
        broker,
        program: Arc::new(Program::compile(Arc::new(plan)).unwrap()),
        store: MemoryStore::new(),
    }
}

impl World {
    fn append(&self, partition: i32, time: i64) {
        let value = format!(r#"{{"k":"x","g":"y","t":{time}}}"#);
        let record = Delivered {
            key: Some(b"x"),
            value: Some(value.as_bytes()),
            timestamp: 1,
            ..Delivered::default()
        };
        self.broker.append("in", Some(partition), record).unwrap();
    }

    /// A runner that does all there is to do and leaves: what it said last, and its metrics.
    fn report(&self) -> (Report, String) {
        let plan = self.program.plan();
        let connector = MemoryConnector::new(self.broker.clone(), plan.topics(), plan.source.group.clone());
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(Metrics::register(plan, &registry).unwrap());
        let (program, status) = (Arc::clone(&self.program), Arc::new(Status::new("a")));
        let told = Arc::clone(&status);
        let mut worker = Worker::open(connector, self.store.clone(), program, metrics, told, "a").unwrap();
        for _ in 0..3 {
            while worker.turn(Duration::ZERO).unwrap() {}
            worker.commit().unwrap();
        }
        worker.leave().unwrap();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("stream_watermark_held_back_by{"));
        (status.report(), lines.collect::<Vec<_>>().join("\n"))
    }
}

fn source(partition: i32) -> Option<PartitionName> {
    Some(PartitionName {
        topic: "in".to_owned(),
        partition,
    })
}

#[test]
fn the_second_stage_names_the_source_partition_that_holds_it_back() {
    let world = world();
    // One without a record at all, which is not idle yet; then the slowest; then the next.
    for (records, slowest, watermark) in [
        (vec![(0, 5_000), (1, 9_000)], 2, None),
        (vec![(2, 7_000)], 0, Some(4_999)),
        (vec![(0, 8_000)], 2, Some(6_999)),
    ] {
        records
            .iter()
            .for_each(|(partition, time)| world.append(*partition, *time));
        let (report, metric) = world.report();
        let second: Vec<_> = report.partitions.iter().filter(|of| of.stage == 1).collect();
        assert_eq!(second.len(), 3, "{report:?}");
        for of in second {
            assert_eq!(
                (&of.held_back_by, of.watermark),
                (&source(slowest), watermark),
                "{of:?}"
            );
        }
        let label = format!(r#"partition="{slowest}""#);
        assert!(metric.contains(&label) && metric.lines().count() == 1, "{metric}");
    }
}
