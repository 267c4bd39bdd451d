//! The loop of a runner: read, step, send, commit; and what happens when partitions come and go or a commit fails.
//!
//! One thread calls [`Worker::turn`] again and again. All partitions of the runner share one open transaction.

mod alignment;
mod bookkeeping;
mod notes;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_connect::store::CheckpointStore;
use millrace_connect::{CommitError, Connector, Consumer, Event, Partition, Producer, Records, Start};
use millrace_engine::{Effects, Input, Program, Record};

use crate::commit::{Checkpointed, commit};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::output::{Origin, Output, Routes};
use crate::recover::Recovery;
use crate::status::{Status, TroubleKind};
use crate::task::Task;
use crate::worker::tables::Tables;

type RecordsOf<C> = <<C as Connector>::Consumer as Consumer>::Records;

/// How often chains are told the time while no records come, in milliseconds.
const TICK: i64 = 100;

/// Time between two ticks in which nobody looked for records: it does not count as idle. In milliseconds.
const BLIND: i64 = 10_000;

/// How long to wait before a checkpoint that the disk refused is tried again.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// One runner's share of a pipeline.
pub struct Worker<C: Connector, S> {
    connector: C,
    store: S,
    program: Arc<Program>,
    transactional_id: String,
    routes: Routes,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    cluster_id: String,
    /// How many partitions each topic that is read has.
    partitions: Vec<u32>,
    consumer: C::Consumer,
    tables: Tables<C::Follower>,
    producer: C::Producer,
    membership: C::Membership,
    tasks: BTreeMap<Partition, Task>,
    effects: Effects,
    next_commit: Instant,
    uncommitted_since: Option<Instant>,
    /// Acknowledged ones.
    commits: u32,
    last_commit: Option<Instant>,
    next_observation: Instant,
    /// Milliseconds since the epoch; None where the plan does not go by the clock.
    clock: Option<Box<dyn Fn() -> i64 + Send>>,
    last_tick: Option<i64>,
}

/// What a worker is opened with, besides both its ends.
pub struct Opening<'a> {
    /// The compiled plan.
    pub program: Arc<Program>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it says of itself.
    pub status: Arc<Status>,
    /// The runner's name, unique in its pipeline and the same after a restart.
    pub runner_id: &'a str,
}

impl<C: Connector, S: CheckpointStore> Worker<C, S> {
    /// Reads the tables that are topics, opens both sides of the broker and joins the group; partitions come later, by
    /// `turn`. `runner_id` is this runner's name, unique in its pipeline and the same after a restart.
    pub fn open(
        connector: C,
        store: S,
        program: Arc<Program>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        runner_id: &str,
    ) -> Result<Self, Error> {
        let open = Opening {
            program,
            metrics,
            status,
            runner_id,
        };
        Self::open_while(connector, store, open, &mut || true)
    }

    /// As [`Self::open`]; `goes_on` is asked again and again while tables are read.
    pub fn open_while(
        connector: C,
        store: S,
        Opening {
            program,
            metrics,
            status,
            runner_id,
        }: Opening<'_>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Error> {
        // Before the group counts on this runner.
        let tables = Tables::read(&connector, &program, &metrics, goes_on)?;
        let plan = program.plan();
        let routes = Routes::of(plan);
        let transactional_id = format!("millrace-{}-{runner_id}", plan.state_id);
        let producer = connector.open_producer(&transactional_id, &routes.names())?;
        let mut consumer = connector.open_consumer()?;
        let cluster_id = consumer.cluster_id()?;
        let membership = consumer.membership()?;
        let partitions = connector.partitions()?;
        status.well();
        let clock = plan.needs_clock().then(|| Box::new(crate::status::now) as Box<_>);
        Ok(Self {
            clock,
            last_tick: None,
            transactional_id,
            routes,
            next_commit: Instant::now() + program.plan().checkpoint_interval,
            connector,
            store,
            program,
            metrics,
            status,
            cluster_id,
            partitions,
            consumer,
            tables,
            producer,
            membership,
            tasks: BTreeMap::new(),
            effects: Effects::default(),
            uncommitted_since: None,
            commits: 0,
            last_commit: None,
            next_observation: Instant::now(),
        })
    }

