//! `join` with another stream: where that is, and which pairs come out.

mod fields;
mod matching;

use millrace_crds::manifest::Manifest;
use millrace_crds::{JoinSpec, JoinType, StreamSpec};

use self::fields::{check_added, check_left, equals, pairs, without};
use self::matching::matching;
use super::declared::{Body, Declared};
use super::problems::Problems;
use super::scope::Scope;
use super::steps::Checked;
use super::{event_time, join, reference, source, table};
use crate::names::OperatorName;
use crate::{
    Field, Fields, JoinSide, JoinedStreams, OperatorKind, OtherStream, Source, Start, StreamJoin, TableFormat,
    TopicName,
};

/// What a joined stream is looked for among.
pub(super) struct Around<'a> {
    pub(super) declared: &'a Declared<'a>,
    pub(super) others: &'a [Manifest],
    /// Names of the pipelines that led here.
    pub(super) trail: &'a [&'a str],
    /// None where it is broken.
    pub(super) source: Option<&'a Source>,
}

pub(super) fn check(
    path: &str,
    spec: &JoinSpec,
    stream: &StreamSpec,
    input: &Scope,
    around: &Around,
    problems: &mut Problems,
) -> Checked {
    let before = problems.len();
    let at = format!("{path}.stream");
    check_name(&at, stream, around, problems);
    let origin = origin(&at, stream, around, problems);
    let event_time = origin.as_ref().and_then(|(_, _, right)| {
        event_time::check(
            &format!("{at}.eventTime"),
            stream.event_time.as_ref(),
            Some(right),
            problems,
        )
    });
    let unknown = Scope::default();
    let right = origin.as_ref().map(|(_, _, right)| right);
    let pairs = pairs(&format!("{path}.match"), spec, input, right, problems);
    let matching = matching(path, spec, problems);
    check_left(path, spec, input, problems);
    let keeps = (
        matches!(spec.join_type, JoinType::Left | JoinType::Outer),
        matches!(spec.join_type, JoinType::Right | JoinType::Outer),
    );
    let Some(right) = right else {
        return Checked {
            kind: None,
            output: without(spec, input, &unknown, keeps, matching),
        };
    };
    let mut output = without(spec, input, right, keeps, matching);
    let matched: Vec<&str> = spec.on.iter().map(equals).collect();
    let side = format!("stream {}", stream.name);
    let added = join::added(path, spec, (&matched, &side), keeps.0, right, &mut output, problems);
    check_added(path, spec, &added, right, problems);
    let kind = || {
        let ((topics, start, right), pairs) = (origin?, pairs?);
        let carried = carried(&pairs, &added);
        let right_fields: Vec<Field> = carried.iter().map(|position| right.fields[*position].clone()).collect();
        let wide = JoinedStreams::input(&input.fields, &right_fields);
        let place = |position: usize| {
            let carried = carried.iter().position(|it| *it == position);
            1 + input.fields.len() + carried.expect("what is matched or added is carried")
        };
        let others = |position: &usize| !pairs.iter().any(|(left, _)| left == position);
        let left = JoinSide {
            key: pairs.iter().map(|(left, _)| 1 + left).collect(),
            fields: (0..input.fields.len())
                .filter(others)
                .map(|position| 1 + position)
                .collect(),
            keeps_unmatched: keeps.0,
        };
        let join = StreamJoin {
            is_right: 0,
            left,
            right: JoinSide {
                key: pairs.iter().map(|(_, right)| place(*right)).collect(),
                fields: added.iter().map(|position| place(*position)).collect(),
                keeps_unmatched: keeps.1,
            },
            matching: matching?,
        };
        let other = OtherStream {
            name: stream.name.clone(),
            topics,
            start,
            fields: Fields::new(right.fields),
            event_time: event_time?,
            carried,
        };
        Some(OperatorKind::StreamJoin(JoinedStreams {
            other: pruned(other),
            input: wide,
            join,
        }))
    };
    let kind = if problems.len() == before { kind() } else { None };
    Checked { kind, output }
}

