//! Workers on the in-memory broker, crashed, fenced and rebalanced at random: for tests that compare what readers of
//! committed records see with what must be there.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and each uses a part"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, CommitOutcome, MemoryConnector};
use millrace_connect::store::MemoryStore;
use millrace_crds::manifest::Manifest;
use millrace_engine::Program;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Error, Routes, Status, Worker};

pub type Runner = Worker<MemoryConnector, MemoryStore>;

/// Partitions of the source, and of what comes between stages.
pub const PARTITIONS: u16 = 4;

/// Linear congruential numbers: the same seed plays the same run.
pub struct Random {
    state: u64,
    now: i64,
}

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % limit
    }

    /// A time that goes on by up to `most` milliseconds a call.
    pub fn clock(&mut self, most: u64) -> i64 {
        self.now += self.below(most) as i64;
        self.now
    }
}

/// The world of one seed.
pub struct World {
    pub broker: Broker,
    pub store: MemoryStore,
    program: Arc<Program>,
    workers: BTreeMap<&'static str, Runner>,
    /// Of workers that were started, by name.
    metrics: BTreeMap<&'static str, Arc<Metrics>>,
    pub random: Random,
    /// Makes the next record: its key and its value.
    record: fn(&mut Random) -> (String, serde_json::Value),
    /// Where it is written.
    pub topic_of: fn(&serde_json::Value) -> &'static str,
    /// All records that were written, in order.
    pub appended: Vec<serde_json::Value>,
    pub crashes: usize,
    pub lost_commits: usize,
    pub refused_saves: usize,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl World {
    /// `manifest` reads topic `in`; `record` makes what is written there.
    pub fn new(seed: u64, manifest: &str, record: fn(&mut Random) -> (String, serde_json::Value)) -> Self {
        let broker = Broker::new();
        Self {
            program: program(manifest, &broker),
            broker,
            store: MemoryStore::new(),
            workers: BTreeMap::new(),
            metrics: BTreeMap::new(),
            random: Random {
                state: seed,
                now: 1_000_000,
            },
            record,
            topic_of: |_| "in",
            appended: Vec::new(),
            crashes: 0,
            lost_commits: 0,
            refused_saves: 0,
        }
    }

    /// Another plan of the same pipeline, once all workers are gone.
    pub fn change(&mut self, manifest: &str) {
        self.workers.clear();
        self.broker.expire_crashed_members();
        self.program = program(manifest, &self.broker);
    }

    pub fn append(&mut self) {
        let (key, value) = (self.record)(&mut self.random);
        self.append_to(None, &key, value);
    }

    /// Writes one record, to a partition or where its key belongs.
    pub fn append_to(&mut self, partition: Option<i32>, key: &str, value: serde_json::Value) {
        let json = value.to_string();
        let record = Delivered {
            key: Some(key.as_bytes()),
            value: Some(json.as_bytes()),
            timestamp: 1,
            headers: &[],
        };
        let topic = (self.topic_of)(&value);
        self.broker.append(topic, partition, record).unwrap();
        self.appended.push(value);
    }

    pub fn start(&mut self, name: &'static str) {
        let plan = self.program.plan();
        let connector = MemoryConnector::new(self.broker.clone(), plan.topics(), plan.source.group.clone());
        let metrics = Arc::new(Metrics::register(plan, &prometheus::Registry::new()).unwrap());
        self.metrics.insert(name, Arc::clone(&metrics));
        let (program, status) = (Arc::clone(&self.program), Arc::new(Status::new(name)));
        let worker = Worker::open(connector, self.store.clone(), program, metrics, status, name).unwrap();
        self.workers.insert(name, worker);
    }

    /// Whether a worker does not fetch one of its partitions for now.
    pub fn is_any_paused(&self) -> bool {
        let of_workers = self.workers.keys().filter_map(|name| self.metrics.get(name));
        of_workers.into_iter().any(|metrics| metrics.paused.get() > 0.0)
    }

    /// Lets one worker do something; one that was replaced or lost its broker ends, as its process would.
    pub fn act(&mut self, name: &'static str, action: impl FnOnce(&mut Runner) -> Result<(), Error>) {
        if let Some(worker) = self.workers.get_mut(name) {
            match action(worker) {
                Ok(()) => {}
                Err(Error::Stop(why)) => panic!("stopped: {why}"),
                Err(Error::Fenced(_) | Error::Away(_)) => drop(self.workers.remove(name)),
            }
        }
    }

    pub fn chaos(&mut self) {
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
                let group = self.program.plan().source.group.clone();
                let members = self.broker.members(group.as_str());
                if !members.is_empty() {
                    let member = members[self.random.below(members.len() as u64) as usize];
                    self.broker.expire_member(group.as_str(), member);
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
    pub fn settle(&mut self) {
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

    /// Lets one worker do everything there is to do, commits it, and takes the worker away.
    pub fn work_and_leave(&mut self) {
        self.start("a");
        (0..20).for_each(|_| self.append());
        self.act("a", |worker| {
            while worker.turn(Duration::ZERO)? {}
            worker.commit()
        });
        self.workers.clear();
        self.broker.expire_crashed_members();
    }

    /// Starts another worker, which must stop at once, and returns its reason.
    pub fn why_the_next_runner_stops(&mut self) -> String {
        self.start("b");
        let stopped = (0..10).find_map(|_| self.workers.get_mut("b").unwrap().turn(Duration::ZERO).err());
        let Some(Error::Stop(why)) = stopped else {
            panic!("must stop, not {stopped:?}")
        };
        why
    }
}

/// The program of a manifest, whose topics are made where they are not there.
fn program(manifest: &str, broker: &Broker) -> Arc<Program> {
    let object = yaml_serde::from_str(manifest).unwrap();
    let plan = millrace_plan::validate(&Manifest::StreamPipeline(Box::new(object)), &[]).unwrap();
    for topic in plan.topics() {
        broker.create_topic(topic.as_str(), PARTITIONS);
    }
    for topic in Routes::of(&plan).names() {
        broker.create_topic(topic.as_str(), 3);
    }
    Arc::new(Program::compile(Arc::new(plan)).unwrap())
}

/// Plays seeds, each with `rounds` random events and faults, and compares what they come to. Faults must have happened.
pub fn play(seeds: std::ops::Range<u64>, rounds: usize, new: fn(u64) -> World, check: fn(&mut World, u64)) {
    let (mut faults, least) = ([0; 3], 2 * (seeds.end - seeds.start) as usize);
    for seed in seeds {
        let mut world = new(seed);
        for _ in 0..rounds {
            world.chaos();
        }
        world.settle();
        check(&mut world, seed);
        let happened = [world.crashes, world.lost_commits, world.refused_saves];
        faults.iter_mut().zip(happened).for_each(|(sum, more)| *sum += more);
    }
    assert!(
        faults.iter().all(|count| *count > least),
        "crashes, lost commits and full disks must happen: {faults:?}"
    );
}
