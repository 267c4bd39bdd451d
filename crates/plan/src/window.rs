//! Windows, checked and typed.

use crate::{Aggregate, TimeDomain};

/// Aggregates per group and window. Output: the key fields, `window_start` and `window_end` (Timestamp), `is_final`
/// (Boolean), then the aggregates.
#[derive(Clone, Debug)]
pub struct Window {
    /// Which windows hold a time.
    pub kind: WindowKind,
    /// Which time it is.
    pub time: TimeDomain,
    /// When results come out.
    pub emit: Emit,
    /// Milliseconds after its end during which a window still takes records. 0 for processing time.
    pub allowed_lateness: i64,
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Never empty.
    pub aggregates: Vec<Aggregate>,
}

/// Which windows hold a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// One of a row of windows without gaps.
    Tumbling(Tumbling),
    /// Several windows that overlap.
    Sliding(Sliding),
    /// A window that the group's own records make.
    Session(Session),
}

/// Windows of one size without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    /// Milliseconds, at least 1.
    pub size: i64,
    /// Milliseconds, less than `size`.
    pub offset: i64,
}

/// Windows of one size, one for every slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// Milliseconds, at least `slide`.
    pub size: i64,
    /// Milliseconds, at least 1.
    pub slide: i64,
    /// Milliseconds, less than `slide`.
    pub offset: i64,
}

/// Windows `[first, last + gap)` over rows that follow each other within the gap, which it may be exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Milliseconds, at least 1.
    pub gap: i64,
    /// Milliseconds from start to end, at least `gap`. None: no limit.
    pub max_length: Option<i64>,
}

/// When results come out. The last one, when a window closes for good, always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// When the window is over.
    #[default]
    OnClose,
    /// After every row.
    OnUpdate,
    /// When the window is over, and before that whenever `every` milliseconds of it more are.
    Early {
        /// Milliseconds, at least 1.
        every: i64,
    },
}

impl Tumbling {
    /// Start of the window that holds `time`: the largest `offset + n * size` that is not above `time`.
    pub fn start_of(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.size)
    }
}

impl Window {
    /// The line of a state's shape that says which windows it is of. What may change without losing state does not stand
    /// in it: when results come out, and the lateness.
    pub fn shape(&self) -> String {
        let windows = match self.kind {
            WindowKind::Tumbling(Tumbling { size, offset }) => {
                format!("window: tumbling, {size} ms, offset {offset} ms")
            }
            WindowKind::Sliding(Sliding { size, slide, offset }) => {
                format!("window: sliding, {size} ms every {slide} ms, offset {offset} ms")
            }
            WindowKind::Session(Session { gap, max_length }) => {
                let limit = max_length.map(|longest| format!(", at most {longest} ms"));
                format!("window: session, gap {gap} ms{}", limit.unwrap_or_default())
            }
        };
        match self.time {
            TimeDomain::Event => windows,
            TimeDomain::Processing => format!("{windows}, processing time"),
        }
    }
}
