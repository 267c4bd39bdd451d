//! A member of a consumer group that hands records over in batches of one partition.
//!
//! One queue carries everything: records, errors, rebalances. librdkafka drops what a revocation or a seek has outdated
//! inside the queue; what was already taken out of it is dropped here. See `fetch` for the records.

use super::assignment::{Assignment, Revocation, State};
use super::client::Rebalance;
use super::config::Settings;
use super::fetch::Tracked;
use super::lag::behind;
use super::native::{Failure, Native, OffsetRaw, Queue};
use super::records::{KafkaMembership, KafkaRecords};
use super::watchdog::{pause, retire, within};
use crate::{Committed, Consumer, Error, Event, Partition, Records, Start};
use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

/// Reads what its group assigns to it.
pub struct KafkaConsumer {
    pub(super) ready: VecDeque<KafkaRecords>,
    pub(super) failed: VecDeque<Error>,
    pub(super) queue: Queue,
    pub(super) native: Arc<Native>,
    topics: Arc<[String]>,
    pub(super) assignment: Assignment,
    pub(super) tracked: Option<Tracked>,
    revocation: Option<Revocation>,
    membership: KafkaMembership,
    /// Those that we have paused.
    paused: BTreeSet<Partition>,
    settings: Settings,
    pub(super) opened: Instant,
    closed: bool,
}

impl KafkaConsumer {
    pub(super) fn join(native: Arc<Native>, topics: Arc<[String]>, settings: Settings) -> Result<Self, Error> {
        let queue = Queue::of(&native).ok_or_else(|| Error::external("the consumer has no queue"))?;
        let mut subscription = TopicPartitionList::with_capacity(topics.len());
        for topic in topics.iter() {
            subscription.add_topic_unassigned(topic);
        }
        let subscribed = native.subscribe(&subscription);
        subscribed
            .map_err(|error| Error::external(format!("failed to subscribe to {}: {error}", topics.join(", "))))?;
        Ok(Self {
            ready: VecDeque::new(),
            failed: VecDeque::new(),
            queue,
            native,
            assignment: Assignment::new(Arc::clone(&topics)),
            revocation: None,
            membership: KafkaMembership {
                metadata: None,
                topics: Arc::clone(&topics),
            },
            topics,
            tracked: None,
            paused: BTreeSet::new(),
            settings,
            opened: Instant::now(),
            closed: false,
        })
    }

