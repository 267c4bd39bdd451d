//! Rows of one group and one piece of time that crossed an internal topic as one record: what the aggregates of the window
//! behind it make of them. A partial tells by itself what it is, so that rows and partials may stand in one topic in any
//! mix: which of them the stage before writes may change from batch to batch, and from plan to plan.
//!
//! | part | bytes |
//! |---|---|
//! | mark, version | `p`, 1; a row is a JSON object and begins with `{`, a note with `w` |
//! | fingerprint | of the window's shape, 4: a partial is read by a window of the same shape only |
//! | rows | how many, a length |
//! | group | its key and the state of each aggregate, as checkpoints hold them |
//!
//! Its record has the event time of the first row, whose piece of time is that of all rows.

use crate::state::codec::{self, CodecError, Fixed, Reader};

/// First byte of a partial.
const MARK: u8 = b'p';
/// Version of the form.
const VERSION: u8 = 1;

/// What stands in front of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fingerprint: u32,
    pub(crate) rows: usize,
}

/// One partial among the records of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partial<'a> {
    /// Position of its record in the step's input.
    pub(crate) place: u32,
    /// The watermark when it came.
    pub(crate) watermark: i64,
    /// Event time of its first row.
    pub(crate) time: i64,
    pub(crate) rows: usize,
    /// The group, as [`Groups::put`](crate::state::Groups::put) wrote it.
    pub(crate) group: &'a [u8],
}

impl Head {
    /// Appends it; the group follows.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[MARK, VERSION]);
        self.fingerprint.put(out);
        codec::put_length(out, self.rows);
    }

    /// Whether a record's value is a partial.
    pub(crate) fn is_one(value: Option<&[u8]>) -> bool {
        value.and_then(<[u8]>::first) == Some(&MARK)
    }

    /// Reads what `put` wrote, and returns what follows.
    pub(crate) fn read(value: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        let mut reader = Reader::new(value);
        if reader.raw(2)? != [MARK, VERSION] {
            return Err(CodecError::Invalid("it is a partial of another version"));
        }
        let head = Self {
            fingerprint: reader.get()?,
            rows: reader.length()?,
        };
        Ok((head, reader.rest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_bytes_and_nothing_else_is_taken_for_one() {
        let head = Head {
            fingerprint: u32::MAX - 1,
            rows: 300,
        };
        let mut bytes = Vec::new();
        head.put(&mut bytes);
        bytes.extend_from_slice(b"rest");
        assert!(Head::is_one(Some(&bytes)));
        assert_eq!(Head::read(&bytes), Ok((head, &b"rest"[..])));
        for cut in 0..bytes.len() - 4 {
            assert!(Head::read(&bytes[..cut]).is_err(), "{cut}");
        }
        for other in [None, Some(&b""[..]), Some(b"{}"), Some(b"w\x01")] {
            assert!(!Head::is_one(other));
        }
        bytes[1] = 2;
        let message = "it is a partial of another version";
        assert_eq!(Head::read(&bytes), Err(CodecError::Invalid(message)));
    }
}
