//! When a status is worth a write to the API server: conditions and numbers of runners at once; other numbers when they
//! moved by a twentieth, at most every ten seconds; the rest, exactly, once a minute. What only grows old is not written.

use std::time::Duration;

use millrace_crds::PipelineStatus;

use super::Reason;

/// Between two writes of numbers.
const PAUSE: Duration = Duration::from_secs(10);
/// After this time numbers that are counted are written as they are.
const LONG: Duration = Duration::from_secs(60);
/// How much older than what is written the latest commit may be.
const CHECKPOINT_SECONDS: i64 = 30;

/// Whether `new` should replace `old`, which was written `since_last_write` ago (None: not by this process).
pub fn worth_writing(old: Option<&PipelineStatus>, new: &PipelineStatus, since_last_write: Option<Duration>) -> bool {
    let Some(old) = old else { return true };
    if must_be_right(old) != must_be_right(new) || said(old) != said(new) {
        return true;
    }
    let since = since_last_write.unwrap_or(Duration::MAX);
    let moved = || moved(old, new) || sentences(old) != sentences(new);
    (since >= PAUSE && moved()) || (since >= LONG && counted(old) != counted(new))
}

/// What others act on.
fn must_be_right(of: &PipelineStatus) -> impl PartialEq + '_ {
    (
        of.observed_generation,
        (of.replicas, of.ready_replicas, of.partitions),
        (&of.selector, &of.plan),
        (of.lag.is_some(), of.throughput.is_some(), of.checkpoint.is_some()),
    )
}

fn said(of: &PipelineStatus) -> Vec<(&str, &str, &str, Option<i64>)> {
    let conditions = of.conditions.iter();
    conditions
        .map(|of| {
            (
                of.type_.as_str(),
                of.status.as_str(),
                of.reason.as_str(),
                of.observed_generation,
            )
        })
        .collect()
}

/// What is said for people. How many records are left is a number, which has its own rule.
fn sentences(of: &PipelineStatus) -> Vec<&str> {
    let conditions = of.conditions.iter().filter(|of| of.reason != Reason::Behind.as_str());
    conditions.map(|of| of.message.as_str()).collect()
}

fn moved(old: &PipelineStatus, new: &PipelineStatus) -> bool {
    let lag = |of: &PipelineStatus| of.lag.as_ref().map(|lag| lag.records);
    let seconds = |of: &PipelineStatus| of.lag.as_ref().and_then(|lag| lag.seconds);
    let read = |of: &PipelineStatus| of.throughput.as_ref().map(|rate| rate.in_per_second);
    let written = |of: &PipelineStatus| of.throughput.as_ref().map(|rate| rate.out_per_second);
    let size = |of: &PipelineStatus| of.checkpoint.as_ref().map(|checkpoint| checkpoint.size_bytes);
    let late = |of: &PipelineStatus| Some(of.late_records);
    let dead = |of: &PipelineStatus| Some(of.dead_letters);
    let numbers: [fn(&PipelineStatus) -> Option<i64>; 7] = [lag, seconds, read, written, size, late, dead];
    let committed = |of: &PipelineStatus| of.checkpoint.as_ref().map_or(0, |last| last.completed_at.0.as_second());
    numbers.iter().any(|number| differ(number(old), number(new)))
        || committed(new) - committed(old) >= CHECKPOINT_SECONDS
        || delay_moved(old, new)
}

/// Whether one is away from the other by more than a twentieth, or one of them is not known.
fn differ(old: Option<i64>, new: Option<i64>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.abs_diff(new).saturating_mul(20) > old.unsigned_abs().max(new.unsigned_abs()),
        (old, new) => old.is_some() != new.is_some(),
    }
}

/// While nothing flows the watermark stands still and its delay is just the time: that is worth a write whenever it has
/// doubled.
fn delay_moved(old: &PipelineStatus, new: &PipelineStatus) -> bool {
    let flows = new.throughput.as_ref().is_some_and(|rate| rate.in_per_second > 0);
    let (old, new) = (old.watermark_delay_seconds, new.watermark_delay_seconds);
    match (old, new) {
        (Some(old), Some(new)) if !flows && new > old => new > old.max(30).saturating_mul(2),
        _ => differ(old, new),
    }
}

fn counted(of: &PipelineStatus) -> impl PartialEq + '_ {
    let size = of.checkpoint.as_ref().map(|checkpoint| checkpoint.size_bytes);
    (
        of.lag.as_ref().map(|lag| lag.records),
        of.late_records,
        of.dead_letters,
        size,
        // In a healthy flow it is one and then the other.
        of.watermark_held_back_by.clone(),
    )
}
