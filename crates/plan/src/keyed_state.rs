//! What is remembered of each key between records, checked and typed.

/// How long a key's state is kept after its last update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Milliseconds, at least 1.
    pub after: i64,
    /// Which time passes.
    pub time: TimeDomain,
}

/// Which time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeDomain {
    /// Event time, with the watermark.
    Event,
    /// The wall clock.
    Processing,
}

/// Passes one record of those that have a key in common within a time. Output: the input's fields.
#[derive(Clone, Debug)]
pub struct Deduplicate {
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Which one.
    pub keep: Keep,
    /// Milliseconds for which a record that has passed is remembered, at least 1.
    pub within: i64,
    /// Which time passes.
    pub time: TimeDomain,
}

/// Which of several records passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The one that comes first.
    First,
    /// Each that is not older than one that has passed.
    Last,
}

/// Adds values of the record before. Output: the input's fields, then one field for each of `fields`.
#[derive(Clone, Debug)]
pub struct Previous {
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Positions of the fields whose values are remembered. Never empty.
    pub fields: Vec<usize>,
    /// None: for ever.
    pub ttl: Option<Ttl>,
}

impl Ttl {
    /// The line of a shape: see [`OperatorState::shape`](crate::OperatorState::shape). The length may change.
    pub fn shape(&self) -> String {
        format!("kept by {}", self.time.as_str())
    }
}

impl TimeDomain {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event time",
            Self::Processing => "processing time",
        }
    }
}
