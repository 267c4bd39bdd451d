//! A member of a consumer group that hands records over in batches of one partition.
//!
//! One queue carries everything: records, ends of partitions, errors, rebalances. librdkafka drops what a revocation or a
//! seek has outdated inside the queue; what was already taken out of it is dropped here.

use super::assignment::{Assignment, Revocation, State};
use super::client::Rebalance;
use super::config::Settings;
use super::lag::behind;
use super::native::{CommittedRaw, Failure, Fetched, GroupMetadata, Message, Native, Queue};
use super::watchdog::{pause, retire, within};
use crate::{Committed, Consumer, Error, Event, Partition, RecordView, Records, Start};
use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages taken from the queue at once.
const BATCH: usize = 4096;
/// How long the first message of a batch waits for more.
const LINGER: Duration = Duration::from_millis(5);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(5);
/// How long a topic may look unknown after the start: brokers learn of new ones one by one.
const SETTLING: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(20);

/// Reads what its group assigns to it.
pub struct KafkaConsumer {
    ready: VecDeque<KafkaRecords>,
    failed: VecDeque<Error>,
    queue: Queue,
    native: Arc<Native>,
    topics: Arc<[String]>,
    assignment: Assignment,
    revocation: Option<Revocation>,
    membership: KafkaMembership,
    settings: Settings,
    opened: Instant,
    closed: bool,
}

/// Proof of membership: group, member and generation, as of one assignment.
#[derive(Clone)]
pub struct KafkaMembership {
    /// None: not a member. Positions committed then would be fenced by nothing, so they are not.
    pub(super) metadata: Option<Arc<GroupMetadata>>,
    pub(super) topics: Arc<[String]>,
}

impl KafkaConsumer {
    pub(super) fn join(native: Arc<Native>, topics: Arc<[String]>, settings: Settings) -> Result<Self, Error> {
        let queue = Queue::of(&native).ok_or_else(|| Error::external("the consumer has no queue"))?;
        let mut subscription = TopicPartitionList::with_capacity(topics.len());
        for topic in topics.iter() {
            subscription.add_topic_unassigned(topic);
        }
        let subscribed = native.subscribe(&subscription);
        subscribed.map_err(|error| Error::external(format!("failed to subscribe to {}: {error}", topics.join(", "))))?;
        Ok(Self {
            ready: VecDeque::new(),
            failed: VecDeque::new(),
            queue,
            native,
            assignment: Assignment::new(Arc::clone(&topics)),
            revocation: None,
            membership: KafkaMembership { metadata: None, topics: Arc::clone(&topics) },
            topics,
            settings,
            opened: Instant::now(),
            closed: false,
        })
    }

    /// Turns the group's decision into an event; None if it needed no answer but ours.
    fn rebalanced(&mut self, decision: Rebalance) -> Result<Option<Event<KafkaRecords>>, Error> {
        // Taken together with the decision: asked for later, it could belong to another one.
        let metadata = self.native.group_metadata().filter(|now| now.generation() >= 0 && now.has_member());
        self.membership.metadata = metadata.map(Arc::new);
        match decision {
            Rebalance::Assign(named) => {
                let partitions = self.numbered(&named);
                if partitions.is_empty() {
                    self.native.incremental_assign(&TopicPartitionList::new()).map_err(answering)?;
                }
                for partition in &partitions {
                    self.assignment.set(*partition, State::Waiting);
                }
                Ok(Some(Event::Assigned(partitions)))
            }
            Rebalance::Revoke { partitions, lost } => {
                let partitions = self.numbered(&partitions);
                self.revoked(partitions, lost, false)
            }
            Rebalance::Failed(code) => {
                tracing::warn!(%code, "the group failed; joining again");
                self.revoked(self.assignment.all(), true, true)
            }
        }
    }

    fn revoked(
        &mut self,
        partitions: Vec<Partition>,
        lost: bool,
        everything: bool,
    ) -> Result<Option<Event<KafkaRecords>>, Error> {
        if lost {
            self.membership.metadata = None;
        }
        for partition in &partitions {
            self.assignment.set(*partition, State::Going);
        }
        self.ready.retain(|records| !partitions.contains(&records.partition));
        let left = partitions.iter().copied().collect();
        self.revocation = Some(Revocation { partitions: partitions.clone(), left, everything });
        if partitions.is_empty() {
            self.answer_revocation()?;
            return Ok(None);
        }
        Ok(Some(Event::Revoked { partitions, lost }))
    }

