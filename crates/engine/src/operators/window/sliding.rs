//! Windows that overlap, and any windows of one size that emit before they are over. A row is added to one pane; a window
//! is merged of its panes when it emits.
//!
//! A row is late only if all windows of its pane are closed; else it counts in those that are not, for those that are
//! have emitted for the last time. It is refused if in any of them an aggregate, or the merge of some of its panes, would
//! overflow: so what is merged later always fits. That is checked row by row only while values are so large that it could
//! be: as long as every pane stays within its share of the range, no merge can leave it.

use std::collections::BTreeSet;

use arrow::array::ArrayRef;
use millrace_plan::{Emit, Fields, Sliding, TimeDomain, Window};

use crate::batch::Batch;
use crate::operators::window::blocks::{Blocks, Instead, Source};
use crate::operators::window::changes::Changes;
use crate::operators::window::grid::Grid;
use crate::operators::window::output::Output;
use crate::operators::window::panes::{Panes, Span};
use crate::operators::window::times::{self, Times};
use crate::operators::{Fault, Keyed, Made, Now, StateSize};
use crate::partial::Partial;
use crate::state::codec::{CodecError, Fixed, Reader};
use crate::state::{Groups, Inputs, Layout};
use crate::watermark::Watermark;

/// The open panes of one partition.
pub(super) struct SlidingWindows {
    layout: Layout,
    grid: Grid,
    time: TimeDomain,
    emit: Emit,
    /// Milliseconds.
    lateness: i64,
    output: Fields,
    panes: Panes,
    blocks: Blocks,
    /// The partial that was read last.
    one: Groups,
    /// Kept for early results only.
    changes: Changes,
    /// Starts of the panes that use more than their share of some aggregate's range.
    crowded: BTreeSet<i64>,
    /// How far time has come.
    watermark: i64,
    /// Windows whose last instant is not above it are closed for good, even if the lateness is raised later.
    closed: i64,
    /// Nothing is due before this watermark.
    due: i64,
    faults: Vec<(usize, Fault)>,
}

const REFUSED: &str = "rows that would overflow a merged group were refused";

/// What a window does when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Emits what has changed since.
    Early(i64),
    /// Emits everything.
    Over,
    /// Emits everything for the last time.
    Close,
}

impl SlidingWindows {
    pub(super) fn new(sliding: Sliding, spec: &Window, input: &Fields, output: &Fields) -> Self {
        let layout = Layout::new(Some(spec), &spec.keys, &spec.aggregates, input);
        Self {
            one: Groups::new(&layout),
            layout,
            grid: Grid::new(sliding),
            time: spec.time,
            emit: spec.emit,
            lateness: spec.allowed_lateness,
            output: output.clone(),
            panes: Panes::default(),
            blocks: Blocks::default(),
            changes: Changes::default(),
            crowded: BTreeSet::new(),
            watermark: Watermark::NONE,
            closed: Watermark::NONE,
            due: i64::MAX,
            faults: Vec::new(),
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            grid: &self.grid,
            panes: &self.panes,
            layout: &self.layout,
        }
    }

    /// Whether a window emits when it is over, and again for every row, and only then closes.
    fn has_over(&self) -> bool {
        self.lateness > 0 && self.emit != Emit::OnUpdate
    }

    /// The watermark at which a window closes.
    fn closes_at(&self, window: i128) -> i64 {
        self.grid.span(window).last.saturating_add(self.lateness)
    }

    /// The oldest window of a pane that is after `watermark`.
    fn first_of(&self, pane: Span, watermark: i64) -> i128 {
        self.grid.first_after(watermark).max(*self.grid.windows(pane).start())
    }

