//! What comes out: windows that are over, updates and early results, and when the next is due.

use std::collections::BTreeSet;

use millrace_plan::Emit;

use crate::operators::window::output::Output;
use crate::operators::window::panes::Span;
use crate::operators::window::sliding::{Deed, REFUSED, SlidingWindows};
use crate::state::{Groups, Inputs};

impl SlidingWindows {
    /// Adds a row and emits its group again: in all its open windows, or only in those that are over.
    pub(super) fn update(&mut self, inputs: &Inputs<'_>, row: usize, span: Span, watermark: i64, out: &mut Output) {
        let added = self.add_row(inputs, row, span, watermark);
        self.emit_again(added, span, out);
    }

    pub(super) fn emit_again(&mut self, group: Option<usize>, span: Span, out: &mut Output) {
        let Some(group) = group else { return };
        let newest = *self.grid.windows(span).end();
        for window in self.first_of(span, self.closed)..=newest {
            if self.emit == Emit::OnUpdate || self.grid.span(window).last <= self.watermark {
                self.emit_one(window, (span, group), self.watermark, out);
            }
        }
    }

    /// Emits the group that is number `group` in a pane, as it stands in a window.
    pub(super) fn emit_one(&mut self, window: i128, (pane, group): (Span, usize), watermark: i64, out: &mut Output) {
        let (span, panes) = (self.grid.span(window), self.grid.panes(window));
        let key = self.panes.groups(pane);
        if span == pane {
            return out.append(&self.layout, key, group..group + 1, span, false, watermark);
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        let mut total = Groups::new(&self.layout);
        let merged = blocks.total_of(self.source(), panes, (key, group), None, &mut total);
        merged.expect(REFUSED);
        self.blocks = blocks;
        out.append(&self.layout, &total, 0..1, span, false, watermark);
    }

    /// Emits all groups of a window.
    pub(super) fn emit_all(&mut self, window: i128, is_final: bool, watermark: i64, out: &mut Output) {
        let span = self.grid.span(window);
        let mut open = self.panes.within(span);
        let only = open.next().filter(|_| open.next().is_none());
        if let Some((_, groups)) = only {
            return out.append(&self.layout, groups, 0..groups.len(), span, is_final, watermark);
        }
        drop(open);
        let mut blocks = std::mem::take(&mut self.blocks);
        let total = blocks.total(self.source(), self.grid.panes(window), self.watermark);
        let total = total.expect(REFUSED);
        self.blocks = blocks;
        out.append(&self.layout, &total, 0..total.len(), span, is_final, watermark);
    }

    /// Emits the groups of a window that have changed since, those of older panes first.
    pub(super) fn emit_changed(&mut self, window: i128, since: i64, watermark: i64, out: &mut Output) {
        let mut seen = Groups::new(&self.layout);
        let mut changed = Vec::new();
        for (pane, groups) in self.panes.within(self.grid.span(window)) {
            for group in self.changes.since(pane, since) {
                if seen.same(groups, group).is_none() {
                    seen.adopt(groups, group);
                    changed.push((pane, group));
                }
            }
        }
        for place in changed {
            self.emit_one(window, place, watermark, out);
        }
    }

    /// Moves time on, never back: what becomes due is done in the order of the watermark that it waits for.
    pub(super) fn advance(&mut self, watermark: i64, out: &mut Output) {
        if watermark <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        if watermark < self.due {
            self.closed = self.closed.max(watermark.saturating_sub(self.lateness));
            return;
        }
        let closed = self.closed;
        self.closed = self.closed.max(watermark.saturating_sub(self.lateness));
        let mut deeds = self.early_deeds(before, watermark);
        if self.has_over() {
            let over = |window| (self.grid.span(window).last, window, Deed::Over);
            deeds.extend(self.windows_between(before, watermark).map(over));
        }
        let close = |window| (self.closes_at(window), window, Deed::Close);
        deeds.extend(self.windows_between(closed, self.closed).map(close));
        deeds.sort_by_key(|(at, window, _)| (*at, *window));
        for (at, window, deed) in deeds {
            let just_before = before.max(at.saturating_sub(1));
            match deed {
                Deed::Early(since) => self.emit_changed(window, since, just_before, out),
                Deed::Over => self.emit_all(window, false, just_before, out),
                Deed::Close => self.close(window, just_before, out),
            }
        }
        self.due = self.next_due();
    }

    /// The windows with rows whose last instant lies after one watermark and not after another, oldest first.
    pub(super) fn windows_between(&self, after: i64, until: i64) -> impl Iterator<Item = i128> {
        let mut next = self.grid.first_after(after);
        std::iter::from_fn(move || {
            let pane = self.panes.from(self.grid.span(next).start)?;
            let windows = self.grid.windows(pane);
            let window = next.max(*windows.start());
            next = window + 1;
            // Windows that begin after the end of time have no panes, though the last one seems to begin then.
            if !windows.contains(&window) {
                return None;
            }
            (self.grid.span(window).last <= until).then_some(window)
        })
    }

    /// The early results between two watermarks.
    pub(super) fn early_deeds(&self, before: i64, watermark: i64) -> Vec<(i64, i128, Deed)> {
        let Emit::Early { every } = self.emit else {
            return Vec::new();
        };
        let recent = before.saturating_sub(every);
        let mut windows = BTreeSet::new();
        for pane in self.panes.spans() {
            // Older panes have nothing new for windows that were early once, and are in no others.
            if pane.last > recent || self.changes.newest(pane).is_some_and(|newest| newest >= recent) {
                windows.extend(self.first_of(pane, before)..=*self.grid.windows(pane).end());
            }
        }
        let deed = |window: i128| {
            let (at, since) = self.grid.early(window, every, before)?;
            (at <= watermark).then_some((at, window, Deed::Early(since.unwrap_or(i64::MIN))))
        };
        windows.into_iter().filter_map(deed).collect()
    }

    /// Emits a window for the last time. Panes that no later window has go.
    pub(super) fn close(&mut self, window: i128, watermark: i64, out: &mut Output) {
        self.emit_all(window, true, watermark, out);
        let only = self.grid.panes(window).start..self.grid.panes(window + 1).start;
        let gone: Vec<Span> = self
            .panes
            .within(self.grid.span_of_panes(only))
            .map(|(span, _)| span)
            .collect();
        for span in gone {
            self.blocks
                .forget(self.grid.pane_at(span.last), self.grid.panes_of_window());
            self.changes.remove(span);
            self.crowded.remove(&span.start);
            self.panes.remove(span, &self.layout);
        }
    }

    /// The next watermark at which a pane's windows do something.
    pub(super) fn due_of(&self, pane: Span) -> i64 {
        let newest = *self.grid.windows(pane).end();
        let mut due = self.closes_at(self.first_of(pane, self.closed));
        let ahead = self.first_of(pane, self.watermark)..=newest;
        if self.has_over() && !ahead.is_empty() {
            due = due.min(self.grid.span(*ahead.start()).last);
        }
        if let Emit::Early { every } = self.emit {
            let early = |window| Some(self.grid.early(window, every, self.watermark)?.0);
            due = ahead.filter_map(early).fold(due, i64::min);
        }
        due
    }

    /// The next watermark at which anything happens.
    pub(super) fn next_due(&self) -> i64 {
        let first = |after: i64| self.windows_between(after, i64::MAX).next();
        let mut due = first(self.closed).map_or(i64::MAX, |window| self.closes_at(window));
        if self.has_over() {
            due = first(self.watermark).map_or(due, |window| due.min(self.grid.span(window).last));
        }
        if let Emit::Early { every } = self.emit {
            let recent = self.watermark.saturating_sub(every);
            let is_recent =
                |pane: &Span| pane.last > recent || self.changes.newest(*pane).is_some_and(|newest| newest >= recent);
            due = self
                .panes
                .spans()
                .filter(is_recent)
                .map(|pane| self.due_of(pane))
                .fold(due, i64::min);
        }
        due
    }
}
