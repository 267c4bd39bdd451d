//! `spec.eventTime`, and that of a joined stream: which time a record happened at.

use std::time::Duration;

use millrace_crds::{EventTimeSpec, TimeUnit as RawUnit};

use super::duration;
use super::problems::Problems;
use super::scope::Scope;
use crate::{EventTime, FieldType, TimeOrigin, TimeUnit};

pub(super) fn check(
    path: &str,
    spec: Option<&EventTimeSpec>,
    input: Option<&Scope>,
    problems: &mut Problems,
) -> Option<EventTime> {
    let Some(spec) = spec else {
        return Some(EventTime::default());
    };
    let origin = match &spec.field {
        Some(name) => input.and_then(|input| field(path, name, spec.unit, input, problems)),
        None => {
            if spec.unit != RawUnit::default() {
                problems.add(
                    format!("{path}.unit"),
                    "is for `field`; the record's own timestamp has its unit",
                );
            }
            Some(TimeOrigin::Record)
        }
    };
    let max_out_of_orderness = match &spec.max_out_of_orderness {
        Some(text) => problems.take(format!("{path}.maxOutOfOrderness"), duration::millis(text, 0)),
        None => Some(0),
    };
    let idle_timeout = match &spec.idle_timeout {
        Some(text) => problems.take(format!("{path}.idleTimeout"), duration::millis(text, 1)),
        None => Some(EventTime::IDLE_TIMEOUT.as_millis() as i64),
    };
    let close_after_idle = match &spec.close_after_idle {
        Some(text) => problems
            .take(format!("{path}.closeAfterIdle"), duration::millis(text, 1_000))
            .map(Some),
        None => Some(None),
    };
    let max_drift = match &spec.max_drift {
        Some(text) => problems
            .take("spec.eventTime.maxDrift", duration::millis(text, 1_000))
            .map(Some),
        None => Some(None),
    };
    Some(EventTime {
        max_drift: max_drift?,
        origin: origin?,
        max_out_of_orderness: max_out_of_orderness?,
        idle_timeout: Duration::from_millis(idle_timeout?.unsigned_abs()),
        close_after_idle: close_after_idle?,
    })
}

fn field(at: &str, name: &str, unit: RawUnit, input: &Scope, problems: &mut Problems) -> Option<TimeOrigin> {
    let path = format!("{at}.field");
    let position = input.position(&path, name, problems)?;
    let unit = match (&input.fields[position].field_type, unit) {
        (FieldType::Int64, RawUnit::Seconds) => TimeUnit::Seconds,
        (FieldType::Int64, RawUnit::Microseconds) => TimeUnit::Microseconds,
        (FieldType::Int64, RawUnit::Nanoseconds) => TimeUnit::Nanoseconds,
        (FieldType::Int64 | FieldType::Timestamp, RawUnit::Milliseconds) => TimeUnit::Milliseconds,
        (FieldType::Timestamp, _) => {
            problems.add(
                format!("{at}.unit"),
                format!("is for int64 fields; `{name}` is a timestamp and has its unit"),
            );
            return None;
        }
        (other, _) => {
            problems.add(
                path,
                format!("`{name}` is {other}; the event time must be int64 or timestamp"),
            );
            return None;
        }
    };
    Some(TimeOrigin::Field { position, unit })
}