    /// Adds the rows that wait in their panes.
    fn add_waiting(&mut self, inputs: &Inputs<'_>, times: &Times<'_>) {
        let share = self.grid.panes_of_window();
        for start in self.panes.touched() {
            self.blocks.forget(self.grid.pane_at(start), share);
        }
        if self.crowded.is_empty() && self.panes.has_room(inputs, share) {
            let (changes, early) = (&mut self.changes, matches!(self.emit, Emit::Early { .. }));
            self.panes.add_waiting(inputs, |span, rows, groups| {
                if early {
                    let row = |(row, group): (&u32, &u32)| changes.note(span, *group as usize, times.watermark(*row));
                    rows.iter().zip(groups).for_each(row);
                }
            });
            return;
        }
        for (row, span) in self.panes.take_waiting(&self.layout) {
            self.add_row(inputs, row as usize, span, times.watermark(row));
        }
    }

    /// Adds one row, unless an aggregate would overflow in a window that is still open. Returns its group in the pane.
    fn add_row(&mut self, inputs: &Inputs<'_>, row: usize, span: Span, watermark: i64) -> Option<usize> {
        let share = self.grid.panes_of_window();
        if let Err(full) = self.fits(inputs, row, span) {
            self.faults.push((row, Fault::Overflow(self.layout.overflow(full))));
            return None;
        }
        self.blocks.forget(self.grid.pane_at(span.last), share);
        let added = self.panes.add_row(inputs, row, span, &self.layout);
        let group = added.expect("a row that fits into the windows of a pane fits into the pane");
        self.added(span, group, watermark);
        Some(group)
    }

    /// Notes that a group of a pane has changed.
    fn added(&mut self, span: Span, group: usize, watermark: i64) {
        let share = self.grid.panes_of_window();
        let mergeable = self
            .panes
            .find_mut(span.start)
            .is_some_and(|groups| groups.is_mergeable(share));
        if !mergeable {
            self.crowded.insert(span.start);
        }
        if matches!(self.emit, Emit::Early { .. }) {
            self.changes.note(span, group, watermark);
        }
    }

    /// Folds the partial that was read last into its pane, unless an aggregate would overflow in a window that is still
    /// open. Returns its group in the pane.
    fn merge_one(&mut self, at: usize, span: Span, watermark: i64) -> Option<usize> {
        if let Err(full) = self.one_fits(span) {
            self.faults.push((at, Fault::Overflow(self.layout.overflow(full))));
            return None;
        }
        self.blocks
            .forget(self.grid.pane_at(span.last), self.grid.panes_of_window());
        let merged = self.panes.merge(&mut self.one, span, &self.layout);
        let group = merged.expect("a partial that fits into the windows of a pane fits into the pane");
        self.added(span, group, watermark);
        Some(group)
    }

    /// Whether the partial that was read last can be folded into its pane and all its open windows still be merged.
    fn one_fits(&mut self, span: Span) -> Result<(), usize> {
        let half = 2 * self.grid.panes_of_window();
        let open = self.panes.find_mut(span.start);
        let has_room = open.is_none_or(|groups| groups.is_mergeable(half)) && self.one.is_mergeable(half);
        if has_room && self.crowded.is_empty() {
            return Ok(());
        }
        let mut pane = Groups::new(&self.layout);
        if let Some(groups) = self.panes.find(span.start)
            && let Some(group) = groups.same(&self.one, 0)
        {
            pane.merge_group(groups, group)?;
        }
        pane.merge_group(&self.one, 0)?;
        self.windows_fit(&pane, span)
    }

    /// Whether a row can be added to its pane and all its open windows still be merged.
    fn fits(&mut self, inputs: &Inputs<'_>, row: usize, span: Span) -> Result<(), usize> {
        let share = self.grid.panes_of_window();
        let has_room = match self.panes.find_mut(span.start) {
            Some(groups) => groups.has_room_among(inputs, 1, share),
            None => Groups::new(&self.layout).has_room_among(inputs, 1, share),
        };
        if has_room && self.crowded.is_empty() {
            return Ok(());
        }
        let mut pane = Groups::new(&self.layout);
        if let Some(groups) = self.panes.find_mut(span.start)
            && let Some(group) = groups.find(inputs, row)
        {
            pane.merge_group(groups, group)?;
        }
        pane.add_row(inputs, row)?;
        self.windows_fit(&pane, span)
    }

