//! Which fields of the two streams are matched, and which come out.

use millrace_crds::{JoinOnSpec, JoinSpec};

use crate::validate::problems::Problems;
use crate::validate::scope::Scope;
use crate::{Field, FieldType, Matching};

/// Fields that stand in every result of a join by windows.
const WINDOW: [&str; 2] = ["window_start", "window_end"];

pub(super) fn equals(on: &JoinOnSpec) -> &str {
    on.equals.as_deref().unwrap_or(&on.field)
}

/// Positions of the fields that must be equal. `right` is None where its fields are not known.
pub(super) fn pairs(
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

/// All fields of a record are remembered, and come out beside those of the window.
pub(super) fn check_left(path: &str, spec: &JoinSpec, input: &Scope, problems: &mut Problems) {
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

pub(super) fn check_added(path: &str, spec: &JoinSpec, added: &[usize], right: &Scope, problems: &mut Problems) {
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
pub(super) fn without(
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
