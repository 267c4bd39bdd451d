//! How far a group is behind, asked from outside: by a client that is a member of no group. One client serves all topics
//! and groups of a cluster. Every question ends within the time given when the client was made; what could not be answered
//! is an error, never a number.

use super::client::Context;
use super::config::{self, Settings};
use super::native::{END, Failure, Kind, Native, OLDEST, OffsetRaw, Question, Reading, TopicHandle};
use super::watchdog::{pause, retire};
use millrace_plan::{Connection, GroupId, TopicName};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RETRY: Duration = Duration::from_millis(50);
/// How long reading first records may take, all partitions together.
const READING: Duration = Duration::from_secs(2);

/// Asks one cluster.
pub struct Inspector {
    client: Arc<Native>,
    brokers: String,
    timeout: Duration,
}

/// One partition, as seen by a reader of committed records and by one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Topic.
    pub topic: String,
    /// Partition of that topic.
    pub partition: i32,
    /// Offset of the oldest record held.
    pub start: i64,
    /// Behind the last committed record: transactions that are still open begin here.
    pub end: i64,
    /// Next offset that the group will read; None: the group has committed nothing.
    pub committed: Option<i64>,
}

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition of that topic.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// No broker answers in time.
    #[error("{0}")]
    Unreachable(String),
    /// A topic does not exist.
    #[error("{0}")]
    TopicMissing(String),
    /// Brokers do not let this client in, or do not answer it this question.
    #[error("{0}")]
    Unauthorized(String),
    /// Brokers answer, but not this question: a partition has no leader, a coordinator is starting.
    #[error("{0}")]
    Unanswered(String),
}

type Answer<T> = Result<T, InspectError>;
/// By topic and partition.
type ByPartition = BTreeMap<(String, i32), Option<i64>>;

impl Inspector {
    /// Makes a client; reaches nobody yet. Of the settings, `request_timeout` bounds each call of `extents`.
    pub fn open(connection: &Connection, settings: &Settings) -> Answer<Self> {
        let refused = |why: String| InspectError::Unauthorized(why);
        let config = config::inspector(connection, settings).map_err(|error| refused(error.message))?;
        let client = Native::open(&config, Kind::Reader, Context::new("inspector"))
            .map_err(|error| refused(format!("failed to make a client: {error}")))?;
        Ok(Self {
            client,
            brokers: connection.bootstrap_servers.join(","),
            timeout: settings.request_timeout,
        })
    }

    /// All partitions of `topics`, in order of topic and number: all of them, or an error.
    pub fn extents(&self, topics: &[TopicName], group: &GroupId) -> Answer<Vec<Extent>> {
        let deadline = Instant::now() + self.timeout;
        let mut partitions = Vec::new();
        for topic in topics {
            let count = self.partitions_of(topic.as_str(), deadline)?;
            partitions.extend((0..count).map(|partition| (topic.to_string(), partition)));
        }
        loop {
            match self.ask(&partitions, group, deadline) {
                Err(InspectError::Unanswered(_)) if Instant::now() + RETRY < deadline => pause(RETRY),
                answer => return answer,
            }
        }
    }

    /// When the first committed record at or behind each place (one a partition) was written, in milliseconds since the epoch. None: there is
    /// no such record, or it could not be read within two seconds.
    pub fn written_at(&self, places: &[Place]) -> Vec<Option<i64>> {
        let readings = self.readings(places);
        let deadline = Instant::now() + READING.min(self.timeout);
        let first = |reading: &Option<Reading>| {
            let left = deadline.saturating_duration_since(Instant::now());
            let fetched = reading.as_ref()?.next(left);
            let message = fetched.as_slice().first()?;
            let time = message.record().timestamp;
            // The end of the partition and errors come the same way as a record does.
            (message.error().is_none() && time >= 0).then_some(time)
        };
        let found = readings.iter().map(first).collect();
        self.client.serve(Duration::ZERO);
        found
    }

    /// All at once, so that one round trip serves all.
    fn readings(&self, places: &[Place]) -> Vec<Option<Reading>> {
        let mut topics: BTreeMap<&str, Option<Arc<TopicHandle>>> = BTreeMap::new();
        let mut readings = Vec::with_capacity(places.len());
        for place in places {
            let open = || TopicHandle::open(&self.client, &place.topic).map(Arc::new);
            let topic = topics.entry(&place.topic).or_insert_with(open).clone();
            readings.push(topic.and_then(|topic| topic.read(place.partition, place.offset)));
        }
        readings
    }