    /// Whether all open windows of a pane can be merged, if the one group of `pane` stood in it.
    fn windows_fit(&mut self, pane: &Groups, span: Span) -> Result<(), usize> {
        let instead = Instead {
            pane: self.grid.pane_at(span.last),
            groups: pane,
        };
        let mut total = Groups::new(&self.layout);
        let mut blocks = std::mem::take(&mut self.blocks);
        let mut windows = self.first_of(span, self.closed)..=*self.grid.windows(span).end();
        let fits = windows.try_for_each(|window| {
            let panes = self.grid.panes(window);
            blocks.total_of(self.source(), panes, (pane, 0), Some(instead), &mut total)
        });
        self.blocks = blocks;
        fits
    }

    /// Adds a row and emits its group again: in all its open windows, or only in those that are over.
    fn update(&mut self, inputs: &Inputs<'_>, row: usize, span: Span, watermark: i64, out: &mut Output) {
        let added = self.add_row(inputs, row, span, watermark);
        self.emit_again(added, span, out);
    }

    fn emit_again(&mut self, group: Option<usize>, span: Span, out: &mut Output) {
        let Some(group) = group else { return };
        let newest = *self.grid.windows(span).end();
        for window in self.first_of(span, self.closed)..=newest {
            if self.emit == Emit::OnUpdate || self.grid.span(window).last <= self.watermark {
                self.emit_one(window, (span, group), self.watermark, out);
            }
        }
    }

