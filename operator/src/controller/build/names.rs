//! The one rule by which children are named.

use super::hash;

/// Longest name of an object that its children carry unchanged. With it the longest child's name is a Service's, and
/// those have 63 characters.
const LONGEST: usize = 40;
/// A hash and the dash before it.
const HASH: usize = 9;

/// What the names of all children of an object begin with: its name, where that can be part of any child's name. Names
/// that are too long, hold dots or begin with a digit are rewritten, and end in a hash of the whole name.
pub fn base(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if name.len() <= LONGEST && begins && name.chars().all(plain) {
        return name.to_owned();
    }
    let mut readable: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if !begins {
        readable.insert_str(0, "m-");
    }
    readable.truncate(LONGEST - HASH);
    let hash = format!("{:016x}", hash(name.as_bytes()));
    format!("{}-{}", readable.trim_end_matches('-'), &hash[..HASH - 1])
}

/// Deployment, Service, PodDisruptionBudget, ServiceAccount and autoscaler.
pub fn runners(name: &str) -> String {
    format!("{}-runners", base(name))
}

/// The claim for checkpoints.
pub fn claim(name: &str) -> String {
    format!("{}-state", base(name))
}

/// The ConfigMap of a plan.
pub fn plan(name: &str, plan: &str) -> String {
    format!("{}-plan-{plan}", base(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay_as_they_are() {
        for name in ["orders", "a-1", &"a".repeat(40)] {
            assert_eq!(base(name), name);
        }
    }

    #[test]
    fn names_that_do_not_fit_become_different_names_that_do() {
        let long = "a".repeat(41);
        let longer = "a".repeat(42);
        let names = [
            long.as_str(),
            &longer,
            "orders.eu",
            "orders-eu.",
            "7days",
            "x.".trim_end(),
        ];
        let bases: std::collections::HashSet<_> = names.iter().map(|name| base(name)).collect();
        assert_eq!(bases.len(), names.len(), "{bases:?}");
        for base in bases {
            assert!(base.len() <= LONGEST, "{base}");
            assert!(base.starts_with(|c: char| c.is_ascii_lowercase()), "{base}");
            assert!(base.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{base}");
        }
    }
}