    /// The same worker with another clock than the system's: milliseconds since the epoch.
    pub fn with_clock(mut self, clock: impl Fn() -> i64 + Send + 'static) -> Self {
        self.clock = self.clock.map(|_| Box::new(clock) as Box<_>);
        self
    }

    /// Does the next thing there is to do, waiting at most `patience` for it. Returns whether there was anything.
    pub fn turn(&mut self, patience: Duration) -> Result<bool, Error> {
        let mut patience = patience.min(self.next_commit.saturating_duration_since(Instant::now()));
        if self.clock.is_some() {
            patience = patience.min(Duration::from_millis(TICK as u64));
        }
        let changed = self.tables.follow(&self.program, &self.metrics)?;
        let found = match self.consumer.poll(patience)? {
            Event::Idle => changed,
            Event::Assigned(partitions) => self.take(&partitions).map(|()| true)?,
            Event::Revoked { partitions, lost } => self.give(&partitions, lost).map(|()| true)?,
            Event::Records(records) => self.process(&records).map(|()| true)?,
        };
        self.tick()?;
        let found = self.align()? || found;
        let now = Instant::now();
        if now >= self.next_commit {
            self.commit()?;
        }
        if now >= self.next_observation {
            self.observe();
        }
        Ok(found)
    }

    /// Commits everything done so far, if anything was done.
    pub fn commit(&mut self) -> Result<(), Error> {
        match self.try_commit()? {
            None => Ok(()),
            Some(failed) => {
                tracing::warn!(%failed, "starting again from what was committed");
                self.start_again()
            }
        }
    }

    /// Returns the failure after which this worker's producer and tasks must not be used any more.
    fn try_commit(&mut self) -> Result<Option<CommitError>, Error> {
        self.next_commit = Instant::now() + self.program.plan().checkpoint_interval;
        if let Err(error) = self.tell_times() {
            return match Error::from(error) {
                Error::Away(why) => Ok(Some(CommitError::Aborted(why))),
                stop => Err(stop),
            };
        }
        if !self.producer.has_open_transaction() && !self.tasks.values().any(Task::needs_commit) {
            self.status.well();
            return Ok(None);
        }
        let Some(durable) = self.checkpoint()? else {
            return Ok(None);
        };
        let started = Instant::now();
        let bytes: usize = durable.iter().map(Checkpointed::bytes).sum();
        match commit(&mut self.producer, durable, &self.membership) {
            Ok(acknowledged) => {
                self.metrics.checkpoint_seconds.observe(started.elapsed().as_secs_f64());
                self.metrics.checkpoint_bytes.set(bytes as f64);
                self.acknowledge(acknowledged);
                Ok(None)
            }
            Err(CommitError::Fenced(why)) => Err(Error::Fenced(why)),
            Err(failed @ (CommitError::Aborted(_) | CommitError::Indefinite(_))) => {
                self.status.trouble(TroubleKind::CommitFailed, &failed.to_string());
                Ok(Some(failed))
            }
        }
    }

    /// Tells every chain that its input has ended, stage by stage, and commits what that brings. Only for finite inputs.
    pub fn finish(&mut self) -> Result<(), Error> {
        let plan = self.program.plan();
        let (stages, all) = (plan.stages(), plan.all_stages());
        // What is joined must have ended before those that join it.
        for stage in (stages..all).chain(0..stages) {
            self.finish_stage(stage)?;
            self.commit()?;
            while self.turn(Duration::ZERO)? {}
        }
        self.commit()
    }

    fn finish_stage(&mut self, stage: usize) -> Result<(), Error> {
        let tasks = self.tasks.iter().filter(|(_, task)| task.chain.stage() == stage);
        let partitions: Vec<Partition> = tasks.map(|(partition, _)| *partition).collect();
        for partition in partitions {
            self.step(partition, Input::End, None)?;
        }
        Ok(())
    }

    /// Commits and leaves the group. A commit that fails is not tried again: the next owner of the partitions does.
    pub fn leave(mut self) -> Result<(), Error> {
        let committed = self.try_commit();
        self.observe();
        self.consumer.close();
        match committed? {
            None => Ok(()),
            Some(failed) => Err(Error::Away(format!("the last commit: {failed}"))),
        }
    }

