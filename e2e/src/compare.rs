//! Compares what was found with what was expected, and says what differs instead of printing all.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use anyhow::{Result, ensure};

use crate::client::Stored;
use crate::oracle::Outcome;

/// Checks that both hold the same items equally often, in any order.
pub fn same_multiset<T: Eq + Hash + Debug>(
    found: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
) -> Result<()> {
    let mut counts: HashMap<T, i64> = HashMap::new();
    for item in found {
        *counts.entry(item).or_default() += 1;
    }
    for item in expected {
        *counts.entry(item).or_default() -= 1;
    }
    counts.retain(|_, count| *count != 0);
    let some: Vec<_> = counts.iter().take(10).collect();
    ensure!(
        counts.is_empty(),
        "{} items differ (above 0: too often, below: missing), such as {some:#?}",
        counts.len()
    );
    Ok(())
}

/// Checks that each key has the same values in the same order; keys may be interleaved in any way.
pub fn same_order_per_key(found: &[Outcome], expected: &[Outcome]) -> Result<()> {
    let (found, expected) = (by_key(found), by_key(expected));
    for (key, values) in &expected {
        ensure!(
            found.get(key) == Some(values),
            "results of {key} differ from the expected ones, or in their order"
        );
    }
    ensure!(
        found.len() == expected.len(),
        "there are keys that were not expected: {:?}",
        found.keys()
    );
    Ok(())
}

/// Results as key and value.
pub fn outcomes(stored: &[Stored]) -> Vec<Outcome> {
    let outcome = |record: &Stored| Outcome {
        key: String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned(),
        value: record.text().to_owned(),
    };
    stored.iter().map(outcome).collect()
}

/// Partition and offset in the source, by the headers of rejected records, in ascending order.
pub fn origins(rejected: &[Stored]) -> Vec<(i32, i64)> {
    let number = |record: &Stored, name: &str| {
        record
            .header(name)
            .and_then(|value| value.parse::<i64>().ok())
            .unwrap_or(-1)
    };
    let origin = |record: &Stored| {
        (
            number(record, "millrace.partition") as i32,
            number(record, "millrace.offset"),
        )
    };
    let mut origins: Vec<(i32, i64)> = rejected.iter().map(origin).collect();
    origins.sort_unstable();
    origins
}

fn by_key(outcomes: &[Outcome]) -> HashMap<&str, Vec<&str>> {
    let mut by_key: HashMap<&str, Vec<&str>> = HashMap::new();
    for outcome in outcomes {
        by_key.entry(&outcome.key).or_default().push(&outcome.value);
    }
    by_key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(key: &str, value: &str) -> Outcome {
        Outcome {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn duplicates_and_gaps_are_told_apart() {
        assert!(same_multiset([1, 2, 2], [2, 1, 2]).is_ok());
        let error = same_multiset([1, 2, 2], [2, 1, 3]).unwrap_err().to_string();
        assert!(error.starts_with("2 items differ"), "{error}");
    }

    #[test]
    fn keys_may_interleave_but_not_change_their_order() {
        let (a, b, other) = (outcome("k", "a"), outcome("k", "b"), outcome("l", "c"));
        let found = [a.clone(), other.clone(), b.clone()];
        assert!(same_order_per_key(&found, &[other.clone(), a.clone(), b.clone()]).is_ok());
        assert!(same_order_per_key(&found, &[other.clone(), b, a.clone()]).is_err());
        assert!(same_order_per_key(&found, &[other]).is_err());
    }
}
