//! The problems found so far.

use crate::Problem;

/// Collects problems; checking goes on after each.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let problem = Problem {
            path: path.into(),
            message: message.into(),
        };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// The value, or None and a problem at `path`.
    pub(super) fn take<T>(&mut self, path: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(path, message)).ok()
    }

    /// The value, or None and several problems at `path`.
    pub(super) fn take_all<T>(&mut self, path: &str, result: Result<T, Vec<String>>) -> Option<T> {
        result
            .map_err(|messages| messages.into_iter().for_each(|message| self.add(path, message)))
            .ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_result(self) -> Result<(), Vec<Problem>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
