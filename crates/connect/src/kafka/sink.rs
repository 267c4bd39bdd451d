//! A transactional producer that chooses partitions itself, as Kafka's Java client does.

use super::config::Settings;
use super::native::{Failure, Native, TopicHandle};
use super::records::KafkaMembership;
use super::transaction::{Ending, is_fencing};
use super::watchdog::{retire, within};
use crate::partitioner::partition_of;
use crate::{CommitError, Delivered, Error, Position, Producer, SendError};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for room in the queue before trying again.
const FULL: Duration = Duration::from_millis(2);

/// Writes in transactions.
pub struct KafkaProducer {
    topics: Vec<SinkTopic>,
    client: Arc<Native>,
    transactional_id: String,
    state: State,
    settings: Settings,
}

/// A topic to write to.
pub(super) struct SinkTopic {
    pub(super) name: String,
    pub(super) handle: TopicHandle,
    pub(super) partitions: i32,
    /// Largest record that it takes, in bytes of key, value and headers.
    pub(super) limit: usize,
}

enum State {
    Ready,
    Open {
        begun: Instant,
        records: u64,
        bytes: u64,
    },
    /// Useless: see the reason.
    Spent {
        fenced: bool,
        reason: String,
    },
}

impl KafkaProducer {
    pub(super) fn new(
        client: Arc<Native>,
        transactional_id: String,
        topics: Vec<SinkTopic>,
        settings: Settings,
    ) -> Self {
        Self {
            topics,
            client,
            transactional_id,
            state: State::Ready,
            settings,
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Open { .. } => Ok(()),
            State::Spent { fenced, reason } => Err(self.spent(*fenced, reason)),
            State::Ready => {
                self.client.begin_transaction().map_err(|failure| self.fail(&failure))?;
                self.state = State::Open {
                    begun: Instant::now(),
                    records: 0,
                    bytes: 0,
                };
                Ok(())
            }
        }
    }

    fn spent(&self, fenced: bool, reason: &str) -> Error {
        let message = format!("producer {}: {reason}", self.transactional_id);
        if fenced {
            Error::fenced(message)
        } else {
            Error::external(message)
        }
    }

    /// Marks the producer as useless.
    fn fail(&mut self, failure: &Failure) -> Error {
        let cause = self.client.client().fatal_error();
        let code = cause.as_ref().map_or(failure.code, |(code, _)| *code);
        let reason = cause.map_or_else(|| failure.to_string(), |(_, reason)| reason);
        let young = |begun: Instant| begun.elapsed() < self.settings.transaction_timeout.mul_f32(0.8);
        let fenced = is_fencing(code) && !matches!(self.state, State::Open { begun, .. } if !young(begun));
        let error = self.spent(fenced, &reason);
        self.state = State::Spent { fenced, reason };
        error
    }

    /// Hands a record over, waiting for room where there is none.
    fn produce(&mut self, topic: usize, partition: i32, record: &Delivered<'_>) -> Result<(), SendError> {
        let deadline = Instant::now() + self.settings.transaction_timeout;
        loop {
            let target = &self.topics[topic];
            let Err(failure) = self.client.produce(&target.handle, partition, record) else {
                return Ok(());
            };
            match failure.code {
                Code::QueueFull if Instant::now() < deadline => self.client.serve(FULL),
                Code::MessageSizeTooLarge => return Err(target.too_large(record.bytes())),
                _ => {
                    let name = target.name.clone();
                    let error = self.fail(&failure);
                    return Err(Error {
                        message: format!("{name}/{partition}: {error}"),
                        ..error
                    }
                    .into());
                }
            }
        }
    }

    fn ending(&self, begun: Instant) -> Ending {
        let timeout = self.settings.transaction_timeout;
        Ending {
            client: Arc::clone(&self.client),
            positions: None,
            timeout,
            begun,
        }
    }

    /// Runs the end of a transaction with a deadline of our own: librdkafka's calls have waited for ever before.
    fn end(
        &mut self,
        name: &'static str,
        ending: Ending,
        run: fn(Ending) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        let limit = self.settings.transaction_timeout * 3;
        let result = within(limit, name, move || run(ending));
        let result = result.unwrap_or_else(|| Err(CommitError::Indefinite(format!("no answer within {limit:?}"))));
        self.state = match &result {
            Ok(()) | Err(CommitError::Aborted(_)) => State::Ready,
            Err(CommitError::Indefinite(reason)) => State::Spent {
                fenced: false,
                reason: reason.clone(),
            },
            Err(CommitError::Fenced(reason)) => State::Spent {
                fenced: true,
                reason: reason.clone(),
            },
        };
        result
    }
}

