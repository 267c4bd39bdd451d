//! `window`: aggregates a key and window.

use millrace_crds::{EmitSpec, SessionSpec, SlidingSpec, TimeDomain, TumblingSpec, WindowSpec};

use super::aggregates::{check_aggregates, results};
use super::duration;
use super::keyed_state::domain;
use super::problems::Problems;
use super::scope::Scope;
use super::steps::Checked;
use crate::{Emit, Field, FieldType, OperatorKind, Session, Sliding, Tumbling, Window, WindowKind};

/// As many windows may overlap.
const MOST_OVERLAPPING: i64 = 10_000;

pub(super) fn check(path: &str, spec: &WindowSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let kind = check_kind(path, spec, problems);
    let time = domain(spec.time);
    let emit = check_emit(&format!("{path}.emit"), spec.emit.as_ref(), kind, problems);
    let allowed_lateness = check_lateness(&format!("{path}.allowedLateness"), spec, problems);
    let added = vec![
        Field::computed("window_start", FieldType::Timestamp, false),
        Field::computed("window_end", FieldType::Timestamp, false),
        Field::computed("is_final", FieldType::Boolean, false),
    ];
    let keys_path = format!("{path}.keys");
    for (index, name) in spec
        .keys
        .iter()
        .enumerate()
        .filter(|(_, name)| added.iter().any(|field| field.name == **name))
    {
        let text = format!("`{name}` is a field that every window adds; rename the key in a map before");
        problems.add(format!("{keys_path}[{index}]"), text);
    }
    let keys = input.key(&keys_path, &spec.keys, problems);
    let aggregates_path = format!("{path}.aggregates");
    let aggregates = check_aggregates(&aggregates_path, &spec.aggregates, &spec.keys, &added, input, problems);
    let output = results(&spec.keys, added, &spec.aggregates, aggregates.as_deref(), input);
    let window = || {
        Some(Window {
            kind: kind?,
            time,
            emit: emit?,
            allowed_lateness: allowed_lateness?,
            keys: keys?,
            aggregates: aggregates?,
        })
    };
    Checked {
        kind: window().map(OperatorKind::Window),
        output,
    }
}

fn check_kind(path: &str, spec: &WindowSpec, problems: &mut Problems) -> Option<WindowKind> {
    match (&spec.tumbling, &spec.sliding, &spec.session) {
        (Some(it), None, None) => check_tumbling(&format!("{path}.tumbling"), it, problems).map(WindowKind::Tumbling),
        (None, Some(it), None) => check_sliding(&format!("{path}.sliding"), it, problems).map(WindowKind::Sliding),
        (None, None, Some(it)) => check_session(&format!("{path}.session"), it, problems).map(WindowKind::Session),
        _ => {
            problems.add(path, "set exactly one of tumbling, sliding and session");
            None
        }
    }
}

pub(super) fn check_tumbling(path: &str, spec: &TumblingSpec, problems: &mut Problems) -> Option<Tumbling> {
    let size = problems.take(format!("{path}.size"), duration::millis(&spec.size, 1));
    let offset = check_offset(path, spec.offset.as_deref(), problems);
    let tumbling = Tumbling {
        size: size?,
        offset: offset?,
    };
    if tumbling.offset >= tumbling.size {
        problems.add(format!("{path}.offset"), "must be shorter than size");
        return None;
    }
    Some(tumbling)
}

pub(super) fn check_sliding(path: &str, spec: &SlidingSpec, problems: &mut Problems) -> Option<Sliding> {
    let size = problems.take(format!("{path}.size"), duration::millis(&spec.size, 1));
    let slide = problems.take(format!("{path}.slide"), duration::millis(&spec.slide, 1));
    let offset = check_offset(path, spec.offset.as_deref(), problems);
    let sliding = Sliding {
        size: size?,
        slide: slide?,
        offset: offset?,
    };
    let Sliding { size, slide, offset } = sliding;
    let before = problems.len();
    if slide > size {
        problems.add(
            format!("{path}.slide"),
            "must be at most size: records between two windows would be lost",
        );
    }
    if size / slide > MOST_OVERLAPPING {
        let text = format!(
            "is too short: a record would be in {} windows, at most {MOST_OVERLAPPING} may overlap",
            size / slide
        );
        problems.add(format!("{path}.slide"), text);
    }
    if offset >= slide {
        problems.add(format!("{path}.offset"), "must be shorter than slide");
    }
    (problems.len() == before).then_some(sliding)
}

fn check_session(path: &str, spec: &SessionSpec, problems: &mut Problems) -> Option<Session> {
    let gap = problems.take(format!("{path}.gap"), duration::millis(&spec.gap, 1));
    let longest = spec.max_length.as_deref();
    let longest = longest.map(|text| problems.take(format!("{path}.maxLength"), duration::millis(text, 1)));
    let session = Session {
        gap: gap?,
        max_length: match longest {
            Some(longest) => Some(longest?),
            None => None,
        },
    };
    if session.max_length.is_some_and(|longest| longest < session.gap) {
        problems.add(
            format!("{path}.maxLength"),
            "must be at least gap: the session of a single record is that long",
        );
        return None;
    }
    Some(session)
}

fn check_offset(path: &str, offset: Option<&str>, problems: &mut Problems) -> Option<i64> {
    match offset {
        Some(text) => problems.take(format!("{path}.offset"), duration::millis(text, 0)),
        None => Some(0),
    }
}

fn check_emit(path: &str, spec: Option<&EmitSpec>, kind: Option<WindowKind>, problems: &mut Problems) -> Option<Emit> {
    let Some(spec) = spec else { return Some(Emit::OnClose) };
    match (&spec.on_close, &spec.on_update, &spec.early) {
        (Some(_), None, None) => Some(Emit::OnClose),
        (None, Some(_), None) => Some(Emit::OnUpdate),
        (None, None, Some(early)) => {
            let path = format!("{path}.early.every");
            let every = problems.take(&path, duration::millis(&early.every, 1))?;
            let size = match kind {
                Some(WindowKind::Tumbling(Tumbling { size, .. }) | WindowKind::Sliding(Sliding { size, .. })) => size,
                Some(WindowKind::Session(_)) | None => i64::MAX,
            };
            if every >= size {
                problems.add(path, "must be shorter than the window's size: nothing would be early");
                return None;
            }
            Some(Emit::Early { every })
        }
        _ => {
            problems.add(path, "set exactly one of onClose, onUpdate and early");
            None
        }
    }
}

fn check_lateness(path: &str, spec: &WindowSpec, problems: &mut Problems) -> Option<i64> {
    let Some(text) = &spec.allowed_lateness else {
        return Some(0);
    };
    let lateness = problems.take(path, duration::millis(text, 0))?;
    if spec.time == TimeDomain::Processing && lateness > 0 {
        problems.add(path, "leave it out: in processing time no record is late");
        return None;
    }
    Some(lateness)
}
