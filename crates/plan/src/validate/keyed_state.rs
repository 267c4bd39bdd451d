//! `deduplicate` and `previous`, and how long state is kept.

use millrace_crds::{DeduplicateSpec, Keep as RawKeep, PreviousSpec, TimeDomain as RawDomain, TtlSpec};

use super::duration;
use super::problems::Problems;
use super::schema::field_name;
use super::scope::Scope;
use super::steps::Checked;
use crate::{Deduplicate, Field, FieldType, Keep, OperatorKind, Previous, TimeDomain, Ttl};

/// A `ttl`; the outer None where it is broken.
pub(super) fn check_ttl(path: &str, spec: Option<&TtlSpec>, problems: &mut Problems) -> Option<Option<Ttl>> {
    let Some(spec) = spec else { return Some(None) };
    let after = problems.take(format!("{path}.after"), duration::millis(&spec.after, 1))?;
    Some(Some(Ttl {
        after,
        time: domain(spec.time),
    }))
}

pub(super) fn domain(raw: RawDomain) -> TimeDomain {
    match raw {
        RawDomain::Event => TimeDomain::Event,
        RawDomain::Processing => TimeDomain::Processing,
    }
}

pub(super) fn check_deduplicate(path: &str, spec: &DeduplicateSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let keys = input.key(&format!("{path}.keys"), &spec.keys, problems);
    let within = problems.take(format!("{path}.within"), duration::millis(&spec.within, 1));
    let deduplicate = |(keys, within)| Deduplicate {
        keys,
        keep: match spec.keep {
            RawKeep::First => Keep::First,
            RawKeep::Last => Keep::Last,
        },
        within,
        time: domain(spec.time),
    };
    Checked {
        kind: keys.zip(within).map(deduplicate).map(OperatorKind::Deduplicate),
        output: input.clone(),
    }
}

pub(super) fn check_previous(path: &str, spec: &PreviousSpec, input: &Scope, problems: &mut Problems) -> Checked {
    let keys = input.key(&format!("{path}.keys"), &spec.keys, problems);
    let before = problems.len();
    // Built anew, so that no field keeps the path that it had in the input's JSON.
    let passed = |field: &Field| Field::computed(&field.name, field.field_type.clone(), field.nullable);
    let mut output = Scope {
        fields: input.fields.iter().map(passed).collect(),
        unknown: input.unknown.clone(),
    };
    if spec.fields.is_empty() {
        problems.add(format!("{path}.fields"), "needs at least one field");
    }
    let mut fields = Vec::new();
    for (index, wanted) in spec.fields.iter().enumerate() {
        let path = format!("{path}.fields[{index}]");
        problems.take(format!("{path}.as"), field_name(&wanted.alias));
        let taken = output.fields.iter().any(|field| field.name == wanted.alias);
        if taken || output.unknown.contains(&wanted.alias) {
            problems.add(
                format!("{path}.as"),
                format!("there is a field `{}` already", wanted.alias),
            );
            continue;
        }
        let Some(position) = input.position(&format!("{path}.field"), &wanted.field, problems) else {
            output.unknown.push(wanted.alias.clone());
            continue;
        };
        let field_type = input.fields[position].field_type.clone();
        if let FieldType::Array(_) = field_type {
            let text = format!("field `{}` is an array and cannot be remembered", wanted.field);
            problems.add(format!("{path}.field"), text);
        }
        fields.push(position);
        output.fields.push(Field::computed(&wanted.alias, field_type, true));
    }
    let ttl = check_ttl(&format!("{path}.ttl"), spec.ttl.as_ref(), problems);
    let complete = problems.len() == before && fields.len() == spec.fields.len();
    let kind = || {
        let (keys, ttl) = (keys?, ttl?);
        complete.then_some(OperatorKind::Previous(Previous { keys, fields, ttl }))
    };
    Checked { kind: kind(), output }
}
