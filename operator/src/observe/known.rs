//! Everything that is known of one pipeline, and the observation that is made of it. No network; clocks are arguments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_report::{PartitionName, Report, Trouble};

use super::counts::Counts;
use super::{Lag, Observation, RunnerAddress, SourceState, Subject};
use crate::status::{Totals, clean};

/// A runner that has not answered for longer says nothing any more.
const SILENCE: Duration = Duration::from_secs(15);
/// A lag that was measured longer ago is not known any more.
const STALE: Duration = Duration::from_secs(60);

/// What is known of one pipeline.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) subject: Subject,
    counts: Counts,
    /// What the totals stood at when the first look was taken; None: nobody has asked for them yet.
    base: Option<Totals>,
    broker: Option<(Measurement, Instant)>,
    /// By pod.
    reports: BTreeMap<String, (Report, Instant)>,
    committed_at: Option<i64>,
    /// By topic and partition: offset and bytes of the newest checkpoint.
    checkpoints: BTreeMap<(String, i32), (i64, u64)>,
    /// Most partitions of each topic that runners ever had: topics only grow.
    partitions: BTreeMap<String, i32>,
}

/// What a broker said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measurement {
    pub(super) source: SourceState,
    pub(super) lag: Option<Lag>,
    /// Partitions of all topics; None: not told this time.
    pub(super) partitions: Option<u32>,
}

impl Known {
    /// Nothing yet. `epoch` is now, in milliseconds since the epoch.
    pub(super) fn new(subject: Subject, epoch: i64) -> Self {
        Self {
            subject,
            counts: Counts::new(epoch),
            base: None,
            broker: None,
            reports: BTreeMap::new(),
            committed_at: None,
            checkpoints: BTreeMap::new(),
            partitions: BTreeMap::new(),
        }
    }

    /// Goes on with what changed about the subject. Returns whether somebody new is to be asked.
    pub(super) fn update(&mut self, subject: Subject) -> bool {
        let (old, new) = (&self.subject.plan.source, &subject.plan.source);
        let same_source = (&old.connection, &old.topics, &old.group) == (&new.connection, &new.topics, &new.group);
        if !same_source {
            self.broker = None;
            self.partitions.clear();
            self.checkpoints.clear();
        }
        let same_runners = self.subject.runners == subject.runners;
        let here = |pod: &String| subject.runners.iter().any(|runner| runner.pod == *pod);
        self.reports.retain(|pod, _| here(pod));
        self.subject = subject;
        !same_source || !same_runners
    }

    /// Notes what the broker said. The number of partitions stays known where it is not told.
    pub(super) fn broker_said(&mut self, mut measurement: Measurement, now: Instant) {
        let before = self.broker.take().and_then(|(before, _)| before.partitions);
        measurement.partitions = measurement.partitions.or(before);
        self.broker = Some((measurement, now));
    }

    /// Notes what runners answered.
    pub(super) fn runners_said(&mut self, answers: Vec<(RunnerAddress, Report)>, now: Instant) {
        let runners = &self.subject.runners;
        let answers = answers.into_iter().filter(|(from, _)| runners.contains(from));
        let answers: Vec<(String, Report)> = answers.map(|(from, report)| (from.pod, report)).collect();
        self.counts
            .take(answers.iter().map(|(pod, report)| (pod.as_str(), report)), now);
        for (pod, report) in answers {
            self.committed_at = self.committed_at.max(report.committed_at);
            for of in &report.partitions {
                let most = self.partitions.entry(of.topic.clone()).or_default();
                *most = (*most).max(of.partition.saturating_add(1));
                let Some((offset, bytes)) = of.committed.zip(of.checkpoint_bytes) else {
                    continue;
                };
                let newest = self.checkpoints.entry((of.topic.clone(), of.partition)).or_default();
                *newest = (*newest).max((offset, bytes));
            }
            self.reports.insert(pod, (report, now));
        }
    }

