//! Checkpoints in memory, for local runs and tests. Clones share what they hold, so that the successor of a crashed
//! runner finds what that one left.

use super::{Checkpoint, CheckpointId, CheckpointStore, Place, Saved, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Checkpoints of any number of partitions, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// Oldest first.
    places: BTreeMap<Place, VecDeque<(CheckpointId, Vec<u8>)>>,
    committed: BTreeSet<Place>,
    failing_saves: u32,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next save fail as a full disk would.
    pub fn fail_next_save(&self) {
        self.held().failing_saves += 1;
    }

    /// How many checkpoints of a partition there are.
    pub fn count(&self, place: &Place) -> usize {
        self.held().places.get(place).map_or(0, VecDeque::len)
    }

    /// Loses everything, as a deleted volume does.
    pub fn lose_all(&self) {
        self.held().places.clear();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointStore for MemoryStore {
    fn save(&mut self, place: &Place, offset: i64, bytes: &[u8]) -> Result<Saved, StoreError> {
        let mut held = self.held();
        if held.failing_saves > 0 {
            held.failing_saves -= 1;
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StoreError::Io {
                action: "write",
                path: shown(place, "new"),
                source,
            });
        }
        let id = CheckpointId::unique(offset);
        held.places
            .entry(place.clone())
            .or_default()
            .push_back((id.clone(), bytes.to_vec()));
        Ok(Saved {
            checkpoint: Checkpoint::of(id, bytes),
        })
    }

    fn load(&mut self, place: &Place, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
        let held = self.held();
        let path = shown(place, checkpoint.id.as_str());
        let found = held
            .places
            .get(place)
            .and_then(|all| all.iter().find(|(id, _)| *id == checkpoint.id));
        let Some((_, bytes)) = found else {
            return Err(StoreError::Missing {
                path,
                waited: Duration::ZERO,
            });
        };
        match checkpoint.flaw(bytes) {
            Some(reason) => Err(StoreError::Damaged { path, reason }),
            None => Ok(bytes.clone()),
        }
    }

    fn retain(&mut self, place: &Place, committed: &Checkpoint, keep: u16) -> Result<(), StoreError> {
        let mut held = self.held();
        held.committed.insert(place.clone());
        let Some(all) = held.places.get_mut(place) else {
            return Ok(());
        };
        // What stands behind the committed one may be a newer owner's.
        let Some(at) = all.iter().position(|(id, _)| *id == committed.id) else {
            return Ok(());
        };
        all.drain(..(at + 1).saturating_sub(usize::from(keep.max(1))));
        Ok(())
    }

    fn was_committed(&self, place: &Place) -> Result<bool, StoreError> {
        Ok(self.held().committed.contains(place))
    }
}

fn shown(place: &Place, id: &str) -> PathBuf {
    PathBuf::from(format!(
        "memory:{}/{}/{}/{id}",
        place.state_id, place.topic, place.partition
    ))
}
