//! The keys of a group. All records of a group must stand in one partition: where the record key does not see to that,
//! the plan is cut before the operator (see [`super::stages`]).

use super::key::RecordKey;
use super::problems::Problems;
use super::scope::Scope;

/// Positions of the fields of a group key.
pub(super) fn check_keys(
    path: &str,
    names: &[String],
    input: &Scope,
    key: &RecordKey,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let positions = input.key(path, names, problems)?;
    match key {
        RecordKey::Broken => None,
        RecordKey::None | RecordKey::Of(_) => Some(positions),
    }
}
