//! Tumbling windows that emit when they are over. Their rows wait in their windows until the end of the batch wherever
//! that makes no difference, and are added together.

use arrow::array::ArrayRef;
use millrace_plan::{Fields, TimeDomain, Tumbling, Window};

use crate::batch::Batch;
use crate::operators::window::changes::Changes;
use crate::operators::window::output::Output;
use crate::operators::window::panes::{Panes, Span};
use crate::operators::window::times::{self, Times};
use crate::operators::{Fault, Keyed, Made, Now, StateSize};
use crate::partial::Partial;
use crate::state::codec::{CodecError, Fixed, Reader};
use crate::state::{Groups, Inputs, Layout};
use crate::watermark::Watermark;

/// The open windows of one partition.
pub(super) struct TumblingWindows {
    layout: Layout,
    tumbling: Tumbling,
    time: TimeDomain,
    /// Milliseconds.
    lateness: i64,
    output: Fields,
    panes: Panes,
    /// The partial that was read last.
    one: Groups,
    /// How far time has come: windows whose last instant is not above it have fired.
    watermark: i64,
    /// Windows whose last instant is not above it are closed for good, even if the lateness is raised later.
    closed: i64,
    /// Rows that were not added; kept for its memory.
    faults: Vec<(usize, Fault)>,
}

impl TumblingWindows {
    pub(super) fn new(tumbling: Tumbling, spec: &Window, input: &Fields, output: &Fields) -> Self {
        let layout = Layout::new(Some(spec), &spec.keys, &spec.aggregates, input);
        Self {
            one: Groups::new(&layout),
            layout,
            tumbling,
            time: spec.time,
            lateness: spec.allowed_lateness,
            output: output.clone(),
            panes: Panes::default(),
            watermark: Watermark::NONE,
            closed: Watermark::NONE,
            faults: Vec::new(),
        }
    }

    /// Last instant of the newest window that this watermark closes for good.
    fn closed_at(&self, watermark: i64) -> i64 {
        watermark.saturating_sub(self.lateness)
    }

    /// Adds the rows that wait in their windows.
    fn add_waiting(&mut self, inputs: &Inputs<'_>) {
        if self.panes.has_room(inputs, 1) {
            self.panes.add_waiting(inputs, |_, _, _| {});
            return;
        }
        for (row, span) in self.panes.take_waiting(&self.layout) {
            self.add_row(inputs, row as usize, span);
        }
    }

    /// Adds one row, unless an aggregate would overflow. Returns its group.
    fn add_row(&mut self, inputs: &Inputs<'_>, row: usize, span: Span) -> Option<usize> {
        match self.panes.add_row(inputs, row, span, &self.layout) {
            Ok(group) => Some(group),
            Err(full) => {
                self.faults.push((row, Fault::Overflow(self.layout.overflow(full))));
                None
            }
        }
    }

    /// Folds what was read last into its window. Returns its group.
    fn merge_one(&mut self, at: usize, span: Span) -> Option<usize> {
        let merged = self.panes.merge(&mut self.one, span, &self.layout);
        let overflow = |full| self.faults.push((at, Fault::Overflow(self.layout.overflow(full))));
        merged.map_err(overflow).ok()
    }

    /// Adds a row to a window that has fired, and emits its group again.
    fn update(&mut self, inputs: &Inputs<'_>, row: usize, span: Span, out: &mut Output) {
        let added = self.add_row(inputs, row, span);
        self.emit_again(added, span, out);
    }

    fn emit_again(&self, group: Option<usize>, span: Span, out: &mut Output) {
        if let Some(group) = group {
            let groups = self.panes.groups(span);
            out.append(&self.layout, groups, group..group + 1, span, false, self.watermark);
        }
    }

    /// Moves time on, never back: windows fire and close in the order of the watermark that they wait for.
    fn advance(&mut self, watermark: i64, out: &mut Output) {
        if watermark <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        self.closed = self.closed.max(self.closed_at(watermark));
        let mut due = Vec::new();
        for span in self.panes.spans().take_while(|span| span.last <= watermark) {
            if span.last <= self.closed {
                due.push((span.last.saturating_add(self.lateness), span.last, true, span));
            }
            if self.lateness > 0 && span.last > before {
                due.push((span.last, span.last, false, span));
            }
        }
        due.sort_by_key(|(at, last, ..)| (*at, *last));
        for (at, _, closes, span) in due {
            let just_before = before.max(at.saturating_sub(1));
            if closes {
                self.close(span, just_before, out);
            } else {
                let groups = self.panes.groups(span);
                out.append(&self.layout, groups, 0..groups.len(), span, false, just_before);
            }
        }
    }