    /// The end of each partition of all topics that are read, right now.
    pub fn ends(&mut self) -> Result<BTreeMap<Partition, i64>, Error> {
        let mut ends = BTreeMap::new();
        for (topic, count) in (0..).zip(self.partitions.clone()) {
            for number in 0..count as i32 {
                let partition = Partition { topic, number };
                ends.insert(partition, self.consumer.resolve(partition, Start::Latest)?);
            }
        }
        Ok(ends)
    }

    /// `ends`, which were reached, with those of internal topics as they are once everything so far is committed.
    pub fn ends_behind(&mut self, ends: BTreeMap<Partition, i64>) -> Result<BTreeMap<Partition, i64>, Error> {
        if self.program.plan().stages() == 1 {
            return Ok(ends);
        }
        self.commit()?;
        let now = self.ends()?;
        let is_internal = |partition: &Partition| self.program.plan().is_internal(partition.topic);
        let newest = |(partition, end): (Partition, i64)| match is_internal(&partition) {
            true => (partition, now.get(&partition).copied().unwrap_or(end)),
            false => (partition, end),
        };
        Ok(ends.into_iter().map(newest).collect())
    }

    /// Next offset to read of each partition that this runner has.
    pub fn positions(&self) -> impl Iterator<Item = (Partition, i64)> {
        self.tasks.iter().map(|(partition, task)| (*partition, task.position))
    }

    /// Takes new partitions over from what was last committed for them.
    fn take(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        // Membership goes with the assignment: asked for later, it could vouch for partitions that are gone.
        self.membership = self.consumer.membership()?;
        self.load(partitions)
    }

    /// Lets partitions go: with a last commit, or, where they are another runner's already, without a trace.
    fn give(&mut self, partitions: &[Partition], lost: bool) -> Result<(), Error> {
        tracing::info!(count = partitions.len(), lost, "partitions leave this runner");
        let mut committed = Ok(());
        if !lost {
            // The group's generation has risen already; with the old one the broker would refuse this commit.
            self.membership = self.consumer.membership()?;
            committed = self.commit();
        }
        for partition in partitions {
            if let Some(task) = self.tasks.remove(partition) {
                self.metrics.forget(task.place.topic.as_str(), partition.number);
            }
        }
        self.consumer.release(partitions)?;
        committed?;
        if self.producer.has_open_transaction() {
            // It holds results of partitions that are not ours any more: lost ones, or ones whose last commit the disk
            // refused. Committed later, they would be there twice.
            self.start_again()?;
        }
        Ok(())
    }

    fn process(&mut self, records: &RecordsOf<C>) -> Result<(), Error> {
        let partition = records.partition();
        if !self.tasks.contains_key(&partition) {
            return Ok(());
        }
        let input = views(records);
        if !input.is_empty()
            && let Err(error) = self.take_in(partition, &input, records)
        {
            return self.sending_failed(error);
        }
        if let Some(task) = self.tasks.get_mut(&partition) {
            task.position = task.position.max(records.next_offset());
        }
        self.producer.poll().or_else(|error| self.sending_failed(error))
    }

