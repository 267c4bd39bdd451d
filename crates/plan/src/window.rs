//! Windows, checked and typed.

use crate::Aggregate;

/// Aggregates per group and window. Output: the key fields, `window_start` and `window_end` (Timestamp), `is_final`
/// (Boolean), then the aggregates.
#[derive(Clone, Debug)]
pub struct Window {
    /// Which windows hold a time.
    pub tumbling: Tumbling,
    /// Milliseconds after its end during which a window still takes records.
    pub allowed_lateness: i64,
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Never empty.
    pub aggregates: Vec<Aggregate>,
}

/// Windows of one size without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    /// Milliseconds, at least 1.
    pub size: i64,
    /// Milliseconds, less than `size`.
    pub offset: i64,
}

impl Tumbling {
    /// Start of the window that holds `time`: the largest `offset + n * size` that is not above `time`.
    pub fn start_of(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.size)
    }
}
