use super::*;
use millrace_plan::{StateId, TopicName};
use tempfile::TempDir;

fn place() -> Place {
    Place {
        state_id: StateId::parse("job").unwrap(),
        topic: TopicName::parse("flights").unwrap(),
        partition: 3,
    }
}

fn store() -> (TempDir, FileStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path().join("claim"))
        .unwrap()
        .with_patience(Duration::ZERO);
    (directory, store)
}

fn names(store: &FileStore) -> Vec<String> {
    let entries = fs::read_dir(store.directory(&place())).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != COMMITTED)
        .collect();
    names.sort();
    names
}

fn path_of(store: &FileStore, saved: &Saved) -> PathBuf {
    file_of(&store.directory(&place()), &saved.checkpoint().id)
}

fn age(path: &Path, by: Duration) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn saved_checkpoint_is_loaded_by_its_committed_metadata() {
    let (directory, mut store) = store();
    let saved = store.save(&place(), 42, b"state").unwrap();
    let Ok(crate::store::Reference::Checkpoint(named)) = saved.metadata().parse() else {
        panic!("not a reference")
    };
    let mut successor = FileStore::open(directory.path().join("claim")).unwrap();
    assert_eq!(successor.load(&place(), &named).unwrap(), b"state");
    assert_eq!(named.id.offset(), 42);
}

#[test]
fn two_attempts_at_one_offset_do_not_touch_each_other() {
    let (_directory, mut store) = store();
    let first = store.save(&place(), 7, b"first").unwrap();
    let second = store.save(&place(), 7, b"second").unwrap();
    assert_eq!(store.load(&place(), first.checkpoint()).unwrap(), b"first");
    assert_eq!(store.load(&place(), second.checkpoint()).unwrap(), b"second");
}

#[test]
fn truncated_damaged_and_missing_files_are_told_apart() {
    let (_directory, mut store) = store();
    let saved = store.save(&place(), 7, b"the whole state").unwrap();
    let path = path_of(&store, &saved);
    for wrong in ["the whole stat", "the whole State", "the whole state and more"] {
        fs::write(&path, wrong).unwrap();
        let error = store.load(&place(), saved.checkpoint()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{wrong}: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        store.load(&place(), saved.checkpoint()),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn load_waits_for_a_file_that_appears_late() {
    let (_directory, mut store) = store();
    let saved = store.save(&place(), 7, b"state").unwrap();
    let (path, hidden) = (
        path_of(&store, &saved),
        path_of(&store, &saved).with_extension("hidden"),
    );
    fs::rename(&path, &hidden).unwrap();
    // Short first, then whole: what a client of a file server may see.
    fs::write(&path, "sta").unwrap();
    let mut store = store.with_patience(Duration::from_secs(60));
    let appears = std::thread::spawn(move || fs::rename(hidden, path).unwrap());
    assert_eq!(store.load(&place(), saved.checkpoint()).unwrap(), b"state");
    appears.join().unwrap();
}

#[test]
fn crash_before_the_rename_leaves_nothing_that_can_be_loaded() {
    let (_directory, mut store) = store();
    let committed = store.save(&place(), 7, b"old").unwrap();
    let crashed = Checkpoint::of(CheckpointId::unique(9), b"half");
    fs::write(store.directory(&place()).join(format!("{}.tmp", crashed.id)), "ha").unwrap();
    assert!(matches!(
        store.load(&place(), &crashed),
        Err(StoreError::Missing { .. })
    ));
    store.retain(&place(), committed.checkpoint(), 1).unwrap();
    assert_eq!(store.load(&place(), committed.checkpoint()).unwrap(), b"old");
}

#[test]
fn retain_keeps_the_newest_and_the_committed_one() {
    let (_directory, mut store) = store();
    let mut committed = Vec::new();
    for offset in 0..6 {
        let saved = store.save(&place(), offset, b"state").unwrap();
        store.retain(&place(), saved.checkpoint(), 3).unwrap();
        committed.push(saved);
    }
    let expected: Vec<_> = committed[3..]
        .iter()
        .map(|saved| format!("{}.ckpt", saved.checkpoint().id))
        .collect();
    assert_eq!(names(&store), expected);
}

#[test]
fn successor_cleans_up_what_its_predecessor_committed() {
    let (directory, mut store) = store();
    for offset in 0..4 {
        let _ = store.save(&place(), offset, b"old").unwrap();
    }
    let mut successor = FileStore::open(directory.path().join("claim")).unwrap();
    let saved = successor.save(&place(), 10, b"new").unwrap();
    successor.retain(&place(), saved.checkpoint(), 1).unwrap();
    assert_eq!(names(&successor), [format!("{}.ckpt", saved.checkpoint().id)]);
}

#[test]
fn zombie_that_still_acknowledges_deletes_nothing_of_the_new_owner() {
    let (directory, mut zombie) = store();
    let before = zombie.save(&place(), 5, b"before").unwrap();
    let mut owner = FileStore::open(directory.path().join("claim")).unwrap();
    let same_offset = owner.save(&place(), 5, b"idle commit").unwrap();
    let later = owner.save(&place(), 8, b"later").unwrap();
    age(&path_of(&zombie, &before), Duration::from_secs(1));
    zombie.retain(&place(), before.checkpoint(), 1).unwrap();
    assert!(owner.load(&place(), same_offset.checkpoint()).is_ok());
    assert!(owner.load(&place(), later.checkpoint()).is_ok());
}

#[test]
fn orphans_go_when_they_are_old() {
    let (_directory, mut store) = store();
    let orphan = store.save(&place(), 100, b"never committed").unwrap();
    let temporary = store
        .directory(&place())
        .join(format!("{}.tmp", CheckpointId::unique(1)));
    let foreign = store.directory(&place()).join("notes.txt");
    fs::write(&temporary, "").unwrap();
    fs::write(&foreign, "").unwrap();
    for path in [&path_of(&store, &orphan), &temporary, &foreign] {
        age(path, ORPHAN_AGE * 2);
    }
    let saved = store.save(&place(), 7, b"state").unwrap();
    store.retain(&place(), saved.checkpoint(), 2).unwrap();
    assert_eq!(
        names(&store),
        [format!("{}.ckpt", saved.checkpoint().id), "notes.txt".to_owned()]
    );
}

#[test]
fn save_that_cannot_write_says_so_and_may_be_tried_again() {
    let (directory, mut store) = store();
    let _ = store.save(&place(), 1, b"x").unwrap();
    let target = store.directory(&place());
    fs::remove_dir_all(&target).unwrap();
    fs::write(&target, "a file where the directory should be").unwrap();
    let error = store.save(&place(), 2, b"x").unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && !error.is_fatal(), "{error}");
    drop(directory);
}

#[test]
fn only_an_acknowledged_commit_is_remembered_and_by_every_later_owner() {
    let (_directory, mut store) = store();
    assert!(!store.was_committed(&place()).unwrap());
    let saved = store.save(&place(), 1, b"state").unwrap();
    assert!(
        !store.was_committed(&place()).unwrap(),
        "a checkpoint alone commits nothing"
    );
    store.retain(&place(), saved.checkpoint(), 3).unwrap();
    let successor = FileStore::open(&store.root).unwrap();
    assert!(successor.was_committed(&place()).unwrap());
}
