//! What is wrong with a spec, in words for the person who wrote it.

use std::fmt;

/// One thing that is wrong: where, what, and where possible what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the field, such as `spec.operators[2].filter.where`; of broken YAML the line and column. Empty: the whole.
    pub path: String,
    /// What is wrong and, where it can be said, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}
