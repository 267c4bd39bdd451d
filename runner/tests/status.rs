//! What a worker says of itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, CommitOutcome, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_engine::Program;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Status, Worker};

const MANIFEST: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: totals}
spec:
  source: {kafka: {bootstrapServers: ['memory:1'], topics: [in]}}
  schema: {fields: [{name: k, type: string}, {name: t, type: int64}]}
  key: [k]
  eventTime: {field: t, maxOutOfOrderness: 10ms}
  operators: [{name: totals, groupBy: {keys: [k], aggregates: [{name: n, function: count}]}}]
  sinks: [{name: one, kafka: {topic: one}}, {name: two, kafka: {topic: two}}]
  # Commits are the test's own.
  checkpoint: {interval: 10m}
";

struct World {
    broker: Broker,
    store: MemoryStore,
    status: Arc<Status>,
    worker: Worker<MemoryConnector, MemoryStore>,
}

fn world() -> World {
    let broker = Broker::new();
    for (topic, partitions) in [("in", 2), ("one", 1), ("two", 1), ("totals-dead-letters", 1)] {
        broker.create_topic(topic, partitions);
    }
    let manifests = millrace_plan::load(MANIFEST).unwrap();
    let plan = Arc::new(millrace_plan::validate(&manifests[0], &[]).unwrap());
    let (topics, group) = (plan.source.topics.clone(), plan.source.group.clone());
    let connector = MemoryConnector::new(broker.clone(), topics, group);
    let metrics = Arc::new(Metrics::register(&plan, &prometheus::Registry::new()).unwrap());
    let (status, store) = (Arc::new(Status::new("runner-0")), MemoryStore::new());
    let program = Arc::new(Program::compile(plan).unwrap());
    let told = Arc::clone(&status);
    let worker = Worker::open(connector, store.clone(), program, metrics, told, "runner-0").unwrap();
    World {
        broker,
        store,
        status,
        worker,
    }
}

impl World {
    fn append(&self, partition: i32, value: &str) {
        let record = Delivered {
            key: Some(b"x"),
            value: Some(value.as_bytes()),
            timestamp: 1,
            headers: &[],
        };
        self.broker.append("in", Some(partition), record).unwrap();
    }

    fn work(&mut self) {
        while self.worker.turn(Duration::ZERO).unwrap() {}
    }

    /// Leaves the group, which publishes once more, and returns what was published.
    fn last_report(self) -> millrace_report::Report {
        self.worker.leave().unwrap();
        self.status.report()
    }
}

#[test]
fn a_report_says_where_each_partition_stands() {
    let mut world = world();
    for time in [100, 300, 200] {
        world.append(0, &format!(r#"{{"k":"x","t":{time}}}"#));
    }
    world.append(1, "no JSON");
    world.work();
    let report = world.last_report();
    assert_eq!(
        (report.runner.as_str(), report.read, report.written),
        ("runner-0", 4, 6),
        "two sinks"
    );
    assert_eq!((report.late, report.dead, report.failed_commits), (0, 1, 0));
    assert!(report.started_at > 0 && report.at >= report.started_at);
    assert!(report.committed_at.unwrap() >= report.started_at);
    assert_eq!((report.uncommitted_since, &report.trouble), (None, &None));

    let [first, second] = &report.partitions[..] else {
        unreachable!("the topic has two partitions: {report:?}")
    };
    assert_eq!((first.topic.as_str(), first.partition, first.position), ("in", 0, 3));
    assert_eq!(
        (first.read, first.lag_records, first.watermark),
        (3, Some(0), Some(300 - 10 - 1))
    );
    assert_eq!((first.stage, &first.held_back_by), (0, &None));
    assert_eq!(first.committed, Some(3));
    assert_eq!(first.committed_at.map(|at| at >= report.started_at), Some(true));
    assert!(first.checkpoint.as_ref().unwrap().starts_with("3-"), "{first:?}");
    assert!(first.checkpoint_bytes.unwrap() > 0);
    assert_eq!(
        (second.partition, second.read, second.watermark),
        (1, 1, None),
        "nothing but a bad record"
    );
}

#[test]
fn what_waits_for_a_commit_is_told_with_its_age() {
    let mut world = world();
    world.append(0, r#"{"k":"x","t":1}"#);
    world.work();
    let trouble = world.status.report().trouble;
    assert_eq!(trouble, None);
    world.worker.turn(Duration::ZERO).unwrap();
    let before = world.status.report();
    let report = world.last_report();
    assert_eq!(before.committed_at, None);
    assert_eq!(report.uncommitted_since, None);
    assert!(report.committed_at.is_some());
}

#[test]
fn a_disk_that_refuses_is_trouble_until_a_checkpoint_is_saved() {
    let mut world = world();
    world.append(0, r#"{"k":"x","t":1}"#);
    world.work();
    world.store.fail_next_save();
    world.worker.commit().unwrap();
    let trouble = world.status.report().trouble.unwrap();
    assert_eq!(trouble.reason, "CheckpointFailed");
    assert!(!world.status.is_well());
    world.worker.commit().unwrap();
    assert!(world.status.is_well());
}

#[test]
fn a_failed_commit_is_trouble_until_one_succeeds() {
    let mut world = world();
    world.append(0, r#"{"k":"x","t":1}"#);
    world.work();
    world.broker.fail_next_commit(CommitOutcome::BeforeIndefinite);
    world.worker.commit().unwrap();
    let trouble = world.status.report().trouble.unwrap();
    assert_eq!(trouble.reason, "CommitFailed");
    world.work();
    world.worker.commit().unwrap();
    let report = world.last_report();
    assert_eq!(
        (report.trouble, report.failed_commits, report.read),
        (None, 1, 2),
        "the record is read again"
    );
    assert_eq!(report.partitions[0].read, 2);
}
