//! What a step asks its owner to do: records to send, records that are bad or late. Only data: nothing is sent here.

/// What one step asks for. The owner clears and reuses it, so that steps do not allocate.
#[derive(Debug, Default)]
pub struct Effects {
    /// Records to write, in order.
    pub emits: Vec<Emit>,
    /// Records that go to the dead letters, or to the late records.
    pub rejected: Vec<Rejected>,
    /// Bytes that [`Bytes::Made`] points into.
    pub made: Vec<u8>,
    /// Rows that each operator passed on in this step, by position in the plan.
    pub passed: Vec<u64>,
    /// Entries that each operator forgot in this step because their time was over, by position in the plan.
    pub expired: Vec<u64>,
    /// Whether time alone has changed what must be remembered, so that it must be committed though no record came.
    pub changed: bool,
}

/// Which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// None at all (Kafka's null).
    Null,
    /// Those of the input record at this position of the step's input.
    Input(u32),
    /// `effects.made[start..end]`.
    Made {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
}

/// One result, for all sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emit {
    /// Record key.
    pub key: Bytes,
    /// Record value.
    pub value: Bytes,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Input record whose headers travel along; none for aggregates.
    pub headers_of: Option<u32>,
}

/// Where a rejected record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is bad.
    DeadLetters,
    /// It came after its window was closed for good.
    LateRecords,
}

/// One record that took no part, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Where it goes.
    pub target: Target,
    /// Position in the step's input of the record that it is, or was made from. None for rows made by aggregates.
    pub input: Option<u32>,
    /// The row as JSON where it is not an input record's own bytes, else `Null`.
    pub row: Bytes,
    /// Position of the operator in the plan; None while decoding.
    pub operator: Option<u16>,
    /// The kind of fault.
    pub reason: Reason,
    /// What exactly is wrong. Names fields and types, never values.
    pub message: String,
    /// How many rows it stands for: more than one where the stage before has combined them.
    pub rows: u64,
}

/// The kind of fault: a label in metrics and a header of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The value is null.
    NullValue,
    /// Not one JSON object in UTF-8, nested too deep, or a member twice.
    Undecodable,
    /// A field is missing, null or of another type.
    SchemaMismatch,
    /// The record key is not what its fields say.
    KeyMismatch,
    /// No usable event time.
    BadEventTime,
    /// An expression failed on this row.
    ExpressionFailed,
    /// An aggregate would overflow.
    AggregateOverflow,
    /// The window was closed for good.
    Late,
    /// What was made of the record is larger than a Kafka record may be. The owner of the chain finds that out.
    ResultTooLarge,
}

impl Reason {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 9] = [
        Self::NullValue,
        Self::Undecodable,
        Self::SchemaMismatch,
        Self::KeyMismatch,
        Self::BadEventTime,
        Self::ExpressionFailed,
        Self::AggregateOverflow,
        Self::Late,
        Self::ResultTooLarge,
    ];

    /// As written in metrics and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NullValue => "null-value",
            Self::Undecodable => "undecodable",
            Self::SchemaMismatch => "schema-mismatch",
            Self::KeyMismatch => "key-mismatch",
            Self::BadEventTime => "bad-event-time",
            Self::ExpressionFailed => "expression-failed",
            Self::AggregateOverflow => "aggregate-overflow",
            Self::Late => "late",
            Self::ResultTooLarge => "result-too-large",
        }
    }
}

impl Effects {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.emits.clear();
        self.rejected.clear();
        self.made.clear();
        self.passed.fill(0);
        self.expired.fill(0);
        self.changed = false;
    }

    /// The bytes that `bytes` names, given the step's input; None for null.
    pub fn resolve<'a>(&'a self, bytes: Bytes, input: impl Fn(u32) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
        match bytes {
            Bytes::Null => None,
            Bytes::Input(at) => input(at),
            Bytes::Made { start, end } => Some(&self.made[start as usize..end as usize]),
        }
    }
}

impl From<millrace_format::Refusal> for Reason {
    fn from(refusal: millrace_format::Refusal) -> Self {
        use millrace_format::Refusal;
        match refusal {
            Refusal::NullValue => Self::NullValue,
            Refusal::Undecodable => Self::Undecodable,
            Refusal::SchemaMismatch => Self::SchemaMismatch,
            Refusal::KeyMismatch => Self::KeyMismatch,
            Refusal::BadEventTime => Self::BadEventTime,
        }
    }
}
