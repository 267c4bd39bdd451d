//! The string that is committed beside a position and names the checkpoint that belongs to it.
//!
//! `mr1;<id>;<length>;<crc32c, 8 hex digits>`, or `mr1;-` where there is no state. At most [`MAX_METADATA`] ASCII bytes.
//! Brokers keep 4096 by default; a string that is too long would abort every commit for ever.

use std::fmt;
use std::str::FromStr;

/// Longest string that is ever committed.
pub const MAX_METADATA: usize = 256;

const VERSION: &str = "mr1";

/// What a committed position says about state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Nothing is remembered at this position.
    Stateless,
    /// State is in this checkpoint.
    Checkpoint(Checkpoint),
}

/// Name and fingerprint of one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name, unique among all attempts.
    pub id: CheckpointId,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of the bytes.
    pub crc32c: u32,
}

impl Checkpoint {
    /// The checkpoint called `id` with this content.
    pub(super) fn of(id: CheckpointId, bytes: &[u8]) -> Self {
        Self {
            id,
            length: bytes.len() as u64,
            crc32c: crc32c::crc32c(bytes),
        }
    }

    /// What is wrong with `bytes`, if they are not this checkpoint's.
    pub(super) fn flaw(&self, bytes: &[u8]) -> Option<String> {
        if bytes.len() as u64 != self.length {
            return Some(format!("it has {} bytes instead of {}", bytes.len(), self.length));
        }
        let found = crc32c::crc32c(bytes);
        (found != self.crc32c).then(|| format!("its checksum is {found:08x} instead of {:08x}", self.crc32c))
    }
}

/// `<next offset>-<32 hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckpointId(String);

impl CheckpointId {
    /// A new name.
    pub(super) fn unique(offset: i64) -> Self {
        Self(format!("{}-{}", offset.max(0), uuid::Uuid::new_v4().simple()))
    }

    /// Reads a name; None unless it has the form that `unique` gives it. It can therefore name no other directory.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let (offset, attempt) = raw.split_once('-')?;
        let digits = !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_digit()) && offset.parse::<i64>().is_ok();
        let hex = attempt.len() == 32 && attempt.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (digits && hex).then(|| Self(raw.to_owned()))
    }

    /// Next offset to read after it.
    pub fn offset(&self) -> i64 {
        self.0
            .split_once('-')
            .and_then(|(offset, _)| offset.parse().ok())
            .expect("an id starts with an offset")
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stateless => write!(f, "{VERSION};-"),
            Self::Checkpoint(Checkpoint { id, length, crc32c }) => write!(f, "{VERSION};{id};{length};{crc32c:08x}"),
        }
    }
}

/// Why a committed string is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Offsets were set by a tool, or come from another program.
    #[error("the committed offset carries no checkpoint reference")]
    Empty,
    /// Written by a newer version, or by another program.
    #[error("the committed metadata `{0}` is of an unknown version")]
    UnknownVersion(String),
    /// Ours, but not as we write it.
    #[error("the committed metadata `{0}` is malformed")]
    Malformed(String),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(raw: &str) -> Result<Self, ReferenceError> {
        if raw.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let shown = || raw.chars().take(MAX_METADATA).collect::<String>();
        let Some(rest) = raw.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix(';')) else {
            return Err(ReferenceError::UnknownVersion(shown()));
        };
        if rest == "-" {
            return Ok(Self::Stateless);
        }
        parse_checkpoint(rest)
            .map(Self::Checkpoint)
            .ok_or_else(|| ReferenceError::Malformed(shown()))
    }
}

fn parse_checkpoint(raw: &str) -> Option<Checkpoint> {
    let mut parts = raw.split(';');
    let (id, length, crc32c) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = crc32c.len() == 8 && crc32c.bytes().all(|b| b.is_ascii_hexdigit());
    let exact = parts.next().is_none() && length.bytes().all(|b| b.is_ascii_digit()) && hex;
    let crc32c = u32::from_str_radix(crc32c, 16).ok()?;
    exact.then_some(Checkpoint {
        id: CheckpointId::parse(id)?,
        length: length.parse().ok()?,
        crc32c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_survives_the_round_trip() {
        let checkpoint = Checkpoint::of(CheckpointId::unique(i64::MAX), b"state");
        for reference in [Reference::Stateless, Reference::Checkpoint(checkpoint)] {
            let text = reference.to_string();
            assert!(text.len() <= MAX_METADATA && text.is_ascii());
            assert_eq!(text.parse(), Ok(reference));
        }
    }

    #[test]
    fn foreign_metadata_is_refused_with_its_reason() {
        assert_eq!("".parse::<Reference>(), Err(ReferenceError::Empty));
        assert!(matches!(
            "mr2;-".parse::<Reference>(),
            Err(ReferenceError::UnknownVersion(_))
        ));
        assert!(matches!(
            "mr1".parse::<Reference>(),
            Err(ReferenceError::UnknownVersion(_))
        ));
        let id = format!("7-{}", "a".repeat(32));
        let malformed = [
            "mr1;".to_owned(),
            format!("mr1;{id};5"),
            format!("mr1;{id};5;0000000g"),
            format!("mr1;{id};5;+0000001"),
            format!("mr1;{id};+5;00000001"),
            format!("mr1;{id};5;00000001;"),
            "mr1;../../etc/passwd;5;00000001".to_owned(),
            format!("mr1;-7-{};5;00000001", "a".repeat(32)),
            format!("mr1;99999999999999999999-{};5;00000001", "a".repeat(32)),
        ];
        for text in malformed {
            assert!(
                matches!(text.parse::<Reference>(), Err(ReferenceError::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_content_has_a_flaw() {
        let checkpoint = Checkpoint::of(CheckpointId::unique(1), b"state");
        assert_eq!(checkpoint.flaw(b"state"), None);
        assert!(checkpoint.flaw(b"stat").is_some_and(|flaw| flaw.contains("4 bytes")));
        assert!(checkpoint.flaw(b"stale").is_some_and(|flaw| flaw.contains("checksum")));
    }
}
