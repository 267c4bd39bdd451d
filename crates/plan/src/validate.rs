//! Raw objects in, a checked plan or all problems out. Reads nothing but its arguments.
//!
//! Parts are checked in the order of the YAML. Where a part is broken, the parts that build on it are checked as far as
//! they can be, and nothing is reported that only follows from another problem.

mod aggregates;
mod declared;
mod duration;
mod event_time;
mod flat_map;
mod group;
mod join;
mod key;
mod keyed_state;
mod map;
mod problems;
mod reference;
mod schema;
mod scope;
mod source;
mod stages;
mod steps;
mod stream;
mod table;
mod topics;
mod window;
mod workload;

use std::time::Duration;

use millrace_crds::manifest::Manifest;

use self::declared::Declared;
use self::problems::Problems;
use crate::names::is_dns_name;
use crate::{Plan, Problem, StateId, prune, state};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(600);
const DEFAULT_RETAIN: u16 = 3;

/// Checks one object and returns what a runner needs to know. `others` are the objects that its `source.pipeline` may
/// refer to; the object itself may be among them.
///
/// The errors are all problems that can be found at once, in the order of the YAML.
pub fn validate(manifest: &Manifest, others: &[Manifest]) -> Result<Plan, Vec<Problem>> {
    let plan = whole(manifest, others, &[]).map(prune::prune)?;
    let mut problems = Problems::default();
    stages::check_rows(&plan, &mut problems);
    problems.into_result().map(|()| plan)
}

/// Reads a duration as it is written in a spec: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
}

/// The plan with all declared fields. `trail` holds the names of the pipelines that led here.
fn whole(manifest: &Manifest, others: &[Manifest], trail: &[&str]) -> Result<Plan, Vec<Problem>> {
    let declared = Declared::from(manifest);
    let mut problems = Problems::default();

    let state_id = state_id(&declared, others, &mut problems);
    let referenced = declared.source.pipeline.as_ref().filter(|_| declared.reads_pipeline());
    let upstream = referenced.and_then(|reference| {
        let path = "spec.source.pipeline";
        reference::resolve(path, reference, &declared, others, trail, &mut problems)
    });
    let source = source::check(&declared, upstream.as_ref(), state_id.as_ref(), &mut problems);
    let schema = schema::check(&declared, &mut problems);
    let input = upstream
        .as_ref()
        .map(|upstream| scope::Scope::of(upstream.fields.clone()))
        .or(schema);
    let key = key::declared(&declared, upstream.as_ref(), input.as_ref(), &mut problems);
    let event_time = event_time::check("spec.eventTime", declared.event_time, input.as_ref(), &mut problems);
    let around = stream::Around {
        declared: &declared,
        others,
        trail,
        source: source.as_ref(),
    };
    let operators = steps::check(&around, input.clone(), &mut problems);
    let mut taken = topics::Taken::default();
    let topics = topics::check(
        &declared,
        source.as_ref(),
        operators.as_deref(),
        &mut taken,
        &mut problems,
    );
    let repartitions = operators.as_deref().zip(input.as_ref()).and_then(|(operators, input)| {
        let id = state_id.as_ref();
        stages::cut(key.clone(), &input.fields, operators, id, &mut taken, &mut problems)
    });
    let (checkpoint_interval, checkpoint_retain) = checkpoint(&declared, &mut problems);
    let droppable = problems.take("spec.onStateChange.drop", state::droppable(declared.droppable()));
    let workload = workload::check(&declared, declared.is_stateful(), &mut problems);

    problems.into_result()?;
    const CHECKED: &str = "a part without problems is there";
    let topics = topics.expect(CHECKED);
    Ok(Plan {
        kind: declared.kind,
        namespace: declared.namespace.to_owned(),
        name: declared.name.to_owned(),
        state_id: state_id.expect(CHECKED),
        source: source.expect(CHECKED),
        input: input.expect(CHECKED).into_fields(),
        key: key.into_input_key(),
        event_time: event_time.expect(CHECKED),
        operators: operators.expect(CHECKED),
        repartitions: repartitions.expect(CHECKED),
        sinks: topics.sinks,
        dead_letter: topics.dead_letter,
        late_records: topics.late_records,
        checkpoint_interval,
        checkpoint_retain,
        droppable: droppable.expect(CHECKED),
        workload,
    })
}

fn state_id(declared: &Declared, others: &[Manifest], problems: &mut Problems) -> Option<StateId> {
    if declared.name.is_empty() {
        problems.add("metadata.name", "is missing");
        return None;
    }
    if !is_dns_name(declared.name) {
        problems.add(
            "metadata.name",
            format!(
                "`{}` is not a DNS name: a-z 0-9 - . and a letter or digit at both ends",
                declared.name
            ),
        );
        return None;
    }
    let (path, raw) = match (declared.state_id, declared.uid) {
        (Some(given), _) => ("spec.stateId", given.to_owned()),
        (None, Some(uid)) => ("metadata.uid", uid.to_owned()),
        (None, None) => ("metadata.name", format!("{}-{}", declared.namespace, declared.name)),
    };
    for other in others.iter().map(Declared::from).filter(|other| !other.is(declared)) {
        if declared.state_id.is_some() && other.state_id == declared.state_id && other.namespace == declared.namespace {
            problems.add(
                path,
                format!("`{raw}` is the state id of {} `{}` already", other.kind, other.name),
            );
        }
    }
    problems.take(path, StateId::parse(&raw))
}

fn checkpoint(declared: &Declared, problems: &mut Problems) -> (Duration, u16) {
    let path = "spec.checkpoint.interval";
    let given = declared.checkpoint.and_then(|spec| spec.interval.as_deref());
    let interval = given
        .and_then(|text| problems.take(path, duration::parse(text)))
        .unwrap_or(DEFAULT_INTERVAL);
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        problems.add(path, "must be between 10ms and 10m");
    }
    let retain = declared
        .checkpoint
        .and_then(|spec| spec.retain)
        .unwrap_or(DEFAULT_RETAIN);
    if !(2..=100).contains(&retain) {
        problems.add("spec.checkpoint.retain", "must be between 2 and 100");
    }
    (interval, retain)
}
