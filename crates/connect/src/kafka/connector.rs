//! Makes the clients of one job.

use super::client::Context;
use super::config::{self, MAX_RECORD_BYTES, Settings};
use super::native::{Failure, Kind, Native, TopicHandle};
use super::sink::SinkTopic;
use super::transaction::is_fencing;
use super::watchdog::pause;
use super::{KafkaConsumer, KafkaFollower, KafkaMembership, KafkaProducer};
use crate::{Connector, Error, Partition};
use millrace_plan::{Connection, GroupId, TopicName};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const RETRY: Duration = Duration::from_millis(100);

/// Opens consumers and producers of one job.
#[derive(Debug)]
pub struct KafkaConnector {
    pub(super) connection: Connection,
    pub(super) settings: Settings,
    pub(super) sources: Vec<TopicName>,
    group: GroupId,
    /// How large messages may be, by topic, where that was found out.
    limits: Mutex<BTreeMap<String, usize>>,
}

impl KafkaConnector {
    /// For a job that reads `sources` as `group`. Opens nothing yet.
    pub fn new(connection: Connection, settings: Settings, sources: Vec<TopicName>, group: GroupId) -> Self {
        Self {
            connection,
            settings,
            sources,
            group,
            limits: Mutex::default(),
        }
    }

    /// The same, reading these topics.
    pub fn reading(self, sources: Vec<TopicName>) -> Self {
        Self { sources, ..self }
    }

    /// Identity of the cluster.
    pub fn cluster_id(&self) -> Result<String, Error> {
        let reader = self.reader()?;
        let found = reader.client().fetch_cluster_id(self.settings.request_timeout);
        reader.serve(Duration::ZERO);
        found.ok_or_else(|| self.unreachable(&reader))
    }

    /// A client that only asks questions.
    pub(super) fn reader(&self) -> Result<Arc<Native>, Error> {
        open(
            &config::reader(&self.connection, &self.settings)?,
            Kind::Reader,
            "reader",
        )
    }

    /// Why nothing was answered, as far as known.
    pub(super) fn unreachable(&self, client: &Native) -> Error {
        client.serve(Duration::ZERO);
        let (brokers, context) = (self.connection.bootstrap_servers.join(","), client.context());
        match context.refusal() {
            Some(reason) => Error::user(format!("the brokers at {brokers} refuse this client: {reason}")),
            None => Error::external(format!(
                "failed to reach the brokers at {brokers}: {}",
                context.last_error()
            )),
        }
    }

    pub(super) fn limits(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the transactional id over, which ends what an older producer left open.
    fn take_over(&self, client: &Native, transactional_id: &str) -> Result<(), Error> {
        let limit = self.settings.transaction_timeout + self.settings.request_timeout;
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let result = client.init_transactions(left.max(RETRY));
            client.serve(Duration::ZERO);
            let Err(failure) = result else { return Ok(()) };
            if !failure.retriable || Instant::now() >= deadline {
                return Err(self.taking_over_failed(client, transactional_id, &failure));
            }
            pause(RETRY);
        }
    }

    fn taking_over_failed(&self, client: &Native, transactional_id: &str, failure: &Failure) -> Error {
        if client.context().refusal().is_some() {
            return self.unreachable(client);
        }
        let message = format!("failed to take over transactional id {transactional_id}: {failure}");
        match failure.code {
            Code::TransactionalIdAuthorizationFailed | Code::ClusterAuthorizationFailed => Error::user(message),
            code if is_fencing(code) => Error::fenced(message),
            _ => Error::external(message),
        }
    }
}

pub(super) fn missing_topic(name: &str) -> Error {
    Error::user(format!("topic {name} does not exist"))
}

fn open(config: &ClientConfig, kind: Kind, role: &'static str) -> Result<Arc<Native>, Error> {
    // A configuration that librdkafka refuses is a mistake of the spec, for example an unreadable certificate.
    Native::open(config, kind, Context::new(role))
        .map_err(|error| Error::user(format!("failed to make a {role}: {error}")))
}

impl Connector for KafkaConnector {
    type Membership = KafkaMembership;
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;
    type Follower = KafkaFollower;

    fn partitions(&self) -> Result<Vec<u32>, Error> {
        self.source_partitions()
    }

    fn delete_before(&self, offsets: &[(Partition, i64)]) {
        let mut list = TopicPartitionList::new();
        for (Partition { topic, number }, offset) in offsets {
            let name = self.sources[usize::from(*topic)].as_str();
            // An offset that librdkafka cannot hold is negative, which no position is.
            let _ = list.add_partition_offset(name, *number, Offset::Offset(*offset));
        }
        self.delete_records(list);
    }

    fn open_follower(&self, topics: &[TopicName]) -> Result<KafkaFollower, Error> {
        let names: Vec<&TopicName> = topics.iter().collect();
        let counts = self.existing(&names)?;
        let partitions: i32 = counts.values().sum();
        let config = config::follower(&self.connection, &self.settings, partitions.unsigned_abs() as usize)?;
        let client = open(&config, Kind::Reader, "table reader")?;
        KafkaFollower::open(client, topics, &counts, self.settings.request_timeout)
    }

    fn open_consumer(&self) -> Result<KafkaConsumer, Error> {
        self.source_partitions()?;
        let config = config::consumer(&self.connection, &self.settings, &self.group)?;
        let native = open(&config, Kind::Member, "consumer")?;
        let topics: Arc<[String]> = self.sources.iter().map(ToString::to_string).collect();
        KafkaConsumer::join(native, topics, self.settings.clone())
    }

    fn open_producer(&self, transactional_id: &str, topics: &[TopicName]) -> Result<KafkaProducer, Error> {
        let names: Vec<&TopicName> = topics.iter().collect();
        let partitions = self.existing(&names)?;
        let limits = self.limits().clone();
        // A batch counts as one message against a topic's limit.
        let limit_of = |name: &TopicName| {
            limits
                .get(name.as_str())
                .map_or(MAX_RECORD_BYTES, |max| *max.min(&MAX_RECORD_BYTES))
        };
        let batch_bytes = topics.iter().map(limit_of).fold(MAX_RECORD_BYTES, usize::min);
        let config = config::producer(&self.connection, &self.settings, transactional_id, batch_bytes)?;
        let client = open(&config, Kind::Producer, "producer")?;
        self.take_over(&client, transactional_id)?;
        let sink = |name: &TopicName| {
            let partitions = *partitions
                .get(name.as_str())
                .ok_or_else(|| missing_topic(name.as_str()))?;
            let handle = TopicHandle::open(&client, name.as_str());
            let handle = handle.ok_or_else(|| Error::external(format!("failed to open topic {name}")))?;
            let limit = limit_of(name).saturating_sub(RECORD_OVERHEAD);
            Ok(SinkTopic {
                name: name.to_string(),
                handle,
                partitions,
                limit,
            })
        };
        let sinks = topics.iter().map(sink).collect::<Result<Vec<_>, Error>>()?;
        Ok(KafkaProducer::new(
            client,
            transactional_id.to_owned(),
            sinks,
            self.settings.clone(),
        ))
    }
}

/// Bytes that a batch of one record adds to its key, value and headers, with room to spare for lengths of headers.
const RECORD_OVERHEAD: usize = 1024;
