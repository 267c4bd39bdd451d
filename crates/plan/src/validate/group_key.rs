//! The keys of a group: all records of a group must stand in one partition.

use super::key::RecordKey;
use super::problems::Problems;
use super::scope::Scope;

/// All records of a group must stand in one partition, so the record key must be part of the group key.
pub(super) fn check_keys(
    path: &str,
    names: &[String],
    input: &Scope,
    key: &RecordKey,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let positions = input.key(path, names, problems)?;
    match key {
        RecordKey::Broken => return None,
        RecordKey::None(what_to_do) => {
            problems.add(path, format!("needs the record key: {what_to_do}"));
            return None;
        }
        RecordKey::Of(key) => {
            let missing = key.missing(&positions);
            if let Some(first) = missing.first() {
                problems.add(path, not_the_record_key(first, key.names(), names));
                return None;
            }
        }
    }
    Some(positions)
}

fn not_the_record_key(missing: &str, record_key: &[String], names: &[String]) -> String {
    let record_key = listed(record_key);
    if names.iter().any(|name| name == missing) {
        return format!(
            "`{missing}` was computed anew and may differ from the record key ({record_key}): group before that"
        );
    }
    format!(
        "must include the record key ({record_key}): grouping by another field than the record key is not supported yet; \
         write the topic keyed by {}",
        listed(names)
    )
}

fn listed(names: &[impl AsRef<str>]) -> String {
    names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}
