//! The numbers of the chosen pipelines, or why there are none. No clock: the time is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Metric;
use crate::key::ObjectKey;
use crate::observe::{Observation, SourceState};
use crate::serving::failure::Failure;

/// Age from which a number says nothing any more.
const STALE: Duration = Duration::from_secs(60);
/// The numbers are of one moment.
pub(super) const WINDOW_SECONDS: i64 = 0;
const KIND: &str = "millrace.io/kind";
const NAME: &str = "millrace.io/name";

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) metric: &'static str,
    pub(super) labels: BTreeMap<&'static str, String>,
    /// When it was measured.
    pub(super) at: Timestamp,
    pub(super) amount: i64,
}

impl Value {
    /// When it was measured, in whole seconds, as Kubernetes writes times.
    pub(super) fn timestamp(&self) -> String {
        self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// The labels by which an object's numbers are chosen.
pub(super) fn labels(object: &ObjectKey) -> BTreeMap<&'static str, String> {
    BTreeMap::from([(KIND, object.kind.to_owned()), (NAME, object.name.clone())])
}

/// A number for each object found, or an error: a sum of some of them would be a wrong sum.
pub(super) fn of(
    metric: Metric,
    namespace: &str,
    mut found: Vec<(Option<Arc<Observation>>, ObjectKey)>,
    now: Instant,
    wall: Timestamp,
) -> Result<Vec<Value>, Failure> {
    if found.is_empty() {
        return Err(Failure::not_found(format!(
            "no StreamPipeline or WindowAggregation in namespace {namespace} has these labels; \
             {} has the labels {KIND} and {NAME}",
            metric.name()
        )));
    }
    found.sort_by(|(_, left), (_, right)| left.cmp(right));
    let value = |(observation, object): (Option<Arc<Observation>>, ObjectKey)| {
        let measured = measured(metric, observation.as_deref(), now);
        let (amount, age) = measured
            .map_err(|reason| Failure::unavailable(format!("{} of {object} is not known: {reason}", metric.name())))?;
        let at = wall.checked_sub(age).unwrap_or(wall);
        Ok(Value {
            metric: metric.name(),
            labels: labels(&object),
            at,
            amount,
        })
    };
    found.into_iter().map(value).collect()
}

/// The number and its age.
fn measured(metric: Metric, observation: Option<&Observation>, now: Instant) -> Result<(i64, Duration), String> {
    let observation = observation.ok_or("it was not observed yet")?;
    let (Some(lag), Some(at)) = (observation.lag, observation.lag_at) else {
        return Err(why_unknown(observation.source.as_ref()));
    };
    let age = now.saturating_duration_since(at);
    if age > STALE {
        let why = why_unknown(observation.source.as_ref());
        return Err(format!("it was last measured {} s ago: {why}", age.as_secs()));
    }
    let amount = match metric {
        Metric::LagRecords => Some(lag.records),
        Metric::LagSeconds => lag.seconds,
    };
    let amount = amount.ok_or("nobody knows when its oldest unread record was written")?;
    match amount {
        0.. => Ok((amount, age)),
        _ => Err(format!("it was measured as {amount}")),
    }
}

fn why_unknown(source: Option<&SourceState>) -> String {
    match source {
        None => "its broker was not asked yet".to_owned(),
        Some(SourceState::Reachable) => "its broker did not say".to_owned(),
        Some(SourceState::Unreachable(why)) => format!("its broker cannot be reached: {why}"),
        Some(SourceState::TopicMissing(topic)) => format!("its topic is missing: {topic}"),
        Some(SourceState::NotAsked) => "its broker wants credentials, and no runner has reported".to_owned(),
        Some(SourceState::RecordsLost(what)) => format!("records were deleted unread: {what}"),
    }
}

#[cfg(test)]
mod tests;
