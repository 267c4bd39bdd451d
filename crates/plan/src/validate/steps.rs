//! `spec.operators`, or the filter and the window of a WindowAggregation: one after the other.

use super::declared::{Body, Declared, Step};
use super::problems::Problems;
use super::scope::{Scope, Unique};
use super::stream::Around;
use super::{flat_map, group, join, keyed_state, map, window};
use crate::{Field, FieldType, Fields, Filter, ItemKind, Operator, OperatorKind, OperatorName};

/// What a step became: None where it is broken, with the fields that come out as far as they are known.
pub(super) struct Checked {
    pub(super) kind: Option<OperatorKind>,
    pub(super) output: Scope,
}

/// Checks all steps. `input` is None where the declared fields are not known at all; then only what needs no fields is
/// checked.
pub(super) fn check(around: &Around, input: Option<Scope>, problems: &mut Problems) -> Option<Vec<Operator>> {
    let declared = around.declared;
    let mut names = Unique::default();
    let mut scope = input;
    let mut operators = Vec::new();
    for step in &declared.steps {
        let name = problems.take(format!("{}.name", step.path), OperatorName::parse(step.name));
        names.insert("operator", step.name, &format!("{}.name", step.path), problems);
        let Some((path, body)) = &step.body else {
            problems.add(
                &step.path,
                "set exactly one of filter, map, flatMap, groupBy, window, join, deduplicate and previous",
            );
            continue;
        };
        let Some(incoming) = scope.take() else { continue };
        let checked = check_body(path, *body, &incoming, around, problems);
        operators.extend(finished(name, checked.kind, &checked.output));
        scope = Some(checked.output);
    }
    let complete = operators.len() == declared.steps.len();
    if let (true, Some(scope), Some(last)) = (complete, &scope, declared.steps.last()) {
        check_results(declared, scope, last, problems);
    }
    complete.then_some(operators)
}

fn check_body(path: &str, body: Body, input: &Scope, around: &Around, problems: &mut Problems) -> Checked {
    match body {
        Body::Filter(predicate) => {
            let predicate = input.predicate(path, predicate, problems);
            let kind = predicate.map(|predicate| OperatorKind::Filter(Filter { predicate }));
            Checked {
                kind,
                output: input.clone(),
            }
        }
        Body::Map(spec) => map::check(path, spec, input, problems),
        Body::FlatMap(spec) => flat_map::check(path, spec, input, problems),
        Body::GroupBy(spec) => group::check(path, spec, input, problems),
        Body::Window(spec) => window::check(path, spec, input, problems),
        Body::Join(spec) => join::check(path, spec, input, around, problems),
        Body::Deduplicate(spec) => keyed_state::check_deduplicate(path, spec, input, problems),
        Body::Previous(spec) => keyed_state::check_previous(path, spec, input, problems),
    }
}

fn finished(name: Option<OperatorName>, kind: Option<OperatorKind>, output: &Scope) -> Option<Operator> {
    if !output.unknown.is_empty() {
        return None;
    }
    Some(Operator {
        name: name?,
        kind: kind?,
        output: Fields::new(output.fields.clone()),
    })
}

/// Results are flat JSON objects whose arrays hold scalars, unless they are the bytes of the input.
fn check_results(declared: &Declared, results: &Scope, last: &Step, problems: &mut Problems) {
    let passes_bytes = declared
        .steps
        .iter()
        .all(|step| matches!(step.body, Some((_, Body::Filter(_) | Body::Deduplicate(_)))));
    if passes_bytes {
        return;
    }
    let of_objects = |field: &&Field| matches!(&field.field_type, FieldType::Array(item) if matches!(item.kind, ItemKind::Object(_)));
    for array in results.fields.iter().filter(of_objects) {
        let text = format!(
            "array of objects `{}` cannot be written into results; explode it with flatMap, or drop it in a map",
            array.name
        );
        problems.add(&last.path, text);
    }
}
