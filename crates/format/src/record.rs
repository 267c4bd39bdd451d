//! A record as it came in: borrowed bytes, nothing decoded.

/// One input record. The bytes stay with the connector that read them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// Position in its partition.
    pub offset: i64,
    /// Kafka timestamp, milliseconds since the epoch.
    pub timestamp: i64,
    /// Record key.
    pub key: Option<&'a [u8]>,
    /// Record value; None is a tombstone.
    pub value: Option<&'a [u8]>,
}
