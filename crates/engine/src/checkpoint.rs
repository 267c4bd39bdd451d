//! The bytes of one partition's checkpoint. No I/O: who writes and reads the file stands elsewhere.
//!
//! Numbers are little-endian. A length or count has seven bits a byte, from the lowest on, with the eighth bit set in all
//! bytes but the last (LEB128). A text or a run of bytes has its length in front; texts are UTF-8.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `MILLRACE` |
//! | 2 | format version, `u16`: 1 |
//! | 8 | length of the whole checkpoint in bytes, `u64` |
//! | text | state id |
//! | text | cluster id |
//! | text | topic |
//! | 4 | partition, `i32` |
//! | 8 | offset of the next record to read, `i64` |
//! | 1 | 1 if an event time follows, else 0 |
//! | 0 or 8 | newest event time seen, or come to by the clock on an idle partition, `i64` milliseconds since the epoch |
//! | count | number of sections |
//! | per section: text, text, bytes | name of the operator, its kind (`groupBy`, `window`, …), its state |
//! | 4 | CRC-32C of everything before, `u32` |
//!
//! What a section's state looks like is the operator's affair; it begins with what the state means, in words. A change
//! of any of this is a new version, and old versions are read for ever (`tests/fixtures/checkpoint_v1.bin`).

use crate::state::codec::{self, CodecError, Fixed, Reader};

const MAGIC: &[u8; 8] = b"MILLRACE";
const VERSION: u16 = 1;
const CHECKSUM: usize = 4;

/// Which records a checkpoint is the sum of. A runner uses one only if all of this is what it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Owner of the state.
    pub state_id: String,
    /// The Kafka cluster's own id.
    pub cluster_id: String,
    /// Input topic.
    pub topic: String,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset of the next record to read: all records before it are in.
    pub offset: i64,
}

/// What one operator remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name of the operator in the spec.
    pub operator: String,
    /// As the operator is called in the spec.
    pub kind: String,
    /// Its state, as the operator writes it.
    pub bytes: Vec<u8>,
}

/// All that one partition's chain remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which records are in.
    pub identity: Identity,
    /// Largest event time seen, or come to by the clock, milliseconds since the epoch; None before the first record.
    pub newest_event_time: Option<i64>,
    /// One for each operator that remembers something, in the plan's order.
    pub sections: Vec<Section>,
}

/// Why bytes are not a checkpoint. All but the version mean that the file is damaged or another file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the checkpoint says it has.
    #[error("the checkpoint ends too early")]
    Truncated,
    /// It does not begin like a checkpoint.
    #[error("this is not a checkpoint")]
    BadMagic,
    /// Written by a newer Millrace.
    #[error("the checkpoint has format version {0}, this version of Millrace reads up to {VERSION}")]
    UnsupportedVersion(u16),
    /// Some byte is not what was written.
    #[error("the checkpoint is damaged: its checksum does not match")]
    Checksum,
    /// The checksum is right, the contents are not.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(String),
}

impl From<CodecError> for DecodeError {
    fn from(error: CodecError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Checkpoint {
    /// The bytes, the same for equal checkpoints.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        VERSION.put(&mut out);
        let length_at = out.len();
        0u64.put(&mut out);
        self.put_contents(&mut out);
        let length = (out.len() + CHECKSUM) as u64;
        out[length_at..length_at + u64::WIDTH].copy_from_slice(&length.to_le_bytes());
        crc32c::crc32c(&out).put(&mut out);
        out
    }

    fn put_contents(&self, out: &mut Vec<u8>) {
        let Identity {
            state_id,
            cluster_id,
            topic,
            partition,
            offset,
        } = &self.identity;
        for text in [state_id, cluster_id, topic] {
            codec::put_bytes(out, text.as_bytes());
        }
        partition.put(out);
        offset.put(out);
        self.newest_event_time.is_some().put(out);
        if let Some(time) = self.newest_event_time {
            time.put(out);
        }
        codec::put_length(out, self.sections.len());
        for Section { operator, kind, bytes } in &self.sections {
            codec::put_bytes(out, operator.as_bytes());
            codec::put_bytes(out, kind.as_bytes());
            codec::put_bytes(out, bytes);
        }
    }

    /// Reads a checkpoint. The checksum is verified before anything is believed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::contents(Self::verified(bytes)?)
    }

    /// What stands between the head and the checksum.
    fn verified(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(DecodeError::BadMagic);
        }
        let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(DecodeError::Truncated)?;
        let mut reader = Reader::new(covered);
        let mut head = || -> Result<(u16, u64), CodecError> {
            reader.raw(MAGIC.len())?;
            Ok((reader.get()?, reader.get()?))
        };
        let (version, length) = head().map_err(|_| DecodeError::Truncated)?;
        if version != VERSION {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        if (bytes.len() as u64) < length {
            return Err(DecodeError::Truncated);
        }
        if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
            return Err(DecodeError::Checksum);
        }
        Ok(reader)
    }

    fn contents(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let identity = Identity {
            state_id: reader.text()?.to_owned(),
            cluster_id: reader.text()?.to_owned(),
            topic: reader.text()?.to_owned(),
            partition: reader.get()?,
            offset: reader.get()?,
        };
        let newest_event_time = if reader.get()? { Some(reader.get()?) } else { None };
        // Three lengths stand in every section.
        let sections = (0..reader.count(3)?)
            .map(|_| section(&mut reader))
            .collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self {
            identity,
            newest_event_time,
            sections,
        })
    }
}

fn section(reader: &mut Reader<'_>) -> Result<Section, CodecError> {
    Ok(Section {
        operator: reader.text()?.to_owned(),
        kind: reader.text()?.to_owned(),
        bytes: reader.bytes()?.to_vec(),
    })
}

#[cfg(test)]
mod tests;
