//! Everything about one pipeline, for people. No network, no clock.

use std::fmt::Write;

use jiff::Timestamp;
use millrace_crds::PipelineStatus;

use super::detail::Detail;
use super::samples::{Partition, Runner};
use millrace_plan::count;

use crate::output::{Table, UNKNOWN, age, bytes, known};

/// Some lines and three tables.
pub fn render(detail: &Detail, now: Timestamp) -> String {
    let mut text = format!("{} {}/{}\n", detail.kind, detail.namespace, detail.name);
    match &detail.status {
        None => text += "nothing is known yet: the controller has not seen it. Is it running?\n",
        Some(status) => {
            summary(detail, status, now, &mut text);
            text += &section(&conditions(status, now));
        }
    }
    text += &section(&runners(&detail.runners));
    for runner in &detail.runners {
        for line in remarks(runner) {
            let _infallible = writeln!(text, "  {}: {line}", runner.pod);
        }
    }
    text += &section(&partitions(&detail.partitions, now));
    let told = detail.partitions.len();
    let all = detail.status.as_ref().and_then(|status| status.partitions);
    if let Some(all) = all.and_then(|all| usize::try_from(all).ok())
        && told < all
        && !detail.runners.is_empty()
    {
        let _infallible = writeln!(
            text,
            "  {told} of {} have a runner that answered",
            count(all, "partition")
        );
    }
    text
}

/// An empty line and the table; nothing for an empty one.
fn section(table: &Table) -> String {
    if table.is_empty() {
        String::new()
    } else {
        format!("\n{table}")
    }
}

fn summary(detail: &Detail, status: &PipelineStatus, now: Timestamp, text: &mut String) {
    let mut line = |heading: &str, words: String| {
        let _infallible = writeln!(text, "{heading:<11} {words}");
    };
    line("Lag", lag(status));
    line("Throughput", throughput(status));
    line("Watermark", watermark(status));
    line("Checkpoint", checkpoint(status, now));
    let (late, dead) = (status.late_records, status.dead_letters);
    line("Late, dead", format!("{late} late records, {dead} dead letters"));
    let of = status
        .partitions
        .map(|all| format!(", for {}", count(all.unsigned_abs() as usize, "partition")));
    let (ready, all) = (status.ready_replicas, status.replicas);
    line("Runners", format!("{ready} of {all} ready{}", of.unwrap_or_default()));
    if status.observed_generation != detail.generation {
        line("Spec", "changed since the controller last looked".to_owned());
    }
}

fn lag(status: &PipelineStatus) -> String {
    let Some(lag) = &status.lag else {
        return UNKNOWN.to_owned();
    };
    let time = lag.seconds.map(|seconds| format!(", {}", age(seconds)));
    format!(
        "{}{}",
        count(usize::try_from(lag.records).unwrap_or_default(), "record"),
        time.unwrap_or_default()
    )
}

fn throughput(status: &PipelineStatus) -> String {
    status.throughput.as_ref().map_or(UNKNOWN.to_owned(), |throughput| {
        format!("{}/s in, {}/s out", throughput.in_per_second, throughput.out_per_second)
    })
}

fn watermark(status: &PipelineStatus) -> String {
    let delay = status.watermark_delay_seconds;
    let behind = delay.map_or(UNKNOWN.to_owned(), |delay| format!("{} behind the clock", age(delay)));
    let by = status.watermark_held_back_by.as_ref();
    let by = by.map(|by| format!(", held back by partition {} of {}", by.partition, by.topic));
    behind + &by.unwrap_or_default()
}

fn checkpoint(status: &PipelineStatus, now: Timestamp) -> String {
    status.checkpoint.as_ref().map_or(UNKNOWN.to_owned(), |checkpoint| {
        let ago = age(now.as_second() - checkpoint.completed_at.0.as_second());
        format!("{ago} ago, {}", bytes(checkpoint.size_bytes))
    })
}

fn conditions(status: &PipelineStatus, now: Timestamp) -> Table {
    let mut table = Table::new(&["CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"]);
    for condition in &status.conditions {
        let since = age(now.as_second() - condition.last_transition_time.0.as_second());
        let (reason, message) = (condition.reason.clone(), condition.message.clone());
        table.row(vec![
            condition.type_.clone(),
            condition.status.clone(),
            since,
            reason,
            message,
        ]);
    }
    table
}

fn runners(runners: &[Runner]) -> Table {
    let mut table = Table::new(&["RUNNER", "PHASE", "READY", "RESTARTS", "IN/S", "OUT/S", "TROUBLE"]);
    for runner in runners {
        let trouble = runner.trouble.as_ref().map(|trouble| trouble.reason.clone());
        table.row(vec![
            runner.pod.clone(),
            runner.phase.clone(),
            if runner.ready { "yes" } else { "no" }.to_owned(),
            runner.restarts.to_string(),
            rate(runner.read_per_second),
            rate(runner.written_per_second),
            trouble.unwrap_or_default(),
        ]);
    }
    table
}

