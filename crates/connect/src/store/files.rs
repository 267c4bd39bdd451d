//! Checkpoints as files: `<root>/<state id>/<topic>/<partition>/<id>.ckpt`.
//!
//! Write to `<id>.tmp` -> fsync the file -> rename -> fsync the directory. A crash between two steps leaves a file that
//! no commit names. The empty file `committed` beside them says that some commit was acknowledged. Ages are differences of the files' own times, so a clock that differs from the file server's does
//! no harm.

use super::{Checkpoint, CheckpointId, CheckpointStore, Place, Saved, StoreError};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long `load` waits for a file that is not yet visible (NFS caches names and sizes for some seconds).
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Files that an interrupted owner left behind and that may still be in use by a newer one, until they are this old.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How often `retain` reads the directory anew instead of trusting what it remembers.
const RESCAN_EVERY: u32 = 64;

/// Checkpoints in a directory, shared by all runners of a pipeline.
#[derive(Debug)]
pub struct FileStore {
    root: PathBuf,
    patience: Duration,
    known: HashMap<Place, Known>,
}

/// What `retain` knows of a directory: files not newer than the last committed one, oldest first.
#[derive(Debug, Default)]
struct Known {
    files: VecDeque<CheckpointId>,
    until_scan: u32,
}

impl FileStore {
    /// Opens the store in `root`, which is made if it does not exist.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        make_directories(&root)?;
        Ok(Self {
            root,
            patience: PATIENCE,
            known: HashMap::new(),
        })
    }

    /// Changes how long `load` waits for a file to appear: 10 s by default.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The directory of one partition. Every part of it is a checked name or a number, so it cannot leave the root.
    fn directory(&self, place: &Place) -> PathBuf {
        self.root
            .join(place.state_id.as_str())
            .join(place.topic.as_str())
            .join(place.partition.to_string())
    }
}

impl CheckpointStore for FileStore {
    fn save(&mut self, place: &Place, offset: i64, bytes: &[u8]) -> Result<Saved, StoreError> {
        let directory = self.directory(place);
        let checkpoint = Checkpoint::of(CheckpointId::unique(offset), bytes);
        let temporary = directory.join(format!("{}.tmp", checkpoint.id));
        let mut file = match create_new(&temporary) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_directories(&directory)?;
                create_new(&temporary)
            }
            result => result,
        }
        .map_err(failed("create", &temporary))?;
        let written = write_durably(&mut file, &temporary, bytes);
        drop(file);
        let renamed = written.and_then(|()| {
            let path = file_of(&directory, &checkpoint.id);
            fs::rename(&temporary, &path).map_err(failed("rename to", &path))
        });
        if let Err(error) = renamed {
            // Best effort: `retain` finds what stays.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        sync_directory(&directory)?;
        Ok(Saved { checkpoint })
    }

    fn load(&mut self, place: &Place, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
        let path = file_of(&self.directory(place), &checkpoint.id);
        let started = Instant::now();
        loop {
            let found = read_whole(&path, checkpoint.length);
            let short = matches!(&found, Ok(bytes) if (bytes.len() as u64) < checkpoint.length);
            let absent = matches!(&found, Err(error) if error.kind() == ErrorKind::NotFound);
            if !(short || absent) || started.elapsed() >= self.patience {
                return checked(found, checkpoint, path, started.elapsed());
            }
            wait(PAUSE.min(self.patience));
        }
    }

    fn retain(&mut self, place: &Place, committed: &Checkpoint, keep: u16) -> Result<(), StoreError> {
        let directory = self.directory(place);
        let known = self.known.entry(place.clone()).or_default();
        if known.until_scan == 0 {
            let scan = Scan::of(&directory, committed)?;
            remove_all(&scan.orphans)?;
            let marker = directory.join(COMMITTED);
            File::create(&marker).map_err(failed("create", &marker))?;
            *known = Known {
                files: scan.not_newer,
                until_scan: RESCAN_EVERY,
            };
        } else if known.files.back() != Some(&committed.id) {
            known.files.push_back(committed.id.clone());
        }
        known.until_scan -= 1;
        while known.files.len() > usize::from(keep.max(1)) {
            let oldest = known.files.pop_front().expect("the length was checked");
            remove_all(&[file_of(&directory, &oldest)])?;
        }
        Ok(())
    }

    fn was_committed(&self, place: &Place) -> Result<bool, StoreError> {
        let marker = self.directory(place).join(COMMITTED);
        marker.try_exists().map_err(failed("look at", &marker))
    }
}

