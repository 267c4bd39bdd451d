//! Windows that overlap, and any windows of one size that emit before they are over. A row is added to one pane; a window
//! is merged of its panes when it emits.
//!
//! A row is late only if all windows of its pane are closed; else it counts in those that are not, for those that are
//! have emitted for the last time. It is refused if in any of them an aggregate, or the merge of some of its panes, would
//! overflow: so what is merged later always fits. That is checked row by row only while values are so large that it could
//! be: as long as every pane stays within its share of the range, no merge can leave it.

mod emit;
mod room;

use std::collections::BTreeSet;

use arrow::array::ArrayRef;
use millrace_plan::{Emit, Fields, Sliding, TimeDomain, Window};

use crate::batch::Batch;
use crate::operators::window::blocks::{Blocks, Source};
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
