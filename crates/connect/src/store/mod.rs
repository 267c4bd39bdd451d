//! Checkpoint files: written and made durable before the commit that names them, never changed afterwards.
//!
//! 1. A file's name is unique per attempt, so two owners of one partition never write the same file.
//! 2. The commit's metadata string ([`Reference`]) names file, length and checksum; only [`Saved`], which only a
//!    successful `save` makes, turns into such a string.
//! 3. Nothing is deleted but by [`CheckpointStore::retain`], which is called after an acknowledged commit only; and it
//!    never touches what a newer owner may have written.

mod files;
mod memory;
mod reference;

pub use files::FileStore;
pub use memory::MemoryStore;
pub use reference::{Checkpoint, CheckpointId, MAX_METADATA, Reference, ReferenceError};

use millrace_plan::{StateId, TopicName};
use std::path::PathBuf;
use std::time::Duration;

/// Whose checkpoints: one input partition's of one owner of state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Owner of the state.
    pub state_id: StateId,
    /// Source topic.
    pub topic: TopicName,
    /// Partition of that topic.
    pub partition: u32,
}

/// Proof that a checkpoint is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a checkpoint that no commit names is of no use"]
pub struct Saved {
    checkpoint: Checkpoint,
}

impl Saved {
    /// Its name, length and checksum.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The string to commit beside the position.
    pub fn metadata(&self) -> String {
        Reference::Checkpoint(self.checkpoint.clone()).to_string()
    }
}

/// Keeps checkpoints. All calls block; a file of some MB takes 5 to 100 ms to become durable.
pub trait CheckpointStore {
    /// Makes `bytes` durable under a name of its own. `offset` is the next offset to read after this checkpoint.
    fn save(&mut self, place: &Place, offset: i64, bytes: &[u8]) -> Result<Saved, StoreError>;
    /// Reads a checkpoint back, whole and checked.
    fn load(&mut self, place: &Place, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError>;
    /// Keeps `committed` and the newest before it, `keep` (at least 1) in all, and deletes what is older. Call it only
    /// after the commit that names `committed` was acknowledged.
    fn retain(&mut self, place: &Place, committed: &Checkpoint, keep: u16) -> Result<(), StoreError>;
    /// Whether a commit of this partition was ever acknowledged, as far as `retain` was told. A group that knows no offset
    /// of such a partition has lost it.
    fn was_committed(&self, place: &Place) -> Result<bool, StoreError>;
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused (full, read-only, gone): nothing was saved, a later try may succeed.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Writing back to the disk failed. Pages that failed once may look clean afterwards, so that a second try would
    /// lie: the process must end.
    #[error("failed to make {} durable: {source}", path.display())]
    NotDurable {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The checkpoint that a commit names is not there: lost volume, or an old snapshot of it.
    #[error("checkpoint {} is missing (looked for it for {waited:?})", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The checkpoint is not what was saved.
    #[error("checkpoint {} is damaged: {reason}", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// Which check failed.
        reason: String,
    },
}

impl StoreError {
    /// Whether the process must end rather than try again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NotDurable { .. })
    }
}
