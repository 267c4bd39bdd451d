//! From the queue to batches of one partition, in order, nothing twice.
//!
//! Around a rebalance librdkafka pauses all partitions and fetches again from where it thinks we are, which can be too
//! early by what was being taken at that moment: records below the next offset are dropped.

use super::assignment::State;
use super::native::{Fetched, Message};
use super::records::KafkaRecords;
use super::source::KafkaConsumer;
use crate::{Error, Partition};
use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::time::Duration;

/// Messages taken from the queue at once.
const BATCH: usize = 4096;
/// How long the first message of a batch waits for more.
const LINGER: Duration = Duration::from_millis(5);
/// How long a topic may look unknown after the start: brokers learn of new ones one by one.
const SETTLING: Duration = Duration::from_secs(30);

/// The delivered partitions, as a list to ask for their positions.
pub(super) struct Tracked {
    partitions: Vec<Partition>,
    list: TopicPartitionList,
    positions: Vec<i64>,
}

impl KafkaConsumer {
    /// Fills `ready` and `failed` with what comes within `timeout`.
    pub(super) fn fetch(&mut self, timeout: Duration) {
        let mut fetched = Fetched::empty(&self.native);
        self.native.fetch(&self.queue, timeout, 1, &mut fetched);
        if !fetched.is_empty() && !self.native.context().has_rebalance() {
            self.native.fetch(&self.queue, LINGER, BATCH - 1, &mut fetched);
        }
        let drained = fetched.as_slice().len() < BATCH;
        while let [first, rest @ ..] = fetched.as_slice() {
            if let Some(code) = first.error() {
                let event = fetched.take_first(1);
                self.error(code, &event.as_slice()[0]);
            } else {
                let more = rest
                    .iter()
                    .take_while(|next| next.error().is_none() && next.same_partition(first))
                    .count();
                let run = fetched.take_first(1 + more);
                self.add(run);
            }
        }
        if drained {
            self.follow_markers();
        }
    }

    /// Puts a run of records of one partition beside those of the same partition.
    fn add(&mut self, mut run: Fetched) {
        let (Some(first), Some(last)) = (run.as_slice().first(), run.as_slice().last()) else {
            return;
        };
        let Some(partition) = self.assignment.numbered(&first.topic(), first.partition()) else {
            return;
        };
        let Some(next) = self.assignment.next(partition) else {
            return;
        };
        let (known, end) = (*next, last.offset() + 1);
        if end <= known {
            return;
        }
        if first.offset() < known {
            let old = run.as_slice().partition_point(|message| message.offset() < known);
            drop(run.take_first(old));
        }
        *next = end;
        let records = self.ready_of(partition);
        records.fetched.append(run);
        records.next_offset = end;
    }

    /// Moves the positions of partitions over control markers, which are not delivered.
    fn follow_markers(&mut self) {
        let Some(mut tracked) = self.tracked.take().or_else(|| self.track()) else {
            return;
        };
        self.native.positions(&tracked.list, &mut tracked.positions);
        for (partition, position) in tracked.partitions.iter().zip(&tracked.positions) {
            let Some(next) = self.assignment.next(*partition).filter(|next| **next < *position) else {
                continue;
            };
            *next = *position;
            self.ready_of(*partition).next_offset = *position;
        }
        self.tracked = Some(tracked);
    }

    fn track(&self) -> Option<Tracked> {
        let partitions = self.assignment.delivered();
        let list = self.assignment.list(&partitions).ok()?;
        Some(Tracked {
            partitions,
            list,
            positions: Vec::new(),
        })
    }

    /// What is ready of a partition, to be added to.
    fn ready_of(&mut self, partition: Partition) -> &mut KafkaRecords {
        let at = self
            .ready
            .iter()
            .position(|records| records.partition == partition)
            .unwrap_or_else(|| {
                let fetched = Fetched::empty(&self.native);
                self.ready.push_back(KafkaRecords {
                    partition,
                    fetched,
                    next_offset: 0,
                });
                self.ready.len() - 1
            });
        &mut self.ready[at]
    }

    /// A message that is not a record.
    fn error(&mut self, code: Code, message: &Message) {
        let partition = self.assignment.numbered(&message.topic(), message.partition());
        if let Some(partition) = partition.filter(|_| message.offset() >= 0) {
            // librdkafka would go on behind the offset that it failed at.
            if self.assignment.next(partition).is_some() {
                self.assignment.set(partition, State::Failed);
                self.tracked = None;
            }
        }
        let (topic, number, offset, text) = (message.topic(), message.partition(), message.offset(), message.text());
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => self.failed.push_back(Error::user(format!(
                "{topic}/{number}: offset {offset} is not in the log (any more): {text}"
            ))),
            Code::UnknownTopicOrPartition | Code::UnknownTopic if self.opened.elapsed() > SETTLING => {
                self.failed
                    .push_back(Error::user(format!("source topic {topic} does not exist: {text}")));
            }
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed => {
                self.failed
                    .push_back(Error::user(format!("not allowed to read {topic}: {text}")));
            }
            Code::FencedInstanceId => self
                .failed
                .push_back(Error::fenced(format!("another member has our name: {text}"))),
            Code::Fatal => self
                .failed
                .push_back(Error::external(format!("the consumer failed for good: {text}"))),
            _ if offset >= 0 => self.failed.push_back(Error::external(format!(
                "{topic}/{number}: failed to read at offset {offset}: {text} ({code})"
            ))),
            _ => tracing::warn!(%topic, partition = number, offset, %code, "{text}"),
        }
    }
}
