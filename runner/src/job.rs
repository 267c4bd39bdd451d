//! One runner at work on Kafka: opened, kept going while brokers come and go, and ended in an orderly way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_connect::Partition;
use millrace_connect::kafka::{KafkaConnector, Settings};
use millrace_connect::store::FileStore;
use millrace_engine::Program;
use millrace_service::{Health, Shutdown};

use crate::error::Error;
use crate::kafka;
use crate::metrics::Metrics;
use crate::status::{Status, TroubleKind};
use crate::worker::{Opening, Worker};

/// Longest wait for something to do, and so longest reaction to a stop signal.
const PATIENCE: Duration = Duration::from_millis(100);
/// Pause before a broker that is away is tried again: first and longest.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Everything that a runner works with.
pub struct Job {
    /// The compiled plan.
    pub program: Arc<Program>,
    /// How to talk to the cluster.
    pub settings: Settings,
    /// This runner's name, unique in its pipeline and the same after a restart.
    pub runner_id: String,
    /// Directory of the checkpoints.
    pub state_dir: PathBuf,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it says of itself.
    pub status: Arc<Status>,
    /// What it tells the probes.
    pub health: Health,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// How long a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until told to stop.
    Stopped,
    /// Until every partition is processed up to the offset that was its end when the job began, and all that this has
    /// brought into internal topics too. Only for a runner that is alone: it must be given all partitions.
    End,
}

impl Job {
    /// Works until told to stop, or to the end. A broker that is away, or a source topic that is not there yet, is tried
    /// again and again, from what was committed; where a person waits (`Until::End`), one that was never there is an error. `each_turn` is called again and again
    /// meanwhile, for progress.
    pub fn run(&self, until: Until, each_turn: &mut dyn FnMut()) -> Result<(), Error> {
        let mut pause = RETRY_PAUSE.0;
        let mut was_there = until == Until::Stopped;
        while !self.shutdown.is_requested() {
            let outcome = self.attempt(until, &mut || {
                pause = RETRY_PAUSE.0;
                was_there = true;
                self.health.beat();
                each_turn();
            });
            self.health.set_ready(false);
            self.health.beat();
            self.status.no_partitions();
            match outcome {
                Err(Error::Away(why)) if was_there => {
                    self.status.trouble(TroubleKind::BrokerUnreachable, &why);
                    tracing::warn!(%why, "trying again in {pause:?}");
                    self.shutdown.wait(pause);
                    pause = (pause * 2).min(RETRY_PAUSE.1);
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    fn attempt(&self, until: Until, each_turn: &mut dyn FnMut()) -> Result<(), Error> {
        let store = FileStore::open(&self.state_dir).map_err(|error| Error::Stop(error.to_string()))?;
        let connector = kafka::connect(self.program.plan(), &self.settings)?;
        let opening = Opening {
            program: Arc::clone(&self.program),
            metrics: Arc::clone(&self.metrics),
            status: Arc::clone(&self.status),
            runner_id: &self.runner_id,
        };
        let mut worker = Worker::open_while(connector, store, opening, &mut || {
            self.health.beat();
            !self.shutdown.is_requested()
        })?;
        let mut ends = match until {
            Until::Stopped => None,
            Until::End => Some(worker.ends()?),
        };
        self.health.set_ready(true);
        while !self.shutdown.is_requested() && !ends.as_ref().is_some_and(|ends| reached(&worker, ends)) {
            worker.turn(PATIENCE)?;
            each_turn();
            ends = match ends {
                Some(ends) if reached(&worker, &ends) => Some(worker.ends_behind(ends)?),
                ends => ends,
            };
        }
        worker.leave()
    }
}

fn reached(worker: &Worker<KafkaConnector, FileStore>, ends: &BTreeMap<Partition, i64>) -> bool {
    let positions: BTreeMap<Partition, i64> = worker.positions().collect();
    ends.iter()
        .all(|(partition, end)| positions.get(partition).is_some_and(|position| position >= end))
}
