//! What is known of each pipeline from outside of the API server: lag from its broker, everything else from its runners.
//! Asks again and again in the background; whoever wants to know reads the latest answer. Never writes to the API server.

mod cluster;
mod counts;
mod known;
mod lag;
mod news;
mod rounds;
mod scrape;
#[cfg(test)]
pub(crate) mod testing;
mod types;

pub use types::{Lag, Observation, RunnerAddress, SourceState, Subject, Throughput};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_crds::PipelineStatus;
use millrace_report::Report;
use millrace_service::Shutdown;
use tokio::sync::{Notify, mpsc};

use self::cluster::{Answer, epoch};
use self::known::Known;
use crate::key::ObjectKey;
use crate::status::Totals;

/// The latest observations of all pipelines. Cheap to clone: all clones are one.
#[derive(Clone, Debug)]
pub struct Observations {
    shared: Arc<Mutex<HashMap<ObjectKey, Watched>>>,
    /// Told whenever something about a pipeline changed enough to be worth a look.
    changed: mpsc::UnboundedSender<ObjectKey>,
    /// Told whenever somebody is to be asked who was not asked before.
    ask_soon: Arc<Notify>,
}

/// A pipeline under observation.
#[derive(Debug)]
struct Watched {
    known: Known,
    latest: Option<Arc<Observation>>,
    /// The last one that was worth a look.
    looked_at: Option<(Arc<Observation>, Instant)>,
}

impl Observations {
    /// Nothing is observed yet. The receiver is told which objects are worth a look.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<ObjectKey>) {
        let (changed, worth_a_look) = mpsc::unbounded_channel();
        let observations = Self {
            shared: Arc::default(),
            changed,
            ask_soon: Arc::default(),
        };
        (observations, worth_a_look)
    }

    /// Observes a pipeline from now on, or goes on with what changed about it. Cheap: call it in every reconcile.
    pub fn watch(&self, subject: Subject) {
        let mut shared = self.shared();
        let same = |watched: &&mut Watched| watched.known.subject.uid == subject.uid;
        let is_new = match shared.get_mut(&subject.key).filter(same) {
            Some(watched) => watched.known.update(subject),
            None => {
                let key = subject.key.clone();
                let known = Known::new(subject, epoch());
                let watched = Watched {
                    known,
                    latest: None,
                    looked_at: None,
                };
                shared.insert(key, watched);
                true
            }
        };
        if is_new {
            self.ask_soon.notify_one();
        }
    }

    /// Stops to observe a pipeline and forgets it.
    pub fn forget(&self, key: &ObjectKey) {
        self.shared().remove(key);
    }

    /// The latest observation; None: nobody has answered yet.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Observation>> {
        self.shared().get(key)?.latest.clone()
    }

    /// The latest observations of all pipelines.
    pub fn all(&self) -> Vec<(ObjectKey, Arc<Observation>)> {
        let shared = self.shared();
        let each = |(key, watched): (&ObjectKey, &Watched)| Some((key.clone(), watched.latest.clone()?));
        shared.iter().filter_map(each).collect()
    }

    /// What was counted since the object was created: what its status said when this process first asked here, and what
    /// was counted since. Never below what the status says.
    pub fn totals(&self, key: &ObjectKey, previous: Option<&PipelineStatus>) -> Totals {
        let status = previous.map_or_else(Totals::default, |status| Totals {
            late: status.late_records,
            dead: status.dead_letters,
        });
        let mut shared = self.shared();
        shared
            .get_mut(key)
            .map_or(status, |watched| watched.known.totals(status))
    }

    /// Observes until the process stops.
    pub async fn run(self, every: Duration, shutdown: Shutdown) {
        rounds::run(self, every, shutdown).await;
    }

    fn broker_said(&self, answer: Answer) {
        let (key, uid) = (&answer.question.key, &answer.question.uid);
        let plan = &answer.question.plan;
        self.note(key, uid, |known, now| {
            // What was said of another source is of no use.
            if known.subject.plan.source == plan.source {
                known.broker_said(answer.measurement, now);
            }
        });
    }

    fn runners_said(&self, key: &ObjectKey, uid: &str, answers: Vec<(RunnerAddress, Report)>) {
        self.note(key, uid, |known, now| known.runners_said(answers, now));
    }

    /// Notes an answer about a pipeline that is still the same.
    fn note(&self, key: &ObjectKey, uid: &str, note: impl FnOnce(&mut Known, Instant)) {
        let now = Instant::now();
        let mut shared = self.shared();
        let Some(watched) = shared.get_mut(key).filter(|watched| watched.known.subject.uid == uid) else {
            return;
        };
        note(&mut watched.known, now);
        let observation = Arc::new(watched.known.observation(now));
        watched.latest = Some(Arc::clone(&observation));
        let (old, since) = match &watched.looked_at {
            Some((old, at)) => (Some(&**old), now.duration_since(*at)),
            None => (None, Duration::MAX),
        };
        if news::is_news(old, &observation, since) {
            watched.looked_at = Some((observation, now));
            // Nobody listens when the process stops.
            let _ = self.changed.send(key.clone());
        }
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<ObjectKey, Watched>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
