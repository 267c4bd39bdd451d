//! `groupBy`: running aggregates a key.

use millrace_crds::GroupBySpec;

use super::aggregates::{check_aggregates, results};
use super::keyed_state::check_ttl;
use super::problems::Problems;
use super::scope::Scope;
use super::steps::Checked;
use crate::{Group, OperatorKind};

pub(super) fn check(path: &str, spec: &GroupBySpec, input: &Scope, problems: &mut Problems) -> Checked {
    let keys = input.key(&format!("{path}.keys"), &spec.keys, problems);
    let aggregates = check_aggregates(
        &format!("{path}.aggregates"),
        &spec.aggregates,
        &spec.keys,
        &[],
        input,
        problems,
    );
    let ttl = check_ttl(&format!("{path}.ttl"), spec.ttl.as_ref(), problems);
    let output = results(&spec.keys, Vec::new(), &spec.aggregates, aggregates.as_deref(), input);
    let group = || {
        Some(Group {
            keys: keys?,
            aggregates: aggregates?,
            ttl: ttl?,
        })
    };
    Checked {
        kind: group().map(OperatorKind::Group),
        output,
    }
}