    /// The totals since the object was created, given what its status says.
    pub(super) fn totals(&mut self, status: Totals) -> Totals {
        let (late, dead) = self.counts.late_and_dead();
        let counted = Totals {
            late: signed(late),
            dead: signed(dead),
        };
        let base = *self.base.get_or_insert(Totals {
            late: status.late - counted.late,
            dead: status.dead - counted.dead,
        });
        let (floor_late, floor_dead) = self.counts.floor();
        Totals {
            late: status.late.max(base.late + counted.late).max(signed(floor_late)),
            dead: status.dead.max(base.dead + counted.dead).max(signed(floor_dead)),
        }
    }

    /// What is known now.
    pub(super) fn observation(&self, now: Instant) -> Observation {
        let fresh = || {
            self.reports
                .values()
                .filter(|(_, at)| now.duration_since(*at) <= SILENCE)
        };
        let reports: Vec<&Report> = fresh().map(|(report, _)| report).collect();
        let by_runners = self.lag_of_runners(&reports);
        let measured = self.broker.as_ref();
        let asked = measured.filter(|(measurement, _)| measurement.source != SourceState::NotAsked);
        let (lag, lag_at) = match asked {
            Some((measurement, at)) => (measurement.lag, Some(*at)),
            None => (by_runners.map(|(lag, _)| lag), fresh().map(|(_, at)| *at).min()),
        };
        let is_known = lag_at.is_some_and(|at| now.duration_since(at) <= STALE);
        let partitions = reports.iter().flat_map(|report| &report.partitions);
        let slowest = millrace_report::slowest(partitions, self.subject.plan.stages());
        let (late, dead) = self.counts.late_and_dead();
        let is_here = |pod: &str| self.subject.runners.iter().any(|runner| runner.pod == pod);
        Observation {
            source: measured.map(|(measurement, _)| measurement.source.clone()),
            lag: lag.filter(|_| is_known),
            lag_at: lag_at.filter(|_| is_known && lag.is_some()),
            partitions: match asked {
                Some((measurement, _)) => measurement.partitions,
                None => by_runners.map(|(_, partitions)| partitions),
            },
            throughput: self.counts.throughput(is_here, now),
            watermark: slowest.as_ref().and_then(|slowest| slowest.watermark),
            held_back_by: slowest
                .and_then(|slowest| slowest.held_back_by)
                .filter(is_of(&self.subject)),
            committed_at: self.committed_at,
            uncommitted_since: reports.iter().filter_map(|report| report.uncommitted_since).min(),
            checkpoint_bytes: self.checkpoint_bytes(),
            late,
            dead,
            trouble: reports.iter().find_map(|report| report.trouble.as_ref()).map(cleaned),
        }
    }

    fn checkpoint_bytes(&self) -> Option<i64> {
        let bytes = self.checkpoints.values().map(|(_, bytes)| *bytes);
        bytes.reduce(u64::saturating_add).map(signed)
    }

    /// The sum over all partitions, and how many there are; None unless runners have all of them, each once.
    fn lag_of_runners(&self, reports: &[&Report]) -> Option<(Lag, u32)> {
        let (mut records, mut all) = (0_i64, 0_u32);
        for topic in self.subject.plan.topics() {
            let partitions = reports.iter().flat_map(|report| &report.partitions);
            let mut of_topic: Vec<_> = partitions.filter(|of| of.topic == topic.as_str()).collect();
            of_topic.sort_by_key(|of| of.partition);
            let numbers = of_topic.iter().map(|of| of.partition);
            let expected = *self.partitions.get(topic.as_str())?;
            if !numbers.eq(0..expected) {
                return None;
            }
            for of in of_topic {
                records = records.saturating_add(of.lag_records?.max(0));
                all += 1;
            }
        }
        let seconds = (records == 0).then_some(0);
        Some((Lag { records, seconds }, all))
    }
}

/// What a runner says is not trusted: the partition must be one of a topic that the plan reads.
fn is_of(subject: &Subject) -> impl Fn(&PartitionName) -> bool {
    let topics = subject.plan.topics();
    move |name| name.partition >= 0 && topics.iter().any(|topic| topic.as_str() == name.topic)
}

fn cleaned(trouble: &Trouble) -> Trouble {
    Trouble {
        reason: trouble
            .reason
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(64)
            .collect(),
        message: clean(&trouble.message),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