/// Name of the file that says that some commit was acknowledged.
const COMMITTED: &str = "committed";

/// What lies in a partition's directory, seen from a commit that was just acknowledged.
struct Scan {
    /// The committed checkpoint, last, and what came before it.
    not_newer: VecDeque<CheckpointId>,
    /// Left by interrupted attempts long ago.
    orphans: Vec<PathBuf>,
}

impl Scan {
    fn of(directory: &Path, committed: &Checkpoint) -> Result<Self, StoreError> {
        let path = file_of(directory, &committed.id);
        let committed_at = modified(&path).map_err(failed("look at", &path))?;
        let mut before = Vec::new();
        let mut orphans = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
            let path = entry.map_err(failed("list", directory))?.path();
            // Another owner may be deleting at the same time.
            let Ok(time) = modified(&path) else { continue };
            match checkpoint_id(&path) {
                Some(id) if id == committed.id => {}
                Some(id) if (id.offset(), time) < (committed.id.offset(), committed_at) => before.push((time, id)),
                _ if is_ours(&path) && is_older(time, committed_at, ORPHAN_AGE) => orphans.push(path),
                _ => {}
            }
        }
        before.sort_by_key(|(time, id)| (id.offset(), *time));
        let mut not_newer: VecDeque<_> = before.into_iter().map(|(_, id)| id).collect();
        not_newer.push_back(committed.id.clone());
        Ok(Self { not_newer, orphans })
    }
}

fn is_older(time: SystemTime, than: SystemTime, by: Duration) -> bool {
    than.duration_since(time).is_ok_and(|age| age > by)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn checkpoint_id(path: &Path) -> Option<CheckpointId> {
    if path.extension() != Some(OsStr::new("ckpt")) {
        return None;
    }
    CheckpointId::parse(path.file_stem()?.to_str()?)
}

fn is_ours(path: &Path) -> bool {
    let named = path
        .file_stem()
        .and_then(OsStr::to_str)
        .and_then(CheckpointId::parse)
        .is_some();
    named
        && path
            .extension()
            .is_some_and(|extension| extension == "ckpt" || extension == "tmp")
}

fn file_of(directory: &Path, id: &CheckpointId) -> PathBuf {
    directory.join(format!("{id}.ckpt"))
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn write_durably(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    file.write_all(bytes).map_err(failed("write", path))?;
    file.sync_all().map_err(|source| StoreError::NotDurable {
        path: path.to_owned(),
        source,
    })
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = File::open(path).map_err(failed("open", path))?;
    directory.sync_all().map_err(|source| StoreError::NotDurable {
        path: path.to_owned(),
        source,
    })
}

/// Makes `path` and what is missing above it, each durable in its parent.
fn make_directories(path: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|part| !part.as_os_str().is_empty() && !part.exists())
        .collect();
    fs::create_dir_all(path).map_err(failed("create", path))?;
    for part in missing.iter().rev() {
        match part.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent)?,
            _ => sync_directory(Path::new("."))?,
        }
    }
    Ok(())
}

/// Reads at most one byte more than expected, so that a file of any size costs no more memory than the real one.
fn read_whole(path: &Path, expected: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(expected.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn checked(
    found: io::Result<Vec<u8>>,
    checkpoint: &Checkpoint,
    path: PathBuf,
    waited: Duration,
) -> Result<Vec<u8>, StoreError> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::Missing { path, waited }),
        Err(source) => Err(StoreError::Io {
            action: "read",
            path,
            source,
        }),
        Ok(bytes) => match checkpoint.flaw(&bytes) {
            Some(reason) => Err(StoreError::Damaged { path, reason }),
            None => Ok(bytes),
        },
    }
}

fn remove_all(paths: &[PathBuf]) -> Result<(), StoreError> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("delete", path)(error)),
            _ => {}
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file server tells nobody when a file becomes visible"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests;