/// The name is what `millrace run` asks for.
fn check_name(at: &str, stream: &StreamSpec, around: &Around, problems: &mut Problems) {
    let path = format!("{at}.name");
    if OperatorName::parse(&stream.name).is_err() {
        let text = format!(
            "`{}` is not a name of a stream: 1 to 63 characters of a-z 0-9 -",
            stream.name
        );
        problems.add(&path, text);
    }
    let steps = around.declared.steps.iter().filter_map(|step| step.body.as_ref());
    let named = steps.filter_map(|(path, body)| match body {
        Body::Join(join) => Some((path, join.stream.as_ref()?)),
        _ => None,
    });
    let first = named.into_iter().find(|(_, other)| other.name == stream.name);
    if let Some((other, _)) = first.filter(|(other, _)| format!("{other}.stream") != at) {
        problems.add(
            path,
            format!("stream `{}` stands at {other}.stream.name already", stream.name),
        );
    }
}

/// Its topics, where to start, and its fields.
fn origin(
    at: &str,
    stream: &StreamSpec,
    around: &Around,
    problems: &mut Problems,
) -> Option<(Vec<TopicName>, Start, Scope)> {
    let (schema, path) = (&stream.schema, format!("{at}.source"));
    match (&stream.source.kafka, &stream.source.pipeline) {
        (Some(kafka), None) => {
            let topics = source::topics(&format!("{path}.kafka.topics"), &kafka.topics, problems);
            let Some(schema) = schema else {
                problems.add(format!("{at}.schema"), "is missing: declare the fields of the records");
                return None;
            };
            let fields = table::schema(at, &schema.fields, Some(TableFormat::JsonLines), problems);
            // Fields are worth a look even where the topics are not; the plan is not made then.
            Some((topics.unwrap_or_default(), source::start(kafka.start), fields))
        }
        (None, Some(reference)) => {
            if schema.is_some() {
                let text = "leave it out: the fields come from the referenced pipeline";
                problems.add(format!("{at}.schema"), text);
            }
            let path = format!("{path}.pipeline");
            let upstream =
                reference::resolve(&path, reference, around.declared, around.others, around.trail, problems)?;
            if around
                .source
                .is_some_and(|source| source.connection != upstream.connection)
            {
                let text = format!(
                    "`{}` writes to another cluster, or over another connection, than this pipeline reads: one \
                     transaction holds both",
                    reference.name
                );
                problems.add(format!("{path}.name"), text);
            }
            let fields = Scope::of(upstream.fields);
            Some((vec![upstream.topic], source::start(reference.start), fields))
        }
        _ => {
            problems.add(path, "set exactly one of kafka and pipeline");
            None
        }
    }
}

/// Positions of the fields that must go to the join: those that are matched, then those that are added.
fn carried(pairs: &[(usize, usize)], added: &[usize]) -> Vec<usize> {
    let mut carried: Vec<usize> = pairs.iter().map(|(_, right)| *right).collect();
    for position in added {
        if !carried.contains(position) {
            carried.push(*position);
        }
    }
    carried
}

/// The same stream without the fields that nobody needs.
fn pruned(stream: OtherStream) -> OtherStream {
    let mut event_time = stream.event_time;
    let time = match &mut event_time.origin {
        crate::TimeOrigin::Field { position, .. } => Some(position),
        crate::TimeOrigin::Record => None,
    };
    let mut kept: Vec<usize> = stream.carried.iter().copied().chain(time.as_deref().copied()).collect();
    kept.sort_unstable();
    kept.dedup();
    let place = |position: usize| {
        kept.iter()
            .position(|it| *it == position)
            .expect("what is needed is kept")
    };
    if let Some(position) = time {
        *position = place(*position);
    }
    OtherStream {
        fields: Fields::new(kept.iter().map(|position| stream.fields[*position].clone()).collect()),
        carried: stream.carried.iter().map(|position| place(*position)).collect(),
        event_time,
        ..stream
    }
}