    /// Lets a chain take records in, at the time that it is now.
    fn take_in(
        &mut self,
        partition: Partition,
        input: &[Record<'_>],
        records: &RecordsOf<C>,
    ) -> Result<(), millrace_connect::Error> {
        if let Some(now) = self.clock.as_ref().map(|clock| clock()) {
            if let Some(task) = self.tasks.get_mut(&partition) {
                task.chain.stir();
            }
            self.step(partition, Input::Clock(now), None)?;
        }
        if !self.program.plan().is_internal(partition.topic) {
            self.metrics.read.inc_by(input.len() as u64);
        }
        self.step(partition, Input::Records(input), Some(records))
    }

    /// Tells every chain the time, now and then, where the plan goes by the clock.
    fn tick(&mut self) -> Result<(), Error> {
        let now = match &self.clock {
            Some(clock) => clock(),
            None => return Ok(()),
        };
        // A clock that was set back must not stop them.
        if self.last_tick.is_some_and(|last| (last..last + TICK).contains(&now)) {
            return Ok(());
        }
        let blind = self.last_tick.is_none_or(|last| now < last || now - last > BLIND);
        self.last_tick = Some(now);
        let partitions: Vec<Partition> = self.tasks.keys().copied().collect();
        for partition in partitions {
            if let Some(task) = self.tasks.get_mut(&partition)
                && (blind || task.paused || self.consumer.lag(partition, task.position) != Some(0))
            {
                // Records that wait, or may wait, must not find their windows closed.
                task.chain.stir();
            }
            if let Err(error) = self.step(partition, Input::Clock(now), None) {
                return self.sending_failed(error);
            }
        }
        Ok(())
    }

    /// One step of a chain, with all that it asks for. `records` are those of the input, if it is records.
    fn step(
        &mut self,
        partition: Partition,
        input: Input<'_>,
        records: Option<&RecordsOf<C>>,
    ) -> Result<(), millrace_connect::Error> {
        let Some(task) = self.tasks.get_mut(&partition) else {
            return Ok(());
        };
        let started = Instant::now();
        self.effects.clear();
        task.chain.step(input, &mut self.effects);
        if let Input::Records(records) = input {
            task.read += records.len() as u64;
            task.read_at = started;
            self.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        }
        if self.effects.changed || !matches!(input, Input::Clock(_)) {
            task.changed = true;
            self.uncommitted_since.get_or_insert(started);
        }
        for (counter, passed) in self.metrics.passed.iter().zip(&self.effects.passed) {
            counter.inc_by(*passed);
        }
        for (counter, expired) in self.metrics.expired.iter().zip(&self.effects.expired) {
            counter.inc_by(*expired);
        }
        let origin = Origin {
            records,
            topic: task.place.topic.as_str(),
            partition: partition.number,
            stage: task.chain.stage(),
        };
        let (plan, metrics) = (self.program.plan(), &*self.metrics);
        let mut output = Output {
            producer: &mut self.producer,
            routes: &self.routes,
            plan,
            metrics,
        };
        output.send(&self.effects, &origin)
    }

    fn sending_failed(&mut self, error: millrace_connect::Error) -> Result<(), Error> {
        match Error::from(error) {
            Error::Away(why) => {
                tracing::warn!(%why, "sending failed: starting again from what was committed");
                self.status.trouble(TroubleKind::BrokerUnreachable, &why);
                self.start_again()
            }
            stop => Err(stop),
        }
    }

    /// Forgets everything that was not committed. A new producer ends the old transaction, one way or the other, and
    /// what the group has committed then is the truth.
    fn start_again(&mut self) -> Result<(), Error> {
        self.metrics.failed_commits.inc();
        self.producer = self
            .connector
            .open_producer(&self.transactional_id, &self.routes.names())?;
        let partitions: Vec<Partition> = self.tasks.keys().copied().collect();
        self.load(&partitions)
    }

    fn load(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let mut recovery = Recovery {
            program: &self.program,
            store: &mut self.store,
            cluster_id: &self.cluster_id,
        };
        let tasks = recovery.tasks(&mut self.consumer, partitions)?;
        let offsets: Vec<(Partition, i64)> = partitions
            .iter()
            .zip(&tasks)
            .map(|(partition, task)| (*partition, task.position))
            .collect();
        self.consumer.resume_at(&offsets)?;
        for (partition, mut task) in partitions.iter().zip(tasks) {
            task.read = self.tasks.get(partition).map_or(0, |before| before.read);
            self.tasks.insert(*partition, task);
        }
        Ok(())
    }

    /// Makes the state of every task that moved durable; None if the disk refused, to be tried again.
    fn checkpoint(&mut self) -> Result<Option<Vec<Checkpointed>>, Error> {
        let mut durable = Vec::new();
        for (partition, task) in self.tasks.iter().filter(|(_, task)| task.needs_commit()) {
            match Checkpointed::save(*partition, task, &self.cluster_id, &mut self.store) {
                Ok(saved) => durable.push(saved),
                Err(error) if error.is_fatal() => return Err(Error::Stop(error.to_string())),
                Err(error) => {
                    tracing::error!(%error, "no checkpoint, so no commit: trying again");
                    self.status.trouble(TroubleKind::CheckpointFailed, &error.to_string());
                    self.next_commit = Instant::now() + DISK_PAUSE;
                    return Ok(None);
                }
            }
        }
        Ok(Some(durable))
    }
}

/// The records of a batch, as the engine takes them.
fn views(batch: &impl Records) -> Vec<Record<'_>> {
    let view = |at: usize| {
        let record = batch.get(at);
        Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
        }
    };
    (0..batch.len()).map(view).collect()
}
