//! What decoding yields: columns of the good records, and the bad ones with what is wrong.

use arrow::array::RecordBatch;

/// The good records of a batch as columns.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The plan's input fields.
    pub columns: RecordBatch,
    /// For each row the position of its record in what was decoded. Ascending.
    pub origins: Vec<u32>,
    /// Event time of each row, milliseconds since the epoch.
    pub times: Vec<i64>,
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its position in what was decoded.
    pub input: u32,
    /// The kind of fault.
    pub refusal: Refusal,
    /// What exactly is wrong. Names fields, types and byte positions, never values.
    pub message: String,
}

/// The kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The value is null.
    NullValue,
    /// Not one JSON object in UTF-8, nested too deep, or a needed member twice.
    Undecodable,
    /// A field is missing, null or of another type.
    SchemaMismatch,
    /// The record key is not what its fields say.
    KeyMismatch,
    /// No usable event time.
    BadEventTime,
}
