//! `join` with another stream: where that is, and which pairs come out.

use millrace_crds::manifest::Manifest;
use millrace_crds::{JoinSpec, JoinType, JoinWindowSpec, StreamSpec, WithinSpec};

use super::declared::{Body, Declared};
use super::problems::Problems;
use super::scope::Scope;
use super::steps::Checked;
use super::{duration, event_time, join, reference, source, table, window};
use crate::names::OperatorName;
use crate::{
    Field, FieldType, Fields, JoinSide, JoinedStreams, Matching, OperatorKind, OtherStream, Sliding, Source, Start,
    StreamJoin, TableFormat, TopicName, Tumbling,
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

/// Fields that stand in every result of a join by windows.
const WINDOW: [&str; 2] = ["window_start", "window_end"];

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

fn equals(on: &millrace_crds::JoinOnSpec) -> &str {
    on.equals.as_deref().unwrap_or(&on.field)
}

/// Positions of the fields that must be equal. `right` is None where its fields are not known.
fn pairs(
    path: &str,
    spec: &JoinSpec,
    left: &Scope,
    right: Option<&Scope>,
    problems: &mut Problems,
) -> Option<Vec<(usize, usize)>> {
    if spec.on.is_empty() {
        problems.add(path, "needs at least one pair of fields");
    }
    let (before, mut pairs) = (problems.len(), Vec::new());
    for (index, on) in spec.on.iter().enumerate() {
        let (path, other) = (format!("{path}[{index}]"), equals(on));
        let (ours, place) = (
            format!("{path}.field"),
            if on.equals.is_some() { "equals" } else { "field" },
        );
        let theirs = format!("{path}.{place}");
        if spec.on[..index].iter().any(|before| before.field == on.field) {
            problems.add(&ours, format!("`{}` is compared already", on.field));
            continue;
        }
        if spec.on[..index].iter().any(|before| equals(before) == other) {
            problems.add(&theirs, format!("`{other}` is compared already"));
            continue;
        }
        let known = problems.len();
        let position = left.position(&ours, &on.field, problems);
        // One name that neither side has is one problem.
        let found = match right {
            Some(right) if problems.len() == known || on.equals.is_some() => right.position(&theirs, other, problems),
            _ => None,
        };
        let (Some(position), Some(found), Some(right)) = (position, found, right) else {
            continue;
        };
        let types = (&left.fields[position].field_type, &right.fields[found].field_type);
        match types.0 {
            FieldType::Float64 => {
                let text = format!("field `{}` is float64: equal numbers need not be the same", on.field);
                problems.add(&ours, text);
            }
            FieldType::Array(_) => problems.add(&ours, format!("field `{}` is an array", on.field)),
            _ if types.0 != types.1 => {
                let text = format!(
                    "`{}` is {}, `{other}` of the stream is {}: declare it so, or cast the field in a map",
                    on.field, types.0, types.1
                );
                problems.add(&path, text);
            }
            _ => {}
        }
        pairs.push((position, found));
    }
    (problems.len() == before && pairs.len() == spec.on.len()).then_some(pairs)
}

fn matching(path: &str, spec: &JoinSpec, problems: &mut Problems) -> Option<Matching> {
    match (&spec.within, &spec.window, &spec.ttl) {
        (Some(within), None, None) => check_within(&format!("{path}.within"), within, problems),
        (None, Some(window), None) => check_window(&format!("{path}.window"), window, problems),
        (None, None, Some(ttl)) => check_ttl(&format!("{path}.ttl"), ttl, spec.join_type, problems),
        _ => {
            problems.add(path, "set exactly one of within, window and ttl");
            None
        }
    }
}

fn check_within(path: &str, spec: &WithinSpec, problems: &mut Problems) -> Option<Matching> {
    let before = problems.take(format!("{path}.before"), duration::millis(&spec.before, 0));
    let after = problems.take(format!("{path}.after"), duration::millis(&spec.after, 0));
    Some(Matching::Interval {
        before: before?,
        after: after?,
    })
}

fn check_window(path: &str, spec: &JoinWindowSpec, problems: &mut Problems) -> Option<Matching> {
    match (&spec.tumbling, &spec.sliding) {
        (Some(tumbling), None) => {
            let Tumbling { size, offset } = window::check_tumbling(&format!("{path}.tumbling"), tumbling, problems)?;
            Some(Matching::Window {
                size,
                slide: size,
                offset,
            })
        }
        (None, Some(sliding)) => {
            let sliding = window::check_sliding(&format!("{path}.sliding"), sliding, problems)?;
            let Sliding { size, slide, offset } = sliding;
            Some(Matching::Window { size, slide, offset })
        }
        _ => {
            problems.add(path, "set exactly one of tumbling and sliding");
            None
        }
    }
}

fn check_ttl(path: &str, text: &str, join_type: JoinType, problems: &mut Problems) -> Option<Matching> {
    if text != "none" {
        let ttl = problems.take(path, duration::millis(text, 1))?;
        return Some(Matching::Remembered { ttl: Some(ttl) });
    }
    if join_type != JoinType::Inner {
        problems.add(
            path,
            "`none` is for inner joins: rows without a match would never come out",
        );
        return None;
    }
    Some(Matching::Remembered { ttl: None })
}

/// All fields of a record are remembered, and come out beside those of the window.
fn check_left(path: &str, spec: &JoinSpec, input: &Scope, problems: &mut Problems) {
    let taken = input
        .fields
        .iter()
        .filter(|field| WINDOW.contains(&field.name.as_str()));
    for field in taken.filter(|_| spec.window.is_some()) {
        let text = format!(
            "`{}` is a field that every window adds; rename that of the record in a map before",
            field.name
        );
        problems.add(format!("{path}.window"), text);
    }
    for field in input
        .fields
        .iter()
        .filter(|field| matches!(field.field_type, FieldType::Array(_)))
    {
        let text = format!(
            "array `{}` cannot be remembered: explode it with flatMap before, or drop it in a map",
            field.name
        );
        problems.add(path, text);
    }
}

fn check_added(path: &str, spec: &JoinSpec, added: &[usize], right: &Scope, problems: &mut Problems) {
    let arrays = added.iter().map(|position| &right.fields[*position]);
    for field in arrays.filter(|field| matches!(field.field_type, FieldType::Array(_))) {
        let hint = match spec.fields {
            Some(_) => "leave it out",
            None => "name the others here",
        };
        problems.add(
            format!("{path}.fields"),
            format!("array `{}` cannot be remembered: {hint}", field.name),
        );
    }
}

/// What comes out but for the fields of the other stream: the matched fields, the window, the other fields.
fn without(
    spec: &JoinSpec,
    input: &Scope,
    right: &Scope,
    (keeps_left, keeps_right): (bool, bool),
    matching: Option<Matching>,
) -> Scope {
    let named = |scope: &Scope, name: &str| scope.fields.iter().find(|field| field.name == name).cloned();
    let is_matched = |name: &str| spec.on.iter().any(|on| on.field == name);
    let mut output = Scope::default();
    for on in &spec.on {
        let Some(field) = named(input, &on.field) else {
            output.unknown.push(on.field.clone());
            continue;
        };
        // NULL matches nothing: it comes out alone, where its side is kept.
        let theirs = named(right, equals(on)).is_some_and(|field| field.nullable);
        let nullable = keeps_left && field.nullable || keeps_right && theirs;
        output
            .fields
            .push(Field::computed(&field.name, field.field_type, nullable));
    }
    if matches!(matching, Some(Matching::Window { .. })) {
        let window = WINDOW.map(|name| Field::computed(name, FieldType::Timestamp, false));
        output.fields.extend(window);
    }
    for field in input.fields.iter().filter(|field| !is_matched(&field.name)) {
        let nullable = keeps_right || field.nullable;
        output
            .fields
            .push(Field::computed(&field.name, field.field_type.clone(), nullable));
    }
    output
        .unknown
        .extend(input.unknown.iter().filter(|name| !is_matched(name)).cloned());
    output
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