    fn partitions_of(&self, topic: &str, deadline: Instant) -> Answer<i32> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(RETRY);
            let Ok(metadata) = self.client.client().fetch_metadata(Some(topic), left) else {
                return Err(self.unreachable());
            };
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let code = found.and_then(|found| found.error()).map(Code::from);
            match (found.map_or(0, |found| found.partitions().len()), code) {
                (partitions @ 1.., None) => return Ok(i32::try_from(partitions).unwrap_or(i32::MAX)),
                (_, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {
                    return Err(InspectError::TopicMissing(format!("topic {topic} does not exist")));
                }
                (_, Some(code)) if is_forbidden(code) => return Err(forbidden(&format!("topic {topic}"), code)),
                _ if Instant::now() + RETRY < deadline => pause(RETRY),
                (_, code) => {
                    let why = code.map_or_else(|| "it has no partitions".to_owned(), |code| code.to_string());
                    return Err(InspectError::Unanswered(format!(
                        "topic {topic} is not available: {why}"
                    )));
                }
            }
        }
    }

    /// Three questions at once: where partitions begin, where they end, what is committed.
    fn ask(&self, partitions: &[(String, i32)], group: &GroupId, deadline: Instant) -> Answer<Vec<Extent>> {
        let left = deadline.saturating_duration_since(Instant::now()).max(RETRY);
        let list = |offset| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for (topic, partition) in partitions {
                let element = list.add_partition_offset(topic, *partition, offset);
                element
                    .map_err(|error| InspectError::Unanswered(format!("failed to ask {topic}/{partition}: {error}")))?;
            }
            Ok(list)
        };
        let (offsets, group_name) = (
            format!("offsets of {}", names(partitions)),
            format!("offsets of group {group}"),
        );
        let ask = |question, what: &str| {
            let question: Result<Question, Failure> = question;
            question.map_err(|failure| self.failed(what, &failure))
        };
        let (oldest, end, any) = (
            list(Offset::from_raw(OLDEST))?,
            list(Offset::from_raw(END))?,
            list(Offset::Invalid)?,
        );
        let starts = ask(self.client.ask_offsets(&oldest, left), &offsets)?;
        let ends = ask(self.client.ask_offsets(&end, left), &offsets)?;
        let committed = ask(self.client.ask_committed(group.as_str(), &any, left), &group_name)?;
        let answer = |question: Question, what: &str| {
            let answer = question
                .answer(left + RETRY)
                .map_err(|failure| self.failed(what, &failure))?;
            by_partition(what, &answer)
        };
        let (starts, ends) = (answer(starts, &offsets)?, answer(ends, &offsets)?);
        let committed = answer(committed, &group_name)?;
        self.client.serve(Duration::ZERO);
        partitions
            .iter()
            .map(|at| extent(at, &starts, &ends, &committed))
            .collect()
    }

    /// What a failed question means.
    fn failed(&self, what: &str, failure: &Failure) -> InspectError {
        match failure.code {
            code if is_forbidden(code) => forbidden(what, code),
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                InspectError::Unanswered(format!("{what}: a partition is not known to the brokers"))
            }
            Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => self.unreachable(),
            _ => InspectError::Unanswered(format!("{what} were not told: {failure}")),
        }
    }

    fn unreachable(&self) -> InspectError {
        self.client.serve(Duration::ZERO);
        let context = self.client.context();
        match context.refusal() {
            Some(why) => {
                InspectError::Unauthorized(format!("the brokers at {} refuse this client: {why}", self.brokers))
            }
            None => {
                let why = context.last_error();
                // How long it took, and how often, is another text each time.
                let why = why.split(" (after ").next().unwrap_or_default();
                InspectError::Unreachable(format!("no broker answers at {}: {why}", self.brokers))
            }
        }
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        retire(Arc::clone(&self.client));
    }
}

/// The answers by partition; None: nothing there. An error of any partition is an error of all.
fn by_partition(what: &str, answer: &[OffsetRaw]) -> Answer<ByPartition> {
    let each = |of: &OffsetRaw| match of.error {
        Some(code) if is_forbidden(code) => Err(forbidden(what, code)),
        Some(code) => Err(InspectError::Unanswered(format!(
            "{}/{}: {code}",
            of.topic, of.partition
        ))),
        None => Ok(((of.topic.clone(), of.partition), of.offset)),
    };
    answer.iter().map(each).collect()
}

fn extent(at: &(String, i32), starts: &ByPartition, ends: &ByPartition, committed: &ByPartition) -> Answer<Extent> {
    let (topic, partition) = at;
    let untold = || InspectError::Unanswered(format!("{topic}/{partition}: nothing was answered"));
    let told = |answers: &ByPartition| answers.get(at).copied().flatten().ok_or_else(untold);
    Ok(Extent {
        topic: topic.clone(),
        partition: *partition,
        start: told(starts)?,
        end: told(ends)?,
        committed: *committed.get(at).ok_or_else(untold)?,
    })
}

fn is_forbidden(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
    )
}

fn forbidden(what: &str, code: Code) -> InspectError {
    InspectError::Unauthorized(format!("not allowed to ask for {what}: {code}"))
}

fn names(partitions: &[(String, i32)]) -> String {
    let mut names: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// A broker that answers so cannot be had at will: librdkafka brings one along.
    #[test]
    fn coordinator_that_moves_is_asked_again_and_crashes_nobody() {
        let brokers = MockCluster::new(1).unwrap();
        brokers.create_topic("in", 2, 1).unwrap();
        let connection = Connection {
            bootstrap_servers: vec![brokers.bootstrap_servers()],
            security: millrace_plan::Security::default(),
        };
        let inspector = Inspector::open(&connection, &Settings::default()).unwrap();
        let (topic, group) = (TopicName::parse("in").unwrap(), GroupId::parse("g").unwrap());
        let extents = || {
            inspector
                .extents(std::slice::from_ref(&topic), &group)
                .map(|found| found.len())
        };
        assert_eq!(extents(), Ok(2), "nothing moves");
        let moved = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
        brokers.request_errors(RDKafkaApiKey::OffsetFetch, &[moved; 3]);
        assert_eq!(extents(), Ok(2), "it moved three times");
    }
}
