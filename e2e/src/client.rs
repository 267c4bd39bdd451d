//! What a test does with a broker beside Millrace: topics, writing, reading what is committed. Every call waits for its
//! outcome and fails rather than giving less than was asked for.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::executor::block_on;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::eventually::eventually;

const ANSWER: Duration = Duration::from_secs(20);

/// Settings of a client on one broker.
#[derive(Clone)]
pub struct Client {
    config: ClientConfig,
}

/// A record to write.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Record key; decides the partition as Kafka's Java client does (murmur2).
    pub key: Option<Vec<u8>>,
    /// Record value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Writes to this partition, whatever the key says.
    pub partition: Option<i32>,
}

/// A record as it stands in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Partition number.
    pub partition: i32,
    /// Position in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Record key.
    pub key: Option<Vec<u8>>,
    /// Record value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Stored {
    /// The value as text; panics if there is none or it is not UTF-8, which no result may be.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("a value")).expect("UTF-8")
    }

    /// The header called `name`: the last one, for Millrace adds its own behind those of the record.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rfind(|(header, _)| header == name)?;
        std::str::from_utf8(value).ok()
    }
}

impl Client {
    /// A client on the plain listener `bootstrap`.
    pub fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("log_level", "2");
        Self { config }
    }

    /// A client on a listener with TLS and SASL/SCRAM-SHA-256.
    pub fn secure(bootstrap: &str, ca: &Path, user: &str, password: &str) -> Self {
        let mut client = Self::new(bootstrap);
        client
            .config
            .set("security.protocol", "SASL_SSL")
            .set("ssl.ca.location", ca.display().to_string())
            .set("sasl.mechanism", "SCRAM-SHA-256")
            .set("sasl.username", user)
            .set("sasl.password", password);
        client
    }

    /// Whether a broker answers a metadata request within a second.
    pub fn is_answered(&self) -> bool {
        let Ok(consumer) = self.config.create::<BaseConsumer>() else {
            return false;
        };
        consumer
            .fetch_metadata(None, Duration::from_secs(1))
            .is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    /// Creates a topic, and waits until it can be written.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.config.create()?;
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        for outcome in block_on(admin.create_topics([&new], &options))? {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("cannot create topic {topic}: {code}"))?;
        }
        eventually(&format!("topic {topic} has leaders"), ANSWER, || {
            let metadata = admin.inner().fetch_metadata(Some(topic), ANSWER)?;
            let ready = metadata.topics().iter().any(|found| {
                found.partitions().len() == partitions as usize
                    && found.partitions().iter().all(|each| each.leader() >= 0)
            });
            Ok(ready.then_some(()))
        })
    }

    /// Number of partitions of a topic.
    pub fn partitions(&self, topic: &str) -> Result<i32> {
        let consumer: BaseConsumer = self.config.create()?;
        partition_count(&consumer, topic)
    }

    /// Whether a topic exists.
    pub fn has_topic(&self, topic: &str) -> Result<bool> {
        let consumer: BaseConsumer = self.config.create()?;
        Ok(consumer
            .fetch_metadata(None, ANSWER)?
            .topics()
            .iter()
            .any(|found| found.name() == topic))
    }

    /// A writer that keeps its connection.
    pub fn writer(&self) -> Result<Writer> {
        let mut config = self.config.clone();
        config
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.max.bytes", "2000000")
            .set("queue.buffering.max.messages", "1000000");
        Ok(Writer {
            producer: config.create_with_context(Outcomes::default())?,
        })
    }

    /// Writes records in order and waits until all are acknowledged.
    pub fn write(&self, topic: &str, messages: impl IntoIterator<Item = Message>) -> Result<()> {
        self.writer()?.write(topic, messages)
    }

    /// All committed records of a topic up to its end, by partition and offset.
    pub fn read_committed(&self, topic: &str) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        self.for_each_committed(topic, |record| {
            all.push(record);
            Ok(())
        })?;
        all.sort_by_key(|record| (record.partition, record.offset));
        Ok(all)
    }

    /// Calls `each` with every committed record of a topic up to its end; partitions in any order, each by offset.
    pub fn for_each_committed(&self, topic: &str, mut each: impl FnMut(Stored) -> Result<()>) -> Result<()> {
        let mut config = self.config.clone();
        config
            .set("group.id", "millrace-e2e-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        let consumer: BaseConsumer = config.create()?;
        let partitions = partition_count(&consumer, topic)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let mut open: HashSet<i32> = (0..partitions).collect();
        let mut heard = Instant::now();
        while !open.is_empty() {
            match consumer.poll(Duration::from_secs(1)) {
                Some(Ok(message)) => each(owned(&message))?,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => return Err(error).with_context(|| format!("reading {topic}")),
                None => {
                    ensure!(
                        heard.elapsed() < ANSWER,
                        "reading {topic}: partitions {open:?} do not come to an end"
                    );
                    continue;
                }
            }
            heard = Instant::now();
        }
        Ok(())
    }

    /// Next offset to be read by a reader of committed records, per partition (the last stable offset).
    pub fn stable_ends(&self, topic: &str) -> Result<Vec<i64>> {
        self.ends(topic, "read_committed")
    }

    /// Next offset to be written, per partition (the high watermark).
    pub fn high_watermarks(&self, topic: &str) -> Result<Vec<i64>> {
        self.ends(topic, "read_uncommitted")
    }

    fn ends(&self, topic: &str, isolation: &str) -> Result<Vec<i64>> {
        let consumer: BaseConsumer = self.config.clone().set("isolation.level", isolation).create()?;
        (0..partition_count(&consumer, topic)?)
            .map(|partition| Ok(consumer.fetch_watermarks(topic, partition, ANSWER)?.1))
            .collect()
    }

    /// What a group has committed, per partition; 0 where nothing. Offsets of open transactions are not among them.
    pub fn committed(&self, group: &str, topic: &str) -> Result<Vec<i64>> {
        let mut config = self.config.clone();
        // Else it would wait for the end of open transactions, which killed runners leave behind.
        config.set("group.id", group).set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer = config.create()?;
        let partitions = partition_count(&consumer, topic)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let found = eventually(
            &format!("the coordinator of group {group} answers"),
            ANSWER,
            || match consumer.committed_offsets(list.clone(), ANSWER) {
                Ok(found) => Ok(Some(found)),
                Err(error) if is_still_settling(&error) => Ok(None),
                Err(error) => Err(error.into()),
            },
        )?;
        let offsets: HashMap<i32, i64> = found
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.partition(), offset)),
                _ => None,
            })
            .collect();
        Ok((0..partitions)
            .map(|partition| offsets.get(&partition).copied().unwrap_or(0))
            .collect())
    }

    /// Number of members of a consumer group.
    pub fn members(&self, group: &str) -> Result<usize> {
        let consumer: BaseConsumer = self.config.create()?;
        let groups = consumer.fetch_group_list(Some(group), ANSWER)?;
        Ok(groups
            .groups()
            .iter()
            .filter(|found| found.name() == group)
            .map(|found| found.members().len())
            .sum())
    }
}

