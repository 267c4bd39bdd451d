//! Workers on the in-memory broker, crashed, fenced and rebalanced at random: what readers of committed records see must
//! be what one worker that never fails would have written.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, CommitOutcome, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_crds::manifest::Manifest;
use millrace_engine::Program;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Error, Status, Worker};

type Runner = Worker<MemoryConnector, MemoryStore>;

const PARTITIONS: u16 = 4;
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

/// Linear congruential numbers: the same seed plays the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The world of one seed.
struct World {
    broker: Broker,
    store: MemoryStore,
    program: Arc<Program>,
    workers: BTreeMap<&'static str, Runner>,
    random: Random,
    expected: BTreeMap<String, Vec<(u64, i64)>>,
    crashes: usize,
    lost_commits: usize,
    refused_saves: usize,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl World {
    fn new(seed: u64) -> Self {
        let object = yaml_serde::from_str(MANIFEST).unwrap();
        let plan = millrace_plan::validate(&Manifest::StreamPipeline(Box::new(object)), &[]).unwrap();
        let broker = Broker::new();
        for (topic, partitions) in [("in", PARTITIONS), ("out", 3), ("totals-dead-letters", 1)] {
            broker.create_topic(topic, partitions);
        }
        Self {
            broker,
            store: MemoryStore::new(),
            program: Arc::new(Program::compile(Arc::new(plan)).unwrap()),
            workers: BTreeMap::new(),
            random: Random(seed),
            expected: BTreeMap::new(),
            crashes: 0,
            lost_commits: 0,
            refused_saves: 0,
        }
    }

    fn append(&mut self) {
        let key = format!("k{}", self.random.below(KEYS));
        let value = self.random.below(1000) as i64 - 500;
        let json = format!(r#"{{"k":"{key}","v":{value}}}"#);
        let record = Delivered {
            key: Some(key.as_bytes()),
            value: Some(json.as_bytes()),
            timestamp: 1,
            headers: &[],
        };
        self.broker.append("in", None, record).unwrap();
        let results = self.expected.entry(key).or_default();
        let (n, total) = results.last().copied().unwrap_or_default();
        results.push((n + 1, total + value));
    }

    fn start(&mut self, name: &'static str) {
        let plan = self.program.plan();
        let connector = MemoryConnector::new(
            self.broker.clone(),
            plan.source.topics.clone(),
            plan.source.group.clone(),
        );
        let metrics = Arc::new(Metrics::register(plan, &prometheus::Registry::new()).unwrap());
        let (program, status) = (Arc::clone(&self.program), Arc::new(Status::new(name)));
        let worker = Worker::open(connector, self.store.clone(), program, metrics, status, name).unwrap();
        self.workers.insert(name, worker);
    }

    /// Lets one worker do something; one that was replaced or lost its broker ends, as its process would.
    fn act(&mut self, name: &'static str, action: impl FnOnce(&mut Runner) -> Result<(), Error>) {
        if let Some(worker) = self.workers.get_mut(name) {
            match action(worker) {
                Ok(()) => {}
                Err(Error::Stop(why)) => panic!("stopped: {why}"),
                Err(Error::Fenced(_) | Error::Away(_)) => drop(self.workers.remove(name)),
            }
        }
    }

    fn chaos(&mut self) {
        let name = NAMES[self.random.below(3) as usize];
        match self.random.below(22) {
            0 => {
                self.crashes += usize::from(self.workers.remove(name).is_some());
            }
            1 => self.broker.expire_crashed_members(),
            2 | 3 if !self.workers.contains_key(name) => self.start(name),
            4 => {
                let outcomes = [
                    CommitOutcome::BeforeIndefinite,
                    CommitOutcome::AfterIndefinite,
                    CommitOutcome::Aborted,
                ];
                self.broker.fail_next_commit(outcomes[self.random.below(3) as usize]);
                self.lost_commits += 1;
            }
            5 => {
                // A worker that stands still while its session ends, and then goes on: a zombie.
                let members = self.broker.members("millrace-default-totals");
                if !members.is_empty() {
                    let member = members[self.random.below(members.len() as u64) as usize];
                    self.broker.expire_member("millrace-default-totals", member);
                }
            }
            6 => {
                if let Some(worker) = self.workers.remove(name) {
                    // Leaving may fail as any commit may; then it is a crash.
                    let _ = worker.leave();
                }
            }
            20 => {
                self.store.fail_next_save();
                self.refused_saves += 1;
            }
            7..=9 => self.act(name, Runner::commit),
            10..=12 => (0..5).for_each(|_| self.append()),
            _ => self.act(name, |worker| worker.turn(Duration::ZERO).map(drop)),
        }
    }

    /// No more faults: all that was written must come out.
    fn settle(&mut self) {
        self.workers.clear();
        self.broker.expire_crashed_members();
        self.broker.expire_transactions();
        self.start("last");
        for _ in 0..100 {
            self.act("last", |worker| {
                while worker.turn(Duration::ZERO)? {}
                worker.commit()
            });
            if !self.workers.contains_key("last") {
                self.start("last");
            }
        }
    }

    /// A world in which one worker has committed results and is gone.
    fn with_committed_work(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.start("a");
        (0..20).for_each(|_| world.append());
        world.act("a", |worker| {
            while worker.turn(Duration::ZERO)? {}
            worker.commit()
        });
        world.workers.clear();
        world.broker.expire_crashed_members();
        world
    }

    /// Starts another worker, which must stop at once, and returns its reason.
    fn why_the_next_runner_stops(&mut self) -> String {
        self.start("b");
        let stopped = (0..10).find_map(|_| self.workers.get_mut("b").unwrap().turn(Duration::ZERO).err());
        let Some(Error::Stop(why)) = stopped else {
            panic!("must stop, not {stopped:?}")
        };
        why
    }

    fn written(&self) -> BTreeMap<String, Vec<(u64, i64)>> {
        let mut written: BTreeMap<String, Vec<(u64, i64)>> = BTreeMap::new();
        for (_, record) in self.broker.read_committed("out").unwrap() {
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
}

#[test]
fn committed_results_are_those_of_a_run_without_faults() {
    let mut faults = [0; 3];
    for seed in 0..500 {
        let mut world = World::new(seed);
        for _ in 0..250 {
            world.chaos();
        }
        world.settle();
        assert_eq!(world.written(), world.expected, "seed {seed}");
        let happened = [world.crashes, world.lost_commits, world.refused_saves];
        faults.iter_mut().zip(happened).for_each(|(sum, more)| *sum += more);
    }
    assert!(
        faults.iter().all(|count| *count > 1000),
        "crashes, lost commits and full disks must happen: {faults:?}"
    );
}

#[test]
fn a_run_without_faults_writes_every_result_once() {
    let mut world = World::new(1);
    world.start("a");
    for _ in 0..50 {
        (0..5).for_each(|_| world.append());
        world.act("a", |worker| worker.turn(Duration::ZERO).map(drop));
    }
    world.act("a", Runner::commit);
    world.settle();
    assert_eq!(world.written(), world.expected);
}

#[test]
fn a_group_that_lost_its_offsets_stops_the_runner_instead_of_counting_again() {
    let mut world = World::with_committed_work(3);
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
    let mut world = World::with_committed_work(2);
    world.store.lose_all();
    let why = world.why_the_next_runner_stops();
    assert!(why.contains("missing"), "{why}");
}
