//! Which rows of equal keys belong together: `within`, `window` and `ttl`.

use millrace_crds::{JoinSpec, JoinType, JoinWindowSpec, WithinSpec};

use crate::validate::problems::Problems;
use crate::validate::{duration, window};
use crate::{Matching, Sliding, Tumbling};

pub(super) fn matching(path: &str, spec: &JoinSpec, problems: &mut Problems) -> Option<Matching> {
    match (&spec.within, &spec.window, &spec.ttl) {
        (Some(within), None, None) => check_within(&format!("{path}.within"), within, problems),
        (None, Some(window), None) => check_window(&format!("{path}.window"), window, problems),
        (None, None, Some(ttl)) => check_ttl(&format!("{path}.ttl"), ttl, spec.join_type, problems),
        _ => {
            problems.add(path, "set exactly one of within, window and ttl");
            None
        }
    }
}

fn check_within(path: &str, spec: &WithinSpec, problems: &mut Problems) -> Option<Matching> {
    let before = problems.take(format!("{path}.before"), duration::millis(&spec.before, 0));
    let after = problems.take(format!("{path}.after"), duration::millis(&spec.after, 0));
    Some(Matching::Interval {
        before: before?,
        after: after?,
    })
}

fn check_window(path: &str, spec: &JoinWindowSpec, problems: &mut Problems) -> Option<Matching> {
    match (&spec.tumbling, &spec.sliding) {
        (Some(tumbling), None) => {
            let Tumbling { size, offset } = window::check_tumbling(&format!("{path}.tumbling"), tumbling, problems)?;
            Some(Matching::Window {
                size,
                slide: size,
                offset,
            })
        }
        (None, Some(sliding)) => {
            let sliding = window::check_sliding(&format!("{path}.sliding"), sliding, problems)?;
            let Sliding { size, slide, offset } = sliding;
            Some(Matching::Window { size, slide, offset })
        }
        _ => {
            problems.add(path, "set exactly one of tumbling and sliding");
            None
        }
    }
}

fn check_ttl(path: &str, text: &str, join_type: JoinType, problems: &mut Problems) -> Option<Matching> {
    if text != "none" {
        let ttl = problems.take(path, duration::millis(text, 1))?;
        return Some(Matching::Remembered { ttl: Some(ttl) });
    }
    if join_type != JoinType::Inner {
        problems.add(
            path,
            "`none` is for inner joins: rows without a match would never come out",
        );
        return None;
    }
    Some(Matching::Remembered { ttl: None })
}
