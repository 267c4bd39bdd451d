//! What is wrong with an object, and what only may be. Pure: reads nothing but its arguments.
//!
//! A reference to a pipeline that is missing or invalid itself is no fault of the object: files can be applied in any
//! order, and the object's own condition says what it waits for. It is a warning. A circle of references is a fault,
//! because the object closes it.

use millrace_crds::manifest::Manifest;
use millrace_plan::{Problem, validate};

use super::admission::Review;

/// Allowed unless there is a problem.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What its author should know.
    pub(super) warnings: Vec<Problem>,
}

/// Judges a review. `others` are the objects of the namespace as they are stored.
pub(super) fn of(review: &Review, others: &[Manifest]) -> Verdict {
    if !review.changes_spec() {
        return Verdict::default();
    }
    match review.manifest() {
        None => Verdict::default(),
        Some(Err(problem)) => Verdict {
            problems: vec![problem],
            warnings: Vec::new(),
        },
        Some(Ok(manifest)) => judge(manifest, others),
    }
}

fn judge(manifest: Manifest, others: &[Manifest]) -> Verdict {
    let is_this = |other: &Manifest| other.kind() == manifest.kind() && other.name() == manifest.name();
    let mut all: Vec<_> = others.iter().filter(|other| !is_this(other)).cloned().collect();
    let mut problems = validate(&manifest, &all).err().unwrap_or_default();
    problems.extend(borrowed_state(&manifest, &all));
    let mut warnings = twin(&manifest, &all);
    all.push(manifest.clone());
    for (path, name) in manifest.references() {
        if reference_may_heal(&manifest, name, &all) {
            warnings.extend(problems.extract_if(.., |problem| problem.path == path));
        }
    }
    Verdict { problems, warnings }
}

/// Whether a pipeline that the object reads is missing, or invalid for a reason of its own.
fn reference_may_heal(manifest: &Manifest, name: &str, all: &[Manifest]) -> bool {
    let found: Vec<_> = all.iter().filter(|other| other.name() == name).collect();
    match found.as_slice() {
        [] => true,
        [one] => !leads_back(manifest, all) && validate(one, all).is_err(),
        // Two of one name, of both kinds: whoever refers to them has to wait for nothing.
        _ => false,
    }
}

/// Whether following the references from an object leads back to it.
fn leads_back(manifest: &Manifest, all: &[Manifest]) -> bool {
    let (mut seen, mut next) = (Vec::new(), manifest.reads());
    while let Some(name) = next.pop() {
        if name == manifest.name() {
            return true;
        }
        if !seen.contains(&name) {
            seen.push(name);
            let found = all.iter().find(|other| other.name() == name);
            next.extend(found.map(Manifest::reads).unwrap_or_default());
        }
    }
    false
}

/// State that belongs to an object by default belongs to it alone: its id is the object's uid.
fn borrowed_state(manifest: &Manifest, others: &[Manifest]) -> Option<Problem> {
    let id = state_id(manifest)?;
    let owner = others
        .iter()
        .find(|other| other.uid() == Some(id) && state_id(other).is_none())?;
    Some(Problem {
        path: "spec.stateId".to_owned(),
        message: format!(
            "`{id}` is the state id of {} `{}` already: its uid",
            owner.kind(),
            owner.name()
        ),
    })
}

/// Objects of both kinds share the names of what is made for them.
fn twin(manifest: &Manifest, others: &[Manifest]) -> Vec<Problem> {
    let twin = others
        .iter()
        .find(|other| other.kind() != manifest.kind() && other.name() == manifest.name());
    let warning = |twin: &Manifest| Problem {
        path: "metadata.name".to_owned(),
        message: format!(
            "is the name of a {} too: only the first of the two gets runners",
            twin.kind()
        ),
    };
    twin.map(warning).into_iter().collect()
}

fn state_id(manifest: &Manifest) -> Option<&str> {
    match manifest {
        Manifest::StreamPipeline(object) => object.spec.state_id.as_deref(),
        Manifest::WindowAggregation(object) => object.spec.state_id.as_deref(),
    }
}

#[cfg(test)]
mod tests;