    fn close(&mut self, span: Span, watermark: i64, out: &mut Output) {
        let groups = self.panes.groups(span);
        out.append(&self.layout, groups, 0..groups.len(), span, true, watermark);
        self.panes.remove(span, &self.layout);
    }

    fn load_windows(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let (watermark, closed) = (reader.get()?, reader.get()?);
        let panes = Panes::load(&self.layout, |time| Span::of(self.tumbling, time), reader)?;
        Changes::load(&panes, reader)?;
        reader.end()?;
        if closed > watermark || panes.first().is_some_and(|span| span.last <= closed) {
            return Err(CodecError::Invalid("a window is open that was closed"));
        }
        (self.watermark, self.closed, self.panes) = (watermark, closed, panes);
        Ok(())
    }
}

impl Keyed for TumblingWindows {
    /// Adds the rows, then closes what the watermark closes. The results' time is the window's last instant, their
    /// watermark the one just before they were due.
    fn step(
        &mut self,
        batch: &Batch,
        arguments: &[Option<ArrayRef>],
        now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let inputs = self.layout.inputs(batch, arguments);
        let mut out = Output::default();
        let mut span = Span::NOWHERE;
        let times = Times::of(self.time, batch, now, self.watermark);
        for (row, (time, seen)) in times.rows() {
            if !span.holds(*time) {
                span = Span::of(self.tumbling, *time);
            }
            if span.last <= self.closed.max(self.closed_at(*seen)) {
                self.faults.push((row, Fault::Late));
            } else if span.last <= self.watermark.max(*seen) {
                self.add_waiting(&inputs);
                self.advance(*seen, &mut out);
                self.update(&inputs, row, span, &mut out);
            } else {
                self.panes.wait(span, row as u32, &self.layout);
            }
        }
        self.add_waiting(&inputs);
        self.advance(times.now, &mut out);
        self.faults.sort_by_key(|(row, _)| *row);
        faults.append(&mut self.faults);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    fn merge(&mut self, partials: &[Partial<'_>], now: Now, faults: &mut Vec<(usize, Fault)>) -> Option<Made> {
        let mut out = Output::default();
        for (at, partial) in partials.iter().enumerate() {
            let (span, seen) = (Span::of(self.tumbling, partial.time), partial.watermark);
            if span.last <= self.closed.max(self.closed_at(seen)) {
                self.faults.push((at, Fault::Late));
            } else if let Err(error) = self.one.read_only(partial.group) {
                self.faults.push((at, Fault::Unreadable(error.to_string())));
            } else if span.last <= self.watermark.max(seen) {
                self.advance(seen, &mut out);
                let merged = self.merge_one(at, span);
                self.emit_again(merged, span, &mut out);
            } else {
                self.merge_one(at, span);
            }
        }
        self.advance(now.watermark, &mut out);
        faults.append(&mut self.faults);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    /// Every open window closes, oldest first.
    fn finish(&mut self) -> Option<Made> {
        let mut out = Output::default();
        while let Some(span) = self.panes.first() {
            self.watermark = self.watermark.max(span.last.saturating_sub(1));
            self.close(span, self.watermark, &mut out);
        }
        (self.watermark, self.closed) = (i64::MAX, i64::MAX);
        out.finish(&self.output, self.lateness).map(Made::Results)
    }

    fn watermark_behind(&self, now: Now) -> i64 {
        times::behind(self.time, now, self.watermark, self.lateness)
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.panes.spans().map(|span| self.panes.groups(span).len()).sum(),
            windows: self.panes.spans().count(),
            bytes: self.panes.bytes(),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.layout.save(out);
        self.watermark.put(out);
        self.closed.put(out);
        self.panes.save(out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        self.load_windows(&mut reader).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