    /// Lets the group go on once everything that was revoked is released.
    fn answer_revocation(&mut self) -> Result<(), Error> {
        let Some(revocation) = self.revocation.take_if(|revocation| revocation.left.is_empty()) else { return Ok(()) };
        if revocation.everything {
            let unassigned = self.native.unassign_all();
            return unassigned.map_err(|error| Error::external(format!("failed to give partitions up: {error}")));
        }
        self.native.incremental_unassign(&self.assignment.list(&revocation.partitions)?).map_err(answering)
    }

    fn numbered(&self, named: &[(String, i32)]) -> Vec<Partition> {
        named.iter().filter_map(|(topic, number)| self.assignment.numbered(topic, *number)).collect()
    }

    /// Fills `ready` and `failed` with what comes within `timeout`.
    fn fetch(&mut self, timeout: Duration) {
        let mut fetched = Fetched::empty(&self.native);
        self.native.fetch(&self.queue, timeout, 1, &mut fetched);
        if !fetched.is_empty() && !self.native.context().has_rebalance() {
            self.native.fetch(&self.queue, LINGER, BATCH - 1, &mut fetched);
        }
        while let [first, rest @ ..] = fetched.as_slice() {
            if let Some(code) = first.error() {
                let event = fetched.take_first(1);
                self.event(code, &event.as_slice()[0]);
            } else {
                let more = rest.iter().take_while(|next| next.error().is_none() && next.same_partition(first)).count();
                let run = fetched.take_first(1 + more);
                self.add(run);
            }
        }
    }

    /// Puts a run of records of one partition beside those of the same partition.
    fn add(&mut self, run: Fetched) {
        let (Some(first), Some(last)) = (run.as_slice().first(), run.as_slice().last()) else { return };
        let next_offset = last.offset() + 1;
        let Some(partition) = self.assignment.numbered(&first.topic(), first.partition()) else { return };
        if self.assignment.state(partition) != Some(State::Delivered) {
            return;
        }
        let records = self.ready_of(partition);
        records.fetched.append(run);
        records.next_offset = next_offset;
    }

    /// What is ready of a partition, to be added to.
    fn ready_of(&mut self, partition: Partition) -> &mut KafkaRecords {
        let at = self.ready.iter().position(|records| records.partition == partition).unwrap_or_else(|| {
            let fetched = Fetched::empty(&self.native);
            self.ready.push_back(KafkaRecords { partition, fetched, next_offset: 0 });
            self.ready.len() - 1
        });
        &mut self.ready[at]
    }

