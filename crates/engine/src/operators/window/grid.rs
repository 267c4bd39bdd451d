//! Which windows and panes there are where windows overlap. Arithmetic only.
//!
//! Panes are cut wherever a window begins or ends: at most two a slide, so never more than the time's panes of
//! `gcd(size, slide)`. Windows and panes have running numbers; 128 bits hold those of any time in milliseconds.

use std::ops::{Range, RangeInclusive};

use millrace_plan::Sliding;

use crate::operators::window::panes::Span;

#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    size: i128,
    slide: i128,
    offset: i128,
    /// How far windows reach beyond the last whole slide: the length of every other pane, or 0 and there is one a slide.
    rest: i128,
}

impl Grid {
    pub(super) fn new(sliding: Sliding) -> Self {
        let Sliding { size, slide, offset } = sliding;
        Self {
            size: size.into(),
            slide: slide.into(),
            offset: offset.into(),
            rest: (size % slide).into(),
        }
    }

    /// Number of panes of a window.
    pub(super) fn panes_of_window(&self) -> usize {
        let panes = self.panes(0);
        (panes.end - panes.start) as usize
    }

    /// The number of the pane that holds a time.
    pub(super) fn pane_at(&self, time: i64) -> i128 {
        let since = i128::from(time) - self.offset;
        // Division of 128 bits is slow, and nearly never needed.
        let (slide, within) = match (i64::try_from(since), self.slide as i64) {
            (Ok(since), slide) => (i128::from(since.div_euclid(slide)), i128::from(since.rem_euclid(slide))),
            (Err(_), _) => (since.div_euclid(self.slide), since.rem_euclid(self.slide)),
        };
        match self.rest {
            0 => slide,
            rest => 2 * slide + i128::from(within >= rest),
        }
    }

    /// First instant of a pane.
    fn pane_start(&self, pane: i128) -> i128 {
        match self.rest {
            0 => self.offset + pane * self.slide,
            rest => self.offset + pane.div_euclid(2) * self.slide + pane.rem_euclid(2) * rest,
        }
    }

    /// The time that panes next to each other take.
    pub(super) fn span_of_panes(&self, panes: Range<i128>) -> Span {
        cut(self.pane_start(panes.start), self.pane_start(panes.end) - 1)
    }

    /// The pane that holds a time.
    pub(super) fn pane_span(&self, time: i64) -> Span {
        let pane = self.pane_at(time);
        self.span_of_panes(pane..pane + 1)
    }

    /// The panes of a window.
    pub(super) fn panes(&self, window: i128) -> Range<i128> {
        let slides = self.size / self.slide;
        match self.rest {
            0 => window..window + slides,
            _ => 2 * window..2 * (window + slides) + 1,
        }
    }

    /// The windows that a pane is in.
    pub(super) fn windows(&self, pane: Span) -> RangeInclusive<i128> {
        let pane = self.pane_at(pane.last);
        let slides = self.size / self.slide;
        match self.rest {
            0 => pane - slides + 1..=pane,
            // The first pane of a slide is also the end of a window that began so many slides before.
            _ => pane.div_euclid(2) - slides + pane.rem_euclid(2)..=pane.div_euclid(2),
        }
    }

    /// The time of a window.
    pub(super) fn span(&self, window: i128) -> Span {
        let start = self.offset + window * self.slide;
        cut(start, start + self.size - 1)
    }

    /// The oldest window whose last instant is after `time`, whatever it holds.
    pub(super) fn first_after(&self, time: i64) -> i128 {
        (i128::from(time) - self.size + 1 - self.offset).div_euclid(self.slide) + 1
    }

    /// The first instant after `watermark` at which the window is early: one for every `every` since its start, before its
    /// end. With it the instant of the one before, if there was one.
    pub(super) fn early(&self, window: i128, every: i64, watermark: i64) -> Option<(i64, Option<i64>)> {
        let start = self.offset + window * self.slide;
        early(start, start + self.size - 1, every, watermark)
    }
}

/// See [`Grid::early`], for a window from `start` to `last`.
pub(super) fn early(start: i128, last: i128, every: i64, watermark: i64) -> Option<(i64, Option<i64>)> {
    let (every, watermark) = (i128::from(every), i128::from(watermark));
    let passed = (watermark + 1 - start).div_euclid(every).max(0);
    let at = start + (passed + 1) * every - 1;
    let at = i64::try_from(at).ok().filter(|_| at < last)?;
    let before = i64::try_from(at as i128 - every).ok();
    Some((at, before.filter(|_| passed > 0)))
}

/// Cut to 64 bits at the ends of time.
fn cut(start: i128, last: i128) -> Span {
    let cut = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    Span {
        start: cut(start),
        last: cut(last),
    }
}
