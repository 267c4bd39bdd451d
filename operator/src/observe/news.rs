//! Which observation is worth a look at the object. No clock.

use std::mem::discriminant;
use std::time::Duration;

use super::Observation;

/// Numbers alone are worth a look this often.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether `new` should be looked at, where `old` was the last one that was, `since` ago.
pub(super) fn is_news(old: Option<&Observation>, new: &Observation, since: Duration) -> bool {
    let Some(old) = old else {
        // Before the first answer there is nothing to see.
        return new.source.is_some() || new.committed_at.is_some() || new.trouble.is_some();
    };
    changed(old, new) || (since >= PAUSE && (numbers_changed(old, new) || new.uncommitted_since.is_some()))
}

/// What a condition depends on.
fn changed(old: &Observation, new: &Observation) -> bool {
    let source = |of: &Observation| of.source.as_ref().map(discriminant);
    let caught_up = |of: &Observation| of.lag.map(|lag| lag.records == 0);
    let trouble = |of: &Observation| of.trouble.as_ref().map(|trouble| trouble.reason.clone());
    source(old) != source(new)
        || caught_up(old) != caught_up(new)
        || trouble(old) != trouble(new)
        || old.partitions != new.partitions
        || old.committed_at.is_some() != new.committed_at.is_some()
}

fn numbers_changed(old: &Observation, new: &Observation) -> bool {
    let numbers = |of: &Observation| {
        (
            of.lag,
            of.throughput.map(|rate| (rate.read.round(), rate.written.round())),
            (of.watermark, of.committed_at, of.checkpoint_bytes),
            (of.late, of.dead),
            of.held_back_by.clone(),
        )
    };
    numbers(old) != numbers(new) || old.source != new.source || old.trouble != new.trouble
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Lag, SourceState};

    fn lag(records: i64) -> Observation {
        Observation {
            source: Some(SourceState::Reachable),
            lag: Some(Lag { records, seconds: None }),
            ..Observation::default()
        }
    }

    #[test]
    fn what_is_news_at_once_later_and_never() {
        let away = |why: &str| Observation {
            source: Some(SourceState::Unreachable(why.to_owned())),
            ..Observation::default()
        };
        let waiting = Observation {
            uncommitted_since: Some(1),
            ..lag(5)
        };
        let rows = [
            ("nothing", None, Observation::default(), false, false),
            ("the first answer", None, lag(0), true, true),
            ("the same", Some(lag(5)), lag(5), false, false),
            ("another number", Some(lag(5)), lag(6), false, true),
            ("caught up", Some(lag(5)), lag(0), true, true),
            ("behind", Some(lag(0)), lag(1), true, true),
            ("away", Some(lag(5)), away("a"), true, true),
            ("back", Some(away("a")), lag(5), true, true),
            ("away for another reason", Some(away("a")), away("b"), false, true),
            (
                "work that waits for a commit",
                Some(waiting.clone()),
                waiting,
                false,
                true,
            ),
        ];
        for (name, old, new, at_once, later) in rows {
            assert_eq!(is_news(old.as_ref(), &new, Duration::from_secs(9)), at_once, "{name}");
            assert_eq!(is_news(old.as_ref(), &new, Duration::from_secs(10)), later, "{name}");
        }
    }
}