    /// A message that is not a record.
    fn event(&mut self, code: Code, message: &Message) {
        let partition = self.assignment.numbered(&message.topic(), message.partition());
        if code == Code::PartitionEOF {
            let Some(partition) = partition else { return };
            if self.assignment.state(partition) == Some(State::Delivered) {
                self.assignment.saw_end(partition, message.offset());
                self.ready_of(partition).next_offset = message.offset();
            }
            return;
        }
        let (topic, number, offset, text) = (message.topic(), message.partition(), message.offset(), message.text());
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => self.failed.push_back(Error::user(format!(
                "{topic}/{number}: offset {offset} is not in the log (any more): {text}"
            ))),
            Code::UnknownTopicOrPartition | Code::UnknownTopic if self.opened.elapsed() > SETTLING => {
                self.failed.push_back(Error::user(format!("source topic {topic} does not exist: {text}")));
            }
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed => {
                self.failed.push_back(Error::user(format!("not allowed to read {topic}: {text}")));
            }
            Code::FencedInstanceId => self.failed.push_back(Error::fenced(format!("another member has our name: {text}"))),
            Code::Fatal => self.failed.push_back(Error::external(format!("the consumer failed for good: {text}"))),
            _ => tracing::warn!(%topic, partition = number, offset, %code, "{text}"),
        }
    }

    /// Starts partitions again that are fetched already. What was fetched before is outdated afterwards.
    fn seek(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        self.ready.retain(|records| !offsets.iter().any(|(partition, _)| *partition == records.partition));
        let deadline = Instant::now() + self.settings.request_timeout;
        let mut left = offsets.to_vec();
        loop {
            let list = self.assignment.list_at(&left)?;
            let sought = self.native.seek(&list, self.settings.request_timeout);
            sought.map_err(|failure| Error::external(format!("failed to seek: {failure}")))?;
            let failed = |(partition, _): &(Partition, i64)| {
                let topic = self.assignment.topic(*partition).unwrap_or_default();
                list.find_partition(topic, partition.number).is_none_or(|element| element.error().is_err())
            };
            left.retain(failed);
            if left.is_empty() {
                return Ok(());
            }
            // A partition that was assigned a moment ago is not being fetched yet, and cannot be moved.
            if Instant::now() >= deadline {
                return Err(Error::external(format!("failed to seek {} partitions", left.len())));
            }
            pause(RETRY);
        }
    }

    /// Asks until an answer comes or its time is up.
    fn insist<T>(&self, what: &str, limit: Duration, ask: impl Fn() -> Result<Option<T>, Error>) -> Result<T, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                return Err(Error::external(format!("failed to {what} within {limit:?}")));
            }
            pause(RETRY);
        }
    }
}

fn answering(failure: Failure) -> Error {
    let message = format!("failed to answer a rebalance: {failure}");
    if failure.fatal { Error::fenced(message) } else { Error::external(message) }
}

/// Whether an answer may be different in a moment.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::UnstableOffsetCommit
            | Code::OperationTimedOut
            | Code::BrokerTransportFailure
            | Code::WaitingForCoordinator
            | Code::AllBrokersDown
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
    )
}

impl Consumer for KafkaConsumer {
    type Records = KafkaRecords;
    type Membership = KafkaMembership;

