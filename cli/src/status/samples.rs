//! What runners said twice, made into rates and lines of a table. No network, no clock.

use std::collections::BTreeMap;

use millrace_report::{PartitionReport, Report, Trouble};
use serde::Serialize;

/// One runner.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Runner {
    /// Its pod.
    pub pod: String,
    /// As kubectl shows it.
    pub phase: String,
    /// Whether it has joined its group.
    pub ready: bool,
    /// How often its container was started again.
    pub restarts: i32,
    /// Records read a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_per_second: Option<f64>,
    /// Records written a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_per_second: Option<f64>,
    /// What is wrong with it, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<String>,
    /// What it said last before it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_words: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// The pod that reads it.
    pub runner: String,
    /// What the runner says.
    #[serde(flatten)]
    pub report: PartitionReport,
    /// Records read a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_per_second: Option<f64>,
}

/// What one runner said, about a second apart.
#[derive(Clone, Debug)]
pub struct Samples {
    /// First.
    pub first: Option<Report>,
    /// Then.
    pub last: Report,
}

impl Samples {
    /// Records read a second.
    pub fn read_per_second(&self) -> Option<f64> {
        self.rate(|report| Some(report.read))
    }

    /// Records written a second.
    pub fn written_per_second(&self) -> Option<f64> {
        self.rate(|report| Some(report.written))
    }

    /// The partitions that it has.
    pub fn partitions(&self, pod: &str) -> Vec<Partition> {
        let partition = |report: &PartitionReport| {
            let is_it = |other: &&PartitionReport| (&other.topic, other.partition) == (&report.topic, report.partition);
            let read = |of: &Report| of.partitions.iter().find(is_it).map(|found| found.read);
            Partition {
                runner: pod.to_owned(),
                report: report.clone(),
                read_per_second: self.rate(read),
            }
        };
        self.last.partitions.iter().map(partition).collect()
    }

    /// None unless both reports are of the same process and the later one is newer: a count that fell is another count.
    fn rate(&self, count: impl Fn(&Report) -> Option<u64>) -> Option<f64> {
        let (first, last) = (self.first.as_ref()?, &self.last);
        let passed = last.at - first.at;
        let more = count(last)?.checked_sub(count(first)?)?;
        (first.started_at == last.started_at && passed > 0).then(|| more as f64 * 1000.0 / passed as f64)
    }
}

/// All partitions by topic and number. While one moves, the runner that committed last has it.
pub fn merge(partitions: impl IntoIterator<Item = Partition>) -> Vec<Partition> {
    let mut merged: BTreeMap<(String, i32), Partition> = BTreeMap::new();
    for partition in partitions {
        let key = (partition.report.topic.clone(), partition.report.partition);
        let newer = |other: &Partition| {
            (partition.report.committed_at, partition.report.position)
                > (other.report.committed_at, other.report.position)
        };
        if merged.get(&key).is_none_or(newer) {
            merged.insert(key, partition);
        }
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: i64, read: u64, partitions: &[(i32, u64)]) -> Report {
        let partition = |(partition, read): &(i32, u64)| PartitionReport {
            topic: "in".to_owned(),
            partition: *partition,
            read: *read,
            ..PartitionReport::default()
        };
        Report {
            at,
            read,
            written: read / 2,
            partitions: partitions.iter().map(partition).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn rates_are_differences_over_the_time_between_the_reports() {
        let samples = Samples {
            first: Some(report(10_000, 100, &[(0, 100)])),
            last: report(12_000, 700, &[(0, 500), (1, 200)]),
        };
        assert_eq!(
            (samples.read_per_second(), samples.written_per_second()),
            (Some(300.0), Some(150.0))
        );
        let rates: Vec<Option<f64>> = samples.partitions("a").iter().map(|it| it.read_per_second).collect();
        assert_eq!(rates, [Some(200.0), None], "the second partition came in between");
    }

    #[test]
    fn a_rate_that_cannot_be_told_is_left_out() {
        let last = report(12_000, 700, &[]);
        let restarted = Report {
            started_at: 1,
            ..report(10_000, 100, &[])
        };
        for first in [
            None,
            Some(restarted),
            Some(report(12_000, 700, &[])),
            Some(report(11_000, 900, &[])),
        ] {
            let samples = Samples {
                first,
                last: last.clone(),
            };
            assert_eq!(samples.read_per_second(), None, "{:?}", samples.first);
        }
    }

    #[test]
    fn a_partition_that_two_runners_name_is_the_one_that_committed_last() {
        let of = |runner: &str, committed_at| Partition {
            runner: runner.to_owned(),
            report: PartitionReport {
                topic: "in".to_owned(),
                partition: 3,
                committed_at,
                ..PartitionReport::default()
            },
            read_per_second: None,
        };
        let merged = merge([of("old", Some(5)), of("new", Some(9)), of("starting", None)]);
        let runners: Vec<&str> = merged.iter().map(|it| it.runner.as_str()).collect();
        assert_eq!(runners, ["new"]);
    }
}