/// Writes records and waits for their acknowledgement.
pub struct Writer {
    producer: BaseProducer<Outcomes>,
}

/// Collects what went wrong with deliveries.
#[derive(Default)]
struct Outcomes {
    failed: std::sync::Mutex<Option<String>>,
}

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, outcome: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = outcome {
            *self.failed.lock().expect("no panic while it is held") = Some(error.to_string());
        }
    }
}

impl Writer {
    /// Writes records in order and waits until all are acknowledged.
    pub fn write(&self, topic: &str, messages: impl IntoIterator<Item = Message>) -> Result<()> {
        self.write_while(topic, messages, || Ok(()))
    }

    /// The same; `meanwhile` is done while records are on their way to the broker.
    pub fn write_while(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = Message>,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        for message in messages {
            self.send(topic, &message)?;
        }
        meanwhile()?;
        self.producer
            .flush(Duration::from_secs(60))
            .with_context(|| format!("writing {topic}"))?;
        match self
            .producer
            .context()
            .failed
            .lock()
            .expect("no panic while it is held")
            .take()
        {
            Some(error) => bail!("writing {topic}: {error}"),
            None => Ok(()),
        }
    }

    fn send(&self, topic: &str, message: &Message) -> Result<()> {
        let headers = message
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        let mut record = BaseRecord::<[u8], [u8]>::to(topic)
            .timestamp(message.timestamp)
            .headers(headers);
        record.key = message.key.as_deref();
        record.payload = message.value.as_deref();
        record.partition = message.partition;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(error).with_context(|| format!("writing {topic}")),
            }
        }
    }
}

/// Whether a coordinator has just been chosen or is reading its log: ask again.
fn is_still_settling(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

fn partition_count(consumer: &BaseConsumer, topic: &str) -> Result<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let found = metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic)
        .context("no answer for the topic")?;
    ensure!(found.error().is_none(), "topic {topic}: {:?}", found.error());
    Ok(found.partitions().len() as i32)
}

fn owned(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            let owned = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.unwrap_or_default().to_vec());
            headers.iter().map(owned).collect()
        }),
    }
}
