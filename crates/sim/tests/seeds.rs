//! Random plans, inputs, cuts and crashes: what is committed is what one whole run gives. And: broken restores are noticed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_sim::{Failure, Played, Sabotage, run};

const SEEDS: u64 = 1000;
/// A broken restore must show within so many seeds.
const NOTICED_WITHIN: u64 = 60;

/// Plays the seeds on all cores and hands each outcome over.
fn each(seeds: u64, sabotage: Sabotage, heard: impl FnMut(Result<Played, Box<Failure>>) + Send) {
    let (next, heard) = (AtomicU64::new(0), Mutex::new(heard));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds) {
                    let played = run(seed, sabotage);
                    (heard.lock().expect("nobody panics with the lock"))(played);
                }
            });
        }
    });
}

#[test]
fn committed_effects_are_those_of_a_run_without_cuts_and_crashes() {
    let mut sum = Played::default();
    let mut sorts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    each(SEEDS, Sabotage::None, |played| match played {
        Err(failure) => failures.push(failure),
        Ok(played) => {
            sum.refused += played.refused;
            sum.stages += played.stages;
            sum.events += played.events;
            sum.results += played.results;
            sum.rejected += played.rejected;
            sum.combined += played.combined;
            sum.crashes += played.crashes;
            sum.undone += played.undone;
            sum.checkpoints += played.checkpoints;
            played
                .operators
                .iter()
                .for_each(|sort| *sorts.entry(sort).or_default() += 1);
        }
    });
    failures.sort_by_key(|failure| failure.seed);
    if let Some(first) = failures.first() {
        let seeds: Vec<u64> = failures.iter().map(|failure| failure.seed).collect();
        panic!("{} of {SEEDS} seeds differ: {seeds:?}\n\n{first}", failures.len());
    }
    // What was played was worth playing.
    let unknown: Vec<&str> = millrace_sim::unknown().collect();
    assert!(unknown.is_empty(), "the validator does not know {unknown:?}");
    for sort in millrace_sim::sorts() {
        assert!(
            sorts.get(sort).is_some_and(|count| *count >= 50),
            "{sort} is too rare: {sorts:?}"
        );
    }
    let each = SEEDS as usize;
    assert!(sum.stages > each + each / 20, "plans are cut: {sum:?}");
    assert!(sum.combined > each / 100, "rows are combined: {sum:?}");
    assert!(sum.events > 30 * each, "{sum:?}");
    assert!(sum.results > 20 * each, "{sum:?}");
    assert!(sum.rejected > 3 * each, "{sum:?}");
    assert!(sum.crashes > 20 * each, "{sum:?}");
    assert!(sum.undone > 2 * each, "{sum:?}");
    assert!(sum.checkpoints > 10 * each, "{sum:?}");
}

#[test]
fn every_broken_restore_is_noticed() {
    for sabotage in Sabotage::ALL {
        let mut noticed = 0;
        each(NOTICED_WITHIN, sabotage, |played| {
            noticed += usize::from(played.is_err())
        });
        assert!(
            noticed > 0,
            "{sabotage:?} was noticed by none of {NOTICED_WITHIN} seeds"
        );
    }
}

#[test]
fn a_failure_names_its_seed_its_manifest_and_how_to_replay_it() {
    let failure = (0..NOTICED_WITHIN).find_map(|seed| run(seed, Sabotage::LoadsOldState).err());
    let failure = failure.unwrap_or_else(|| panic!("old state is noticed"));
    let text = failure.to_string();
    for part in [
        "kind: StreamPipeline",
        "whole run:",
        &format!("make sim SEED={}", failure.seed),
    ] {
        assert!(text.contains(part), "{text}");
    }
    let again = run(failure.seed, Sabotage::LoadsOldState).err();
    assert_eq!(
        again.map(|again| again.why),
        Some(failure.why),
        "a seed plays the same run every time"
    );
}
