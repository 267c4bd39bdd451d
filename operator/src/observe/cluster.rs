//! Asks brokers, on one thread and by one client for each cluster: librdkafka's calls block, and a cluster that is slow must
//! not keep the others waiting. A cluster that wants credentials is not asked: the operator reads no Secrets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_connect::kafka::{InspectError, Inspector, Settings};
use millrace_plan::{Connection, Plan, Start, TopicName};
use tokio::sync::mpsc::UnboundedSender;

use super::known::Measurement;
use super::lag::{Times, age, measure};
use super::{Lag, SourceState};
use crate::key::ObjectKey;
use crate::status::clean;

/// How long a cluster may take for one pipeline.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A pipeline to ask its cluster about.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) key: ObjectKey,
    pub(super) uid: String,
    pub(super) plan: Arc<Plan>,
}

/// What a cluster said of a pipeline.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) question: Question,
    pub(super) measurement: Measurement,
}

/// All clusters that are asked.
pub(super) struct Clusters {
    answers: UnboundedSender<Answer>,
    threads: HashMap<Cluster, SyncSender<Vec<Question>>>,
}

/// How to reach a cluster that wants no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cluster {
    bootstrap_servers: Vec<String>,
    tls: bool,
}

impl Cluster {
    /// None: it wants credentials.
    fn of(connection: &Connection) -> Option<Self> {
        let (tls, sasl) = (&connection.security.tls, &connection.security.sasl);
        let secrets = tls.as_ref().is_some_and(|tls| tls.ca.is_some() || tls.client.is_some());
        let mut bootstrap_servers = connection.bootstrap_servers.clone();
        bootstrap_servers.sort();
        (!secrets && sasl.is_none()).then_some(Self {
            bootstrap_servers,
            tls: tls.is_some(),
        })
    }
}

impl Clusters {
    /// None yet; answers go to `answers`.
    pub(super) fn new(answers: UnboundedSender<Answer>) -> Self {
        let threads = HashMap::new();
        Self { answers, threads }
    }

    /// Asks all of them. A cluster that has not answered the round before is left out. Clusters that no question is about
    /// any more are forgotten.
    pub(super) fn ask(&mut self, questions: Vec<Question>) {
        let mut by_cluster: HashMap<Cluster, Vec<Question>> = HashMap::new();
        for question in questions {
            match Cluster::of(&question.plan.source.connection) {
                Some(cluster) => by_cluster.entry(cluster).or_default().push(question),
                None => answer(&self.answers, question, not(SourceState::NotAsked)),
            }
        }
        self.threads.retain(|cluster, _| by_cluster.contains_key(cluster));
        for (cluster, questions) in by_cluster {
            let Some(connection) = questions.first().map(|one| one.plan.source.connection.clone()) else {
                continue;
            };
            let answers = &self.answers;
            let thread = self
                .threads
                .entry(cluster)
                .or_insert_with(|| start(connection, answers.clone()));
            // Full: it is still busy.
            let _ = thread.try_send(questions);
        }
    }
}

/// Starts a thread, which ends when its questions do.
fn start(connection: Connection, answers: UnboundedSender<Answer>) -> SyncSender<Vec<Question>> {
    let (questions, rounds) = sync_channel(1);
    let work = move || Thread::default().work(&connection, &rounds, &answers);
    if let Err(error) = std::thread::Builder::new().name("observe".to_owned()).spawn(work) {
        tracing::error!(%error, "failed to start a thread");
    }
    questions
}

/// What a cluster's thread remembers.
#[derive(Default)]
struct Thread {
    inspector: Option<Inspector>,
    times: HashMap<(ObjectKey, String), Times>,
    round: u64,
}

impl Thread {
    fn work(mut self, connection: &Connection, rounds: &Receiver<Vec<Question>>, answers: &UnboundedSender<Answer>) {
        while let Ok(questions) = rounds.recv() {
            self.round += 1;
            let asked = |key: &ObjectKey, uid: &str| questions.iter().any(|of| of.key == *key && of.uid == uid);
            self.times.retain(|(key, uid), _| asked(key, uid));
            let mut away = None;
            for question in questions {
                // Who does not answer one question does not answer the others, and each would cost its whole time.
                let measured = match &away {
                    Some(why) => Err(InspectError::Unreachable(String::clone(why))),
                    None => self.measure(connection, &question),
                };
                if let Err(InspectError::Unreachable(why)) = &measured {
                    away.get_or_insert_with(|| why.clone());
                }
                answer(answers, question, measured.unwrap_or_else(|error| not(state(&error))));
            }
        }
    }

    fn measure(&mut self, connection: &Connection, question: &Question) -> Result<Measurement, InspectError> {
        let times = self
            .times
            .entry((question.key.clone(), question.uid.clone()))
            .or_default();
        let inspector = match &self.inspector {
            Some(inspector) => inspector,
            None => self.inspector.insert(open(connection)?),
        };
        measure_one(inspector, &question.plan, times, self.round)
    }
}

fn state(error: &InspectError) -> SourceState {
    match error {
        InspectError::TopicMissing(why) => SourceState::TopicMissing(clean(why)),
        InspectError::Unreachable(why) | InspectError::Unauthorized(why) | InspectError::Unanswered(why) => {
            SourceState::Unreachable(clean(why))
        }
    }
}

fn open(connection: &Connection) -> Result<Inspector, InspectError> {
    let settings = Settings {
        client_id: "millrace-operator".to_owned(),
        request_timeout: TIMEOUT,
        ..Settings::default()
    };
    Inspector::open(connection, &settings)
}

fn measure_one(inspector: &Inspector, plan: &Plan, times: &mut Times, round: u64) -> Result<Measurement, InspectError> {
    let source = &plan.source;
    let mut extents = inspector.extents(&plan.source_topics(), &source.group)?;
    let partitions = u32::try_from(extents.len()).unwrap_or(u32::MAX);
    // Tables are read without a group; without their topics no runner begins.
    let tables: Vec<TopicName> = plan.table_topics().map(|(_, name)| name.clone()).collect();
    if !tables.is_empty() {
        inspector.extents(&tables, &source.group)?;
    }
    // What stands between two stages is not processed yet either. Runners make these topics: at first there are none.
    for cut in &plan.repartitions {
        match inspector.extents(std::slice::from_ref(&cut.topic.name), &source.group) {
            Ok(internal) => extents.extend(internal),
            Err(InspectError::TopicMissing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let starts: BTreeMap<String, Start> = (0..)
        .zip(plan.topics())
        .map(|(position, topic)| (topic.to_string(), plan.start_of(position)))
        .collect();
    let measured = measure(&extents, |topic| starts.get(topic).copied().unwrap_or(source.start));
    let places = times.next(&measured.behind);
    if !places.is_empty() {
        times.note(&places, &inspector.written_at(&places), round);
    }
    let seconds = match measured.behind.is_empty() {
        true => Some(0),
        false => times
            .oldest(&measured.behind)
            .map(|written_at| age(written_at, epoch())),
    };
    Ok(Measurement {
        source: measured.lost.map_or(SourceState::Reachable, SourceState::RecordsLost),
        lag: measured.records.map(|records| Lag { records, seconds }),
        partitions: Some(partitions),
    })
}

/// Now, in milliseconds since the epoch.
pub(super) fn epoch() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn not(source: SourceState) -> Measurement {
    Measurement {
        source,
        lag: None,
        partitions: None,
    }
}

fn answer(answers: &UnboundedSender<Answer>, question: Question, measurement: Measurement) {
    // Nobody listens when the process stops.
    let _ = answers.send(Answer { question, measurement });
}
