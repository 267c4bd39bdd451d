//! From what was seen to a status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use millrace_crds::{CheckpointStatus, LagStatus, PartitionStatus, PipelineStatus, ThroughputStatus};

use super::Trouble;
use super::conditions::conditions;
use crate::observe::Observation;

/// Largest number that every JSON reader takes as it is, and the most that the schema allows.
const MOST: i64 = 9_007_199_254_740_991;
/// Most runners and partitions that the schema allows.
const MOST_RUNNERS: i32 = 100_000;
const MOST_PARTITIONS: u32 = 1_000_000;

/// Everything that a status is made of.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the object's status says now.
    pub previous: Option<PipelineStatus>,
    /// `metadata.generation` of the spec that was looked at.
    pub generation: i64,
    /// The clock.
    pub now: Timestamp,
    /// How it went to make the cluster as declared.
    pub outcome: Outcome,
    /// The runners.
    pub runners: Runners,
    /// What brokers and runners say.
    pub observation: Option<Arc<Observation>>,
    /// What was counted, from `Observations::totals`.
    pub totals: Totals,
    /// What keeps runners from running, from `trouble`.
    pub trouble: Option<Trouble>,
}

/// How it went to make the cluster as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All children are as declared.
    Applied,
    /// Old runners leave, or have left, and new ones are not told to start yet.
    RollingOut,
    /// The spec has these problems; old runners go on.
    Invalid(Vec<String>),
    /// The spec has no use for these states; old runners go on.
    StateWouldBeLost(Vec<String>),
    /// A child of that name belongs to somebody else: the sentence says which and whose.
    NameTaken(String),
    /// The API server does not allow something: the sentence says what.
    Forbidden(String),
    /// The API server refused something else: the sentence says what.
    Failed(String),
}

/// The runners of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runners {
    /// How many should exist now.
    pub desired: i32,
    /// How many pods exist, those that are leaving included.
    pub replicas: i32,
    /// How many are ready.
    pub ready: i32,
    /// Whether the spec asks for none for now.
    pub suspended: bool,
    /// Label selector of their pods, as a string.
    pub selector: String,
    /// Hash of the plan that they execute.
    pub plan: Option<String>,
    /// Time between commits; None: the spec is invalid.
    pub checkpoint_interval: Option<Duration>,
}

/// What was counted since the object was created, as far as somebody was there to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Late records.
    pub late: i64,
    /// Dead letters.
    pub dead: i64,
}

/// Decides the status.
pub fn decide(seen: &Seen) -> PipelineStatus {
    let nothing = Observation::default();
    let observation = seen.observation.as_deref().unwrap_or(&nothing);
    let previous = seen.previous.as_ref();
    let runners = &seen.runners;
    let seconds_since = |time: i64| (seen.now.as_millisecond().saturating_sub(time)).div_euclid(1000);
    let lag = observation.lag.map(|lag| LagStatus {
        records: count(lag.records),
        seconds: lag.seconds.map(count),
    });
    let throughput = observation.throughput.map(|rate| ThroughputStatus {
        in_per_second: per_second(rate.read),
        out_per_second: per_second(rate.written),
    });
    let partitions = observation
        .partitions
        .map(|partitions| partitions.min(MOST_PARTITIONS) as i32);
    PipelineStatus {
        observed_generation: Some(count(seen.generation)),
        conditions: conditions(seen, observation),
        replicas: runners.replicas.clamp(0, MOST_RUNNERS),
        ready_replicas: runners.ready.clamp(0, MOST_RUNNERS),
        selector: runners.selector.clone(),
        // Topics do not lose partitions: what was known stays true while nobody can be asked.
        partitions: partitions.or_else(|| previous.and_then(|previous| previous.partitions)),
        lag,
        throughput: throughput.filter(|_| runners.replicas > 0),
        watermark_delay_seconds: observation
            .watermark
            .map(|watermark| seconds_since(watermark).clamp(-MOST, MOST)),
        watermark_held_back_by: observation.held_back_by.as_ref().map(|by| PartitionStatus {
            topic: by.topic.clone(),
            partition: by.partition,
        }),
        checkpoint: checkpoint(observation, previous),
        late_records: count(
            seen.totals
                .late
                .max(previous.map_or(0, |previous| previous.late_records)),
        ),
        dead_letters: count(
            seen.totals
                .dead
                .max(previous.map_or(0, |previous| previous.dead_letters)),
        ),
        plan: runners.plan.clone(),
    }
}

/// The latest commit stays a fact when the runners that made it are gone.
fn checkpoint(observation: &Observation, previous: Option<&PipelineStatus>) -> Option<CheckpointStatus> {
    let before = previous.and_then(|previous| previous.checkpoint.clone());
    // Whole seconds: the API server keeps no more, and a status that comes back changed would be written again.
    let at = observation
        .committed_at
        .and_then(|at| Timestamp::from_second(at.div_euclid(1000)).ok());
    let Some(at) = at.filter(|at| before.as_ref().is_none_or(|before| before.completed_at.0 <= *at)) else {
        return before;
    };
    let size_before = before.map_or(0, |before| before.size_bytes);
    Some(CheckpointStatus {
        completed_at: Time(at),
        size_bytes: count(observation.checkpoint_bytes.unwrap_or(size_before)),
    })
}

fn count(number: i64) -> i64 {
    number.clamp(0, MOST)
}

fn per_second(rate: f64) -> i64 {
    count(rate.round() as i64)
}
