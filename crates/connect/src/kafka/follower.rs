//! Reads whole topics without a group, and goes on reading them. Each partition has a queue of its own; nothing waits for
//! one of them alone.

use super::connector::missing_topic;
use super::native::{Fetched, Native, Reading, TopicHandle};
use super::records::KafkaRecords;
use super::source::is_passing;
use super::watchdog::{pause, retire};
use crate::{Error, Follower, Partition};
use millrace_plan::TopicName;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages taken from a queue at once.
const BATCH: usize = 4096;
/// Between two looks at queues that were all empty.
const PAUSE: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_millis(50);

/// Reads topics from their beginning, for ever.
pub struct KafkaFollower {
    topics: Vec<TopicName>,
    /// Before the client, which must outlive what it reads.
    followed: Vec<Followed>,
    /// Whose turn it is.
    turn: usize,
    next_look: Instant,
    client: Arc<Native>,
}

/// One partition.
struct Followed {
    partition: Partition,
    reading: Reading,
    next: i64,
    /// What was the end of the committed records when it was opened.
    end: i64,
}

impl KafkaFollower {
    /// `counts` says how many partitions each topic has. Asks for at most `patience`.
    pub(super) fn open(
        client: Arc<Native>,
        topics: &[TopicName],
        counts: &BTreeMap<String, i32>,
        patience: Duration,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + patience;
        let mut followed = Vec::new();
        for (topic, name) in (0..).zip(topics) {
            // It may be created any moment: who waits finds it then.
            let count = counts
                .get(name.as_str())
                .ok_or_else(|| Error::external(format!("table {}", missing_topic(name.as_str()).message)))?;
            let handle = TopicHandle::open(&client, name.as_str()).map(Arc::new);
            let failed = || Error::external(format!("failed to read topic {name}"));
            let handle = handle.ok_or_else(failed)?;
            for number in 0..*count {
                let (first, end) = extent(&client, name, number, deadline)?;
                followed.push(Followed {
                    partition: Partition { topic, number },
                    reading: Arc::clone(&handle).read(number, first).ok_or_else(failed)?,
                    next: first,
                    end,
                });
            }
        }
        Ok(Self {
            topics: topics.to_vec(),
            followed,
            turn: 0,
            next_look: Instant::now(),
            client,
        })
    }

    /// What the queue of one partition holds.
    fn take(&mut self, at: usize) -> Result<Option<KafkaRecords>, Error> {
        let followed = &mut self.followed[at];
        let mut fetched = followed.reading.take(BATCH);
        let mut records = Fetched::empty(&self.client);
        while let [first, rest @ ..] = fetched.as_slice() {
            if let Some(code) = first.error() {
                let event = fetched.take_first(1);
                let message = &event.as_slice()[0];
                if code != Code::PartitionEOF {
                    let (name, number) = (
                        &self.topics[usize::from(followed.partition.topic)],
                        followed.partition.number,
                    );
                    return Err(failed(
                        code,
                        &format!("table topic {name}/{number}: {}", message.text()),
                    ));
                }
                // Behind control markers, which are not delivered.
                followed.next = followed.next.max(message.offset());
                continue;
            }
            let more = rest.iter().take_while(|next| next.error().is_none()).count();
            let run = fetched.take_first(1 + more);
            followed.next = run.as_slice().last().map_or(followed.next, |last| last.offset() + 1);
            records.append(run);
        }
        Ok((!records.is_empty()).then_some(KafkaRecords {
            partition: followed.partition,
            fetched: records,
            next_offset: followed.next,
        }))
    }
}

impl Follower for KafkaFollower {
    type Records = KafkaRecords;

    fn poll(&mut self, timeout: Duration) -> Result<Option<KafkaRecords>, Error> {
        let deadline = Instant::now() + timeout;
        if Instant::now() < self.next_look && timeout.is_zero() {
            return Ok(None);
        }
        loop {
            for _ in 0..self.followed.len() {
                let at = self.turn;
                self.turn = (at + 1) % self.followed.len();
                if let Some(records) = self.take(at)? {
                    return Ok(Some(records));
                }
            }
            self.client.serve(Duration::ZERO);
            if let Some(reason) = self.client.context().refusal() {
                return Err(Error::user(format!("the brokers refuse this client: {reason}")));
            }
            self.next_look = Instant::now() + PAUSE;
            // The last messages may have brought it to the end without a record.
            if Instant::now() >= deadline || self.is_at_the_end() {
                return Ok(None);
            }
            pause(PAUSE);
        }
    }

    fn is_at_the_end(&self) -> bool {
        self.followed.iter().all(|followed| followed.next >= followed.end)
    }
}

impl Drop for KafkaFollower {
    fn drop(&mut self) {
        self.followed.clear();
        retire(Arc::clone(&self.client));
    }
}

/// Where the committed records of a partition begin and end.
fn extent(client: &Native, topic: &TopicName, number: i32, deadline: Instant) -> Result<(i64, i64), Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(RETRY);
        // The client reads committed records, so its end is the last stable offset.
        match client.client().fetch_watermarks(topic.as_str(), number, left) {
            Ok(extent) => return Ok(extent),
            Err(KafkaError::MetadataFetch(code)) if is_passing(code) && Instant::now() + RETRY < deadline => {
                pause(RETRY)
            }
            Err(error) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                return Err(failed(
                    code,
                    &format!("failed to read the offsets of {topic}/{number}: {error}"),
                ));
            }
        }
    }
}

fn failed(code: Code, message: &str) -> Error {
    match code {
        Code::TopicAuthorizationFailed => Error::user(message),
        // Also an offset that retention or compaction has passed: reading begins anew.
        _ => Error::external(message),
    }
}
