//! Windows in words.

use super::numbers::millis;
use crate::{Emit, Plan, Session, Sliding, TimeDomain, Tumbling, Window, WindowKind};

/// Which windows there are.
pub(super) fn spans(window: &Window) -> String {
    let time = match window.time {
        TimeDomain::Event => "event time",
        TimeDomain::Processing => "the clock's time",
    };
    let later = |offset| match offset {
        0 => String::new(),
        offset => format!(" that start {} after the full one", millis(offset)),
    };
    match window.kind {
        WindowKind::Tumbling(Tumbling { size, offset }) => format!("{} of {time}{}", millis(size), later(offset)),
        WindowKind::Sliding(Sliding { size, slide, offset }) => {
            format!(
                "{} of {time}, anew every {}{}",
                millis(size),
                millis(slide),
                later(offset)
            )
        }
        WindowKind::Session(Session { gap, max_length }) => {
            let longest = max_length.map(|longest| format!(", {} at most", millis(longest)));
            let longest = longest.unwrap_or_default();
            format!("session of {time} that {} without a record end{longest}", millis(gap))
        }
    }
}

/// When results come out.
pub(super) fn emits(window: &Window) -> String {
    let late = match window.allowed_lateness {
        0 => None,
        lateness => Some(millis(lateness)),
    };
    match (window.emit, late) {
        (Emit::OnClose, None) => "emits them once, when the window is over".to_owned(),
        (Emit::OnClose, Some(late)) => {
            format!("emits them when the window is over, after every late record for {late} more, and a last time")
        }
        (Emit::OnUpdate, None) => "emits them after every record, and a last time when the window is over".to_owned(),
        (Emit::OnUpdate, Some(late)) => {
            format!("emits them after every record, and a last time {late} after the window is over")
        }
        (Emit::Early { every }, None) => {
            format!(
                "emits them every {} where they changed, and when the window is over",
                millis(every)
            )
        }
        (Emit::Early { every }, Some(late)) => format!(
            "emits them every {} where they changed, when the window is over, after every late record for {late} more, \
             and a last time",
            millis(every)
        ),
    }
}

/// What there is a row for, beside each group.
pub(super) fn remembered(window: &Window) -> String {
    match window.kind {
        WindowKind::Tumbling(_) => "window".to_owned(),
        WindowKind::Session(_) => "session".to_owned(),
        WindowKind::Sliding(Sliding { size, slide, .. }) if size % slide == 0 => {
            format!("{} of time", millis(slide))
        }
        WindowKind::Sliding(Sliding { size, slide, .. }) => {
            format!(
                "piece of time ({} and {} in turn)",
                millis(size % slide),
                millis(slide - size % slide)
            )
        }
    }
}

/// When that ends.
pub(super) fn forgotten(plan: &Plan, window: &Window) -> String {
    if window.time == TimeDomain::Processing {
        return match window.kind {
            WindowKind::Sliding(_) => "it is forgotten when the clock has passed the end of its last window".to_owned(),
            WindowKind::Tumbling(_) => "a window is forgotten when the clock has passed its end".to_owned(),
            WindowKind::Session(_) => "a session is forgotten when the clock has passed its end".to_owned(),
        };
    }
    let waits = plan.event_time.max_out_of_orderness + window.allowed_lateness;
    let (what, end) = match window.kind {
        WindowKind::Tumbling(_) => ("a window", "its end"),
        WindowKind::Sliding(_) => ("it", "the end of its last window"),
        WindowKind::Session(_) => ("a session", "its end"),
    };
    match (waits, window.kind) {
        (0, WindowKind::Session(_)) => format!("{what} is forgotten when a record after {end} arrives"),
        (0, _) => format!("{what} is forgotten when a record at or after {end} arrives"),
        (waits, WindowKind::Session(_)) => {
            format!(
                "{what} is forgotten when a record more than {} after {end} arrives",
                millis(waits)
            )
        }
        (waits, _) => format!(
            "{what} is forgotten when a record {} or more after {end} arrives",
            millis(waits)
        ),
    }
}