impl SinkTopic {
    fn too_large(&self, bytes: usize) -> SendError {
        SendError::TooLarge {
            topic: self.name.clone(),
            bytes,
            limit: self.limit,
        }
    }
}

fn to_list(positions: &[Position], membership: &KafkaMembership) -> Result<TopicPartitionList, String> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for Position {
        partition,
        offset,
        metadata,
    } in positions
    {
        let topic = membership.topics.get(usize::from(partition.topic));
        let topic = topic.ok_or_else(|| format!("no source topic number {}", partition.topic))?;
        let added = list.add_partition_offset(topic, partition.number, Offset::Offset(*offset));
        added.map_err(|_| format!("{topic}/{}: {offset} is not an offset", partition.number))?;
        if let Some(mut element) = list.find_partition(topic, partition.number) {
            element.set_metadata(metadata);
        }
    }
    Ok(list)
}

impl Producer for KafkaProducer {
    type Membership = KafkaMembership;

    fn send(&mut self, topic: u16, fallback: i32, record: Delivered<'_>) -> Result<(), SendError> {
        let topic = usize::from(topic);
        let target = self.topics.get(topic);
        let target = target.ok_or_else(|| Error::user(format!("no topic number {topic} to write to")))?;
        let size = record.bytes();
        if size > target.limit {
            return Err(target.too_large(size));
        }
        let partitions = target.partitions;
        let partition = record
            .key
            .map_or_else(|| fallback.rem_euclid(partitions), |key| partition_of(key, partitions));
        self.begin()?;
        self.produce(topic, partition, &record)?;
        if let State::Open { records, bytes, .. } = &mut self.state {
            *records += 1;
            *bytes += size as u64;
        }
        Ok(())
    }

    fn commit(&mut self, positions: &[Position], membership: &KafkaMembership) -> Result<(), CommitError> {
        if let Err(error) = self.begin() {
            return Err(match &self.state {
                State::Spent { fenced: true, .. } => CommitError::Fenced(error.message),
                _ => CommitError::Indefinite(error.message),
            });
        }
        let State::Open { begun, .. } = self.state else {
            unreachable!("`begin` opens a transaction")
        };
        let mut ending = self.ending(begun);
        if !positions.is_empty() {
            let refusal = match (to_list(positions, membership), &membership.metadata) {
                (Ok(list), Some(metadata)) => {
                    ending.positions = Some((list, Arc::clone(metadata)));
                    None
                }
                (Ok(_), None) => Some("not a member of the group".to_owned()),
                (Err(error), _) => Some(error),
            };
            if let Some(refusal) = refusal {
                let aborted = self.end("abort", ending, |ending| ending.abort());
                return aborted.and(Err(CommitError::Aborted(refusal)));
            }
        }
        self.end("commit", ending, Ending::commit)
    }

    fn abort(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Ready => Ok(()),
            State::Spent { fenced, reason } => Err(self.spent(*fenced, reason)),
            State::Open { begun, .. } => {
                let ending = self.ending(*begun);
                match self.end("abort", ending, |ending| ending.abort()) {
                    Ok(()) => Ok(()),
                    Err(CommitError::Fenced(reason)) => Err(self.spent(true, &reason)),
                    Err(error) => Err(self.spent(false, &error.to_string())),
                }
            }
        }
    }

    fn has_open_transaction(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn poll(&mut self) -> Result<(), Error> {
        self.client.serve(Duration::ZERO);
        if let State::Spent { fenced, reason } = &self.state {
            return Err(self.spent(*fenced, reason));
        }
        let Some((code, message)) = self.client.client().fatal_error() else {
            return Ok(());
        };
        Err(self.fail(&Failure {
            code,
            message,
            fatal: true,
            retriable: false,
            requires_abort: false,
        }))
    }

    /// An estimate: records not acknowledged, times the mean size of the open transaction's.
    fn buffered_bytes(&mut self) -> u64 {
        match self.state {
            State::Open { records, bytes, .. } if records > 0 => {
                self.client.unacknowledged() as u64 * (bytes / records)
            }
            _ => 0,
        }
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.topics.clear();
        retire(Arc::clone(&self.client));
    }
}