    /// Emits the group that is number `group` in a pane, as it stands in a window.
    fn emit_one(&mut self, window: i128, (pane, group): (Span, usize), watermark: i64, out: &mut Output) {
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
    fn emit_all(&mut self, window: i128, is_final: bool, watermark: i64, out: &mut Output) {
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
    fn emit_changed(&mut self, window: i128, since: i64, watermark: i64, out: &mut Output) {
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
    fn advance(&mut self, watermark: i64, out: &mut Output) {
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
    fn windows_between(&self, after: i64, until: i64) -> impl Iterator<Item = i128> {
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
    fn early_deeds(&self, before: i64, watermark: i64) -> Vec<(i64, i128, Deed)> {
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
    fn close(&mut self, window: i128, watermark: i64, out: &mut Output) {
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
    fn due_of(&self, pane: Span) -> i64 {
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
    fn next_due(&self) -> i64 {
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

    fn load_panes(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let (watermark, closed) = (reader.get()?, reader.get()?);
        let panes = Panes::load(&self.layout, |time| self.grid.pane_span(time), reader)?;
        let changes = Changes::load(&panes, reader)?;
        reader.end()?;
        let newest = |pane: Span| self.grid.span(*self.grid.windows(pane).end()).last;
        if closed > watermark || panes.first().is_some_and(|pane| newest(pane) <= closed) {
            return Err(CodecError::Invalid("a window is open that was closed"));
        }
        (self.watermark, self.closed, self.panes) = (watermark, closed, panes);
        self.blocks = Blocks::default();
        self.changes = match self.emit {
            Emit::Early { .. } => changes,
            Emit::OnClose | Emit::OnUpdate => Changes::default(),
        };
        let share = self.grid.panes_of_window();
        let spans: Vec<Span> = self.panes.spans().collect();
        let crowded = |span: &Span| {
            self.panes
                .find_mut(span.start)
                .is_some_and(|groups| !groups.is_mergeable(share))
        };
        self.crowded = spans.into_iter().filter(crowded).map(|span| span.start).collect();
        self.due = self.next_due();
        match self.can_merge() {
            true => Ok(()),
            false => Err(CodecError::Invalid("windows do not fit together")),
        }
    }

    /// Whether all open windows of panes as they were loaded can be merged.
    fn can_merge(&mut self) -> bool {
        let mut blocks = Blocks::default();
        let mut windows = self.windows_between(self.closed, i64::MAX);
        self.crowded.is_empty()
            || windows.all(|window| blocks.total(self.source(), self.grid.panes(window), i64::MIN).is_ok())
    }
}

impl Keyed for SlidingWindows {
    /// Adds the rows, then does what is due. The results' time is the window's last instant, their watermark the one just
    /// before they were due.
    fn step(
        &mut self,
        batch: &Batch,
        arguments: &[Option<ArrayRef>],
        now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let inputs = self.layout.inputs(batch, arguments);
        let times = Times::of(self.time, batch, now, self.watermark);
        let mut out = Output::default();
        let mut span = Span::NOWHERE;
        let mut newest = i64::MIN;
        for (row, (time, seen)) in times.rows() {
            if !span.holds(*time) {
                span = self.grid.pane_span(*time);
                newest = self.grid.span(*self.grid.windows(span).end()).last;
            }
            if *seen > self.watermark {
                if *seen >= self.due {
                    self.add_waiting(&inputs, &times);
                }
                self.advance(*seen, &mut out);
            }
            if newest <= self.closed {
                self.faults.push((row, Fault::Late));
                continue;
            }
            let over = self.has_over() && self.grid.span(self.first_of(span, self.closed)).last <= self.watermark;
            if over || self.emit == Emit::OnUpdate {
                self.add_waiting(&inputs, &times);
                self.update(&inputs, row, span, *seen, &mut out);
                self.due = self.due.min(self.due_of(span));
            } else if self.panes.wait(span, row as u32, &self.layout) {
                self.due = self.due.min(self.due_of(span));
            }
        }
        self.add_waiting(&inputs, &times);
        self.advance(times.now, &mut out);
        self.faults.sort_by_key(|(row, _)| *row);
        faults.append(&mut self.faults);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    fn merge(&mut self, partials: &[Partial<'_>], now: Now, faults: &mut Vec<(usize, Fault)>) -> Option<Made> {
        let mut out = Output::default();
        let (mut span, mut newest) = (Span::NOWHERE, i64::MIN);
        for (at, partial) in partials.iter().enumerate() {
            let seen = partial.watermark;
            if seen > self.watermark || !span.holds(partial.time) {
                self.advance(seen, &mut out);
                span = self.grid.pane_span(partial.time);
                newest = self.grid.span(*self.grid.windows(span).end()).last;
                if newest > self.closed {
                    self.due = self.due.min(self.due_of(span));
                }
            }
            if newest <= self.closed {
                self.faults.push((at, Fault::Late));
                continue;
            }
            if let Err(error) = self.one.read_only(partial.group) {
                self.faults.push((at, Fault::Unreadable(error.to_string())));
                continue;
            }
            let over = self.has_over() && self.grid.span(self.first_of(span, self.closed)).last <= self.watermark;
            let merged = self.merge_one(at, span, seen);
            if over || self.emit == Emit::OnUpdate {
                self.emit_again(merged, span, &mut out);
            }
        }
        self.advance(now.watermark, &mut out);
        faults.append(&mut self.faults);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    /// Every open window closes, oldest first.
    fn finish(&mut self) -> Option<Made> {
        let mut out = Output::default();
        let windows: Vec<i128> = self.windows_between(self.closed, i64::MAX).collect();
        for window in windows {
            let last = self.grid.span(window).last;
            self.watermark = self.watermark.max(last.saturating_sub(1));
            self.close(window, self.watermark, &mut out);
        }
        (self.watermark, self.closed, self.due) = (i64::MAX, i64::MAX, i64::MAX);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    fn watermark_behind(&self, now: Now) -> i64 {
        times::behind(self.time, now, self.watermark, self.lateness)
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.panes.spans().map(|span| self.panes.groups(span).len()).sum(),
            windows: self.windows_between(self.closed, i64::MAX).count(),
            bytes: self.panes.bytes() + self.blocks.bytes() + self.changes.bytes(),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.layout.save(out);
        self.watermark.put(out);
        self.closed.put(out);
        self.panes.save(out);
        if let Emit::Early { .. } = self.emit {
            self.changes.save(&self.panes, out);
        }
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        self.load_panes(&mut reader).map_err(|error| error.to_string())
    }
}