/// What does not fit into the table.
fn remarks(runner: &Runner) -> impl Iterator<Item = String> {
    let trouble = runner.trouble.as_ref().map(|trouble| trouble.message.clone());
    let silence = runner.silence.as_ref().map(|why| format!("says nothing: {why}"));
    let last_words = runner.last_words.as_ref().map(|words| format!("ended with: {words}"));
    [trouble, silence, last_words].into_iter().flatten()
}

fn partitions(partitions: &[Partition], now: Timestamp) -> Table {
    let head = [
        "TOPIC",
        "PARTITION",
        "LAG",
        "IN/S",
        "WATERMARK",
        "CHECKPOINT",
        "SIZE",
        "OFFSET",
        "RUNNER",
    ];
    let mut table = Table::new(&head);
    for Partition {
        runner,
        report,
        read_per_second,
    } in partitions
    {
        // Clocks differ a little: nothing was committed in the future.
        let ago = |millis: i64| age((now.as_millisecond() - millis).max(0) / 1000);
        let behind = |watermark: i64| age((now.as_millisecond() - watermark) / 1000);
        table.row(vec![
            report.topic.clone(),
            report.partition.to_string(),
            known(report.lag_records),
            rate(*read_per_second),
            known(report.watermark.map(behind)),
            known(report.committed_at.map(ago)),
            known(
                report
                    .checkpoint_bytes
                    .map(|size| bytes(i64::try_from(size).unwrap_or(i64::MAX))),
            ),
            known(report.committed),
            runner.clone(),
        ]);
    }
    table
}

/// Whole records a second; below ten with a decimal, so that a slow one is not zero.
fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => UNKNOWN.to_owned(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use millrace_report::{PartitionReport, Trouble};

    use super::super::overview::tests::{found, running};
    use super::*;

    fn detail() -> Detail {
        let answers = Runner {
            pod: "flights-runners-1".to_owned(),
            phase: "Running".to_owned(),
            ready: true,
            read_per_second: Some(512.4),
            written_per_second: Some(0.5),
            trouble: Some(Trouble {
                reason: "CheckpointFailed".to_owned(),
                message: "failed to write /var/lib/millrace/x: no space left on device".to_owned(),
            }),
            ..Runner::default()
        };
        let silent = Runner {
            pod: "flights-runners-2".to_owned(),
            phase: "CrashLoopBackOff".to_owned(),
            restarts: 4,
            silence: Some("its container does not run: CrashLoopBackOff".to_owned()),
            last_words: Some("group `x` has no offset".to_owned()),
            ..Runner::default()
        };
        let partition = Partition {
            runner: "flights-runners-1".to_owned(),
            report: PartitionReport {
                topic: "flights".to_owned(),
                partition: 0,
                position: 5010,
                lag_records: Some(12),
                watermark: Some(1_095_000),
                committed: Some(5000),
                committed_at: Some(1_099_500),
                checkpoint_bytes: Some(4096),
                ..PartitionReport::default()
            },
            read_per_second: Some(512.4),
        };
        Detail {
            kind: "StreamPipeline",
            namespace: "default".to_owned(),
            name: "flights".to_owned(),
            generation: Some(2),
            status: found("flights", running()).status(),
            runners: vec![answers, silent],
            partitions: vec![partition],
        }
    }

    #[test]
    fn a_pipeline_is_shown_with_its_conditions_runners_and_partitions() {
        let text = render(&detail(), Timestamp::from_second(1100).unwrap());
        let expected = "\
StreamPipeline default/flights
Lag         1200 records, 2m
Throughput  500/s in, 40/s out
Watermark   5s behind the clock, held back by partition 3 of flights
Checkpoint  2s ago, 2.0Ki
Late, dead  0 late records, 0 dead letters
Runners     1 of 2 ready, for 6 partitions
Spec        changed since the controller last looked

CONDITION   STATUS   SINCE   REASON    MESSAGE
Ready       True     80s     Running   2 runners

RUNNER              PHASE              READY   RESTARTS   IN/S   OUT/S   TROUBLE
flights-runners-1   Running            yes     0          512    0.5     CheckpointFailed
flights-runners-2   CrashLoopBackOff   no      4          -      -
  flights-runners-1: failed to write /var/lib/millrace/x: no space left on device
  flights-runners-2: says nothing: its container does not run: CrashLoopBackOff
  flights-runners-2: ended with: group `x` has no offset

TOPIC     PARTITION   LAG   IN/S   WATERMARK   CHECKPOINT   SIZE    OFFSET   RUNNER
flights   0           12    512    5s          0s           4.0Ki   5000     flights-runners-1
  1 of 6 partitions have a runner that answered
";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_object_that_no_controller_has_seen_says_so() {
        let unseen = Detail {
            status: None,
            runners: Vec::new(),
            partitions: Vec::new(),
            ..detail()
        };
        let text = render(&unseen, Timestamp::from_second(1100).unwrap());
        assert!(text.contains("the controller has not seen it"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