    /// Turns the group's decision into an event; None if it needed no answer but ours.
    fn rebalanced(&mut self, decision: Rebalance) -> Result<Option<Event<KafkaRecords>>, Error> {
        // Taken together with the decision: asked for later, it could belong to another one.
        let metadata = self
            .native
            .group_metadata()
            .filter(|now| now.generation() >= 0 && now.has_member());
        self.membership.metadata = metadata.map(Arc::new);
        match decision {
            Rebalance::Assign(named) => {
                let partitions = self.numbered(&named);
                if partitions.is_empty() {
                    self.native
                        .incremental_assign(&TopicPartitionList::new())
                        .map_err(answering)?;
                }
                for partition in &partitions {
                    self.assignment.set(*partition, State::Waiting);
                }
                Ok(Some(Event::Assigned(partitions)))
            }
            Rebalance::Revoke { partitions, lost } => {
                let partitions = self.numbered(&partitions);
                // A revocation can have been on its way when we were thrown out.
                let lost = lost || self.membership.metadata.is_none();
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
        self.tracked = None;
        self.ready.retain(|records| !partitions.contains(&records.partition));
        let left = partitions.iter().copied().collect();
        self.revocation = Some(Revocation {
            partitions: partitions.clone(),
            left,
            everything,
        });
        if partitions.is_empty() {
            self.answer_revocation()?;
            return Ok(None);
        }
        Ok(Some(Event::Revoked { partitions, lost }))
    }

    /// Lets the group go on once everything that was revoked is released.
    fn answer_revocation(&mut self) -> Result<(), Error> {
        let Some(revocation) = self.revocation.take_if(|revocation| revocation.left.is_empty()) else {
            return Ok(());
        };
        if revocation.everything {
            let unassigned = self.native.unassign_all();
            return unassigned.map_err(|error| Error::external(format!("failed to give partitions up: {error}")));
        }
        self.native
            .incremental_unassign(&self.assignment.list(&revocation.partitions)?)
            .map_err(answering)
    }

    fn numbered(&self, named: &[(String, i32)]) -> Vec<Partition> {
        named
            .iter()
            .filter_map(|(topic, number)| self.assignment.numbered(topic, *number))
            .collect()
    }

    /// Starts partitions again that are fetched already. What was fetched before is outdated afterwards.
    fn seek(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        self.ready
            .retain(|records| !offsets.iter().any(|(partition, _)| *partition == records.partition));
        let deadline = Instant::now() + self.settings.request_timeout;
        let mut left = offsets.to_vec();
        loop {
            let list = self.assignment.list_at(&left)?;
            let sought = self.native.seek(&list, self.settings.request_timeout);
            sought.map_err(|failure| Error::external(format!("failed to seek: {failure}")))?;
            let failed = |(partition, _): &(Partition, i64)| {
                let topic = self.assignment.topic(*partition).unwrap_or_default();
                list.find_partition(topic, partition.number)
                    .is_none_or(|element| element.error().is_err())
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
    if failure.fatal {
        Error::fenced(message)
    } else {
        Error::external(message)
    }
}

/// Whether an answer may be different in a moment.
pub(super) fn is_passing(code: Code) -> bool {
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
            if let Some(reason) = self.native.context().refusal()
                && self.assignment.is_empty()
            {
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
            partitions
                .iter()
                .map(|partition| self.committed_of(*partition, &found))
                .collect::<Result<_, _>>()
                .map(Some)
        };
        // An open transaction of a lost member holds the answer back until it times out.
        let limit = self.settings.transaction_timeout * 2 + self.settings.request_timeout;
        self.insist("read committed offsets", limit, ask)
    }

    fn resolve(&mut self, partition: Partition, start: Start) -> Result<i64, Error> {
        let (topic, number) = (self.assignment.topic(partition)?, partition.number);
        let ask = || match self
            .native
            .client()
            .fetch_watermarks(topic, number, self.settings.request_timeout)
        {
            // The client reads committed records, so its end is the last stable offset.
            Ok((first, end)) => Ok(Some(if start == Start::Earliest { first } else { end })),
            Err(KafkaError::MetadataFetch(code)) if is_passing(code) => Ok(None),
            Err(error) => Err(Error::external(format!(
                "failed to read the offsets of {topic}/{number}: {error}"
            ))),
        };
        self.insist(
            &format!("read the offsets of {topic}/{number}"),
            self.settings.request_timeout,
            ask,
        )
    }

    fn resume_at(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        let (mut new, mut again) = (Vec::new(), Vec::new());
        for (partition, offset) in offsets {
            match self.assignment.state(*partition) {
                Some(State::Waiting) => new.push((*partition, *offset)),
                Some(State::Delivered | State::Failed) => again.push((*partition, *offset)),
                Some(State::Going) => {}
                None => {
                    let topic = self.assignment.topic(*partition)?;
                    return Err(Error::external(format!(
                        "{topic}/{} is not assigned to us",
                        partition.number
                    )));
                }
            }
        }
        if !new.is_empty() {
            self.native
                .incremental_assign(&self.assignment.list_at(&new)?)
                .map_err(answering)?;
        }
        if !again.is_empty() {
            // librdkafka remembers who was paused, over seeks too.
            self.unpause(&again.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())?;
            self.seek(&again)?;
        }
        for (partition, offset) in new.iter().chain(&again) {
            self.assignment.start(*partition, *offset);
        }
        self.tracked = None;
        Ok(())
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let running = partitions.iter().filter(|partition| !self.paused.contains(partition));
        let running: Vec<Partition> = running.copied().collect();
        if running.is_empty() {
            return Ok(());
        }
        let paused = self.native.pause(&self.assignment.list(&running)?);
        paused.map_err(|code| Error::external(format!("failed to pause partitions: {code}")))?;
        self.paused.extend(running);
        Ok(())
    }

    fn unpause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let paused: Vec<Partition> = partitions
            .iter()
            .copied()
            .filter(|of| self.paused.contains(of))
            .collect();
        if paused.is_empty() {
            return Ok(());
        }
        let resumed = self.native.resume(&self.assignment.list(&paused)?);
        resumed.map_err(|code| Error::external(format!("failed to go on with partitions: {code}")))?;
        self.paused.retain(|partition| !paused.contains(partition));
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        // It would be paused still when it comes back.
        self.unpause(partitions)?;
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
        found.ok_or_else(|| {
            Error::external(format!(
                "failed to reach the cluster: {}",
                self.native.context().last_error()
            ))
        })
    }

    fn lag(&mut self, partition: Partition, position: i64) -> Option<i64> {
        let topic = self.assignment.topic(partition).ok()?;
        let last_stable = self
            .native
            .context()
            .statistics()
            .last_stable_offset(topic, partition.number);
        behind(position, last_stable)
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
    fn committed_of(&self, partition: Partition, found: &[OffsetRaw]) -> Result<Option<Committed>, Error> {
        let topic = self.assignment.topic(partition)?;
        let of = found
            .iter()
            .find(|of| of.topic == topic && of.partition == partition.number);
        let Some(of) = of else {
            return Err(Error::external(format!(
                "no answer about the committed offset of {topic}/{}",
                partition.number
            )));
        };
        if let Some(code) = of.error {
            let number = partition.number;
            return Err(Error::external(format!(
                "failed to read the committed offset of {topic}/{number}: {code}"
            )));
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
