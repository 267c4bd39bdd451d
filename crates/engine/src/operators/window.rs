//! Aggregates a key and window of time. No clock: windows close by the watermarks that come in with the rows, by the time
//! that the chain was told, or at the end of the input.
//!
//! The meaning, which [`Keyed::step`] may only shorten: before a row, time moves on to the row's watermark and what this
//! makes due is emitted; then the row is added, or found late. Moving on first is right, since a row that raised the
//! watermark itself lies after it, and a watermark that has passed the row's own window was there before the row. After
//! the last row, time moves on to the partition's watermark. Nothing in this mentions batches, so **the sequence of results
//! is the same however the input is cut into batches**: what time makes due is emitted in the order of the watermark that
//! it waits for, older windows first, and groups in order of first arrival in their window (of sliding windows: of panes,
//! the oldest first, and of arrival in the pane).
//!
//! A window `[start, end)` is over at the watermark `end - 1`; it is closed, and later rows are late, at `end - 1 +
//! lateness`. A session is over at `end`, since a row that happens then still belongs to it. Without lateness both are
//! one. With lateness a window emits when it is over and when it is closed, and in between a row emits its group's result
//! at once. Emitting on update, every row does so, and the end of the window is no event of its own.
//!
//! A result is known by its group and the start of its window: it replaces those before it. A session that was emitted
//! and then got another start, because an older row or session joined it, emits once more under the old start: no rows.

mod blocks;

mod combine;

mod changes;

mod grid;

mod output;

mod panes;

mod partials;

mod sessions;

mod sliding;

mod times;

mod tumbling;

use millrace_plan::{Emit, Fields, Sliding, TimeDomain, Tumbling, Window, WindowKind};

use crate::operators::Keyed;
pub(crate) use crate::operators::window::combine::Combiner;
use crate::operators::window::grid::Grid;
use crate::operators::window::panes::Span;
pub(crate) use crate::operators::window::partials::Partials;
use crate::operators::window::sessions::Sessions;
use crate::operators::window::sliding::SlidingWindows;
use crate::operators::window::tumbling::TumblingWindows;

/// The operator for a window, which has seen nothing.
pub(crate) fn operator(spec: &Window, input: &Fields, output: &Fields) -> Box<dyn Keyed> {
    match (spec.kind, spec.emit) {
        (WindowKind::Tumbling(tumbling), Emit::OnClose) => {
            Box::new(TumblingWindows::new(tumbling, spec, input, output))
        }
        (WindowKind::Tumbling(Tumbling { size, offset }), Emit::OnUpdate | Emit::Early { .. }) => {
            let slide = size;
            Box::new(SlidingWindows::new(
                Sliding { size, slide, offset },
                spec,
                input,
                output,
            ))
        }
        (WindowKind::Sliding(sliding), _) => Box::new(SlidingWindows::new(sliding, spec, input, output)),
        (WindowKind::Session(session), _) => Box::new(Sessions::new(session, spec, input, output)),
    }
}

/// The pieces of time that rows of a group can be put together in: windows, or the panes of those that overlap.
#[derive(Clone, Copy, Debug)]
enum Pieces {
    Windows(Tumbling),
    Panes(Grid),
}

impl Pieces {
    /// None for windows that the rows themselves make, or the clock.
    fn of(spec: &Window) -> Option<Self> {
        match (spec.time, spec.kind) {
            (TimeDomain::Processing, _) | (_, WindowKind::Session(_)) => None,
            (TimeDomain::Event, WindowKind::Tumbling(tumbling)) => Some(Self::Windows(tumbling)),
            (TimeDomain::Event, WindowKind::Sliding(sliding)) => Some(Self::Panes(Grid::new(sliding))),
        }
    }

    fn at(&self, time: i64) -> Span {
        match self {
            Self::Windows(tumbling) => Span::of(*tumbling, time),
            Self::Panes(grid) => grid.pane_span(time),
        }
    }
}

#[cfg(test)]
mod tests;