    fn poll(&mut self, timeout: Duration) -> Result<Event<KafkaRecords>, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(decision) = self.native.context().next_rebalance() {
                if let Some(event) = self.rebalanced(decision)? {
                    return Ok(event);
                }
                continue;
            }
            if let Some(records) = self.ready.pop_front() {
                return Ok(Event::Records(records));
            }
            if let Some(error) = self.failed.pop_front() {
                return Err(error);
            }
            if let Some(reason) = self.native.context().refusal() {
                return Err(Error::user(format!("the brokers refuse this client: {reason}")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.fetch(left);
            let found = !self.ready.is_empty() || !self.failed.is_empty() || self.native.context().has_rebalance();
            if !found && Instant::now() >= deadline {
                return Ok(Event::Idle);
            }
        }
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let ask = || {
            let list = self.assignment.list(partitions)?;
            let found = match self.native.committed(&list, self.settings.request_timeout) {
                Ok(found) => found,
                Err(code) if is_passing(code) => return Ok(None),
                Err(code) => return Err(Error::external(format!("failed to read committed offsets: {code}"))),
            };
            if found.iter().any(|of| of.error.is_some_and(is_passing)) {
                return Ok(None);
            }
            partitions.iter().map(|partition| self.committed_of(*partition, &found)).collect::<Result<_, _>>().map(Some)
        };
        // An open transaction of a lost member holds the answer back until it times out.
        let limit = self.settings.transaction_timeout * 2 + self.settings.request_timeout;
        self.insist("read committed offsets", limit, ask)
    }

    fn resolve(&mut self, partition: Partition, start: Start) -> Result<i64, Error> {
        let (topic, number) = (self.assignment.topic(partition)?, partition.number);
        let ask = || match self.native.client().fetch_watermarks(topic, number, self.settings.request_timeout) {
            // The client reads committed records, so its end is the last stable offset.
            Ok((first, end)) => Ok(Some(if start == Start::Earliest { first } else { end })),
            Err(KafkaError::MetadataFetch(code)) if is_passing(code) => Ok(None),
            Err(error) => Err(Error::external(format!("failed to read the offsets of {topic}/{number}: {error}"))),
        };
        self.insist(&format!("read the offsets of {topic}/{number}"), self.settings.request_timeout, ask)
    }

    fn resume_at(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        let (mut new, mut again) = (Vec::new(), Vec::new());
        for (partition, offset) in offsets {
            match self.assignment.state(*partition) {
                Some(State::Waiting) => new.push((*partition, *offset)),
                Some(State::Delivered) => again.push((*partition, *offset)),
                Some(State::Going) => {}
                None => {
                    let topic = self.assignment.topic(*partition)?;
                    return Err(Error::external(format!("{topic}/{} is not assigned to us", partition.number)));
                }
            }
        }
        if !new.is_empty() {
            self.native.incremental_assign(&self.assignment.list_at(&new)?).map_err(answering)?;
            for (partition, _) in &new {
                self.assignment.set(*partition, State::Delivered);
            }
        }
        if !again.is_empty() {
            self.seek(&again)?;
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        for partition in partitions {
            self.assignment.remove(*partition);
            if let Some(revocation) = &mut self.revocation {
                revocation.left.remove(partition);
            }
        }
        self.ready.retain(|records| !partitions.contains(&records.partition));
        self.answer_revocation()
    }

    fn membership(&mut self) -> Result<KafkaMembership, Error> {
        Ok(self.membership.clone())
    }

    fn cluster_id(&mut self) -> Result<String, Error> {
        let found = self.native.client().fetch_cluster_id(self.settings.request_timeout);
        found.ok_or_else(|| Error::external(format!("failed to reach the cluster: {}", self.native.context().last_error())))
    }

    fn lag(&mut self, partition: Partition, position: i64) -> Option<i64> {
        let topic = self.assignment.topic(partition).ok()?;
        let last_stable = self.native.context().statistics().last_stable_offset(topic, partition.number);
        behind(position, last_stable, self.assignment.seen_end(partition))
    }

    fn buffered_bytes(&mut self) -> u64 {
        let ready: usize = self.ready.iter().map(Records::bytes).sum();
        self.native.context().statistics().fetched_bytes() + ready as u64
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.ready.clear();
        self.native.context().start_closing();
        let native = Arc::clone(&self.native);
        if within(CLOSE, "leave group", move || native.close_consumer()).is_none() {
            tracing::warn!("leaving the consumer group takes too long; the group will find out by itself");
        }
    }
}

impl KafkaConsumer {
    fn committed_of(&self, partition: Partition, found: &[CommittedRaw]) -> Result<Option<Committed>, Error> {
        let topic = self.assignment.topic(partition)?;
        let of = found.iter().find(|of| of.topic == topic && of.partition == partition.number);
        let Some(of) = of else {
            return Err(Error::external(format!("no answer about the committed offset of {topic}/{}", partition.number)));
        };
        if let Some(code) = of.error {
            let number = partition.number;
            return Err(Error::external(format!("failed to read the committed offset of {topic}/{number}: {code}")));
        }
        let metadata = String::from_utf8_lossy(&of.metadata).into_owned();
        Ok(of.offset.map(|offset| Committed { offset, metadata }))
    }

    /// Names of the source topics, by the `topic` of a [`Partition`].
    pub fn topics(&self) -> &[String] {
        &self.topics
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.close();
        retire(Arc::clone(&self.native));
    }
}

/// Records of one partition, in librdkafka's buffers until dropped.
pub struct KafkaRecords {
    partition: Partition,
    fetched: Fetched,
    next_offset: i64,
}

impl Records for KafkaRecords {
    fn partition(&self) -> Partition {
        self.partition
    }

    fn len(&self) -> usize {
        self.fetched.as_slice().len()
    }

    fn get(&self, at: usize) -> RecordView<'_> {
        self.fetched.as_slice()[at].record()
    }

    fn headers(&self, at: usize, each: &mut dyn FnMut(&str, Option<&[u8]>)) {
        self.fetched.as_slice()[at].headers(each);
    }

    fn next_offset(&self) -> i64 {
        self.next_offset
    }

    fn bytes(&self) -> usize {
        let bytes = |message: &Message| {
            let record = message.record();
            record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
        };
        self.fetched.as_slice().iter().map(bytes).sum()
    }
}
