//! The rows of one batch put together before they change partitions: one partial for each group and piece of time. Knows
//! nothing of other batches, so nothing of it is saved.
//!
//! Partials come in the order of their first rows, so groups arrive in their windows in the same order as their rows would.

use arrow::array::ArrayRef;
use millrace_plan::{Fields, Window};

use crate::batch::Batch;
use crate::operators::window::Pieces;
use crate::operators::window::panes::{Panes, Span};
use crate::partial::Head;
use crate::state::{Groups, Layout};

/// So many rows a partial must stand for, on average, or it does not pay: a partial takes more bytes than a row, and more
/// work.
const PAYS: usize = 3;

/// After a batch that did not pay so many are left alone, at most, and each time twice as many.
const PAUSE: u32 = 16;

/// What combines the rows that a window behind the cut will take in.
pub(crate) struct Combiner {
    layout: Layout,
    fingerprint: u32,
    pieces: Pieces,
    panes: Panes,
    combined: Vec<Combined>,
    /// For each group of a pane its place among the partials, kept for its memory.
    places: Vec<u32>,
    /// Kept for its memory.
    one: Groups,
    /// Batches to leave alone, and how many it will be after the next one that does not pay. Nothing but the form in which
    /// rows cross depends on it, so a restored chain may begin anew.
    pause: u32,
    next_pause: u32,
}

/// One partial that is to be written.
#[derive(Clone, Copy, Debug)]
struct Combined {
    /// Its first row, by position in the batch.
    first: u32,
    rows: u32,
    span: Span,
    group: u32,
}

impl Combiner {
    /// None where the window does not take partials.
    pub(crate) fn new(spec: &Window, input: &Fields) -> Option<Self> {
        let layout = Layout::new(Some(spec), &spec.keys, &spec.aggregates, input);
        Some(Self {
            fingerprint: layout.fingerprint(),
            pieces: Pieces::of(spec)?,
            panes: Panes::default(),
            combined: Vec::new(),
            places: Vec::new(),
            one: Groups::new(&layout),
            layout,
            pause: 0,
            next_pause: 1,
        })
    }

    /// Combines the rows of a batch; `arguments` are as for [`Keyed::step`](crate::operators::Keyed::step). False, and
    /// nothing is there to be written: there are nearly as many partials as rows, or a sum could overflow, or a row is of a
    /// time that no record can have, and is refused behind the cut.
    pub(crate) fn combine(&mut self, batch: &Batch, arguments: &[Option<ArrayRef>]) -> bool {
        self.clear();
        if batch.len() == 0 {
            return true;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        if batch.times.iter().any(|time| *time < 0) {
            return false;
        }
        let inputs = self.layout.inputs(batch, arguments);
        let mut span = Span::NOWHERE;
        for (row, time) in batch.times.iter().enumerate() {
            if !span.holds(*time) {
                span = self.pieces.at(*time);
            }
            self.panes.wait(span, row as u32, &self.layout);
        }
        if !self.panes.has_room(&inputs, 1) {
            self.panes.take_waiting(&self.layout);
            return false;
        }
        let (combined, places) = (&mut self.combined, &mut self.places);
        self.panes.add_waiting(&inputs, |span, rows, groups| {
            places.clear();
            for (row, group) in rows.iter().zip(groups) {
                match places.get(*group as usize) {
                    Some(place) => combined[*place as usize].rows += 1,
                    None => {
                        // Groups are numbered by first arrival.
                        places.push(combined.len() as u32);
                        combined.push(Combined {
                            first: *row,
                            rows: 1,
                            span,
                            group: *group,
                        });
                    }
                }
            }
        });
        let pays = self.combined.len() * PAYS <= batch.len();
        if pays {
            self.combined.sort_unstable_by_key(|combined| combined.first);
            self.next_pause = 1;
        } else {
            self.clear();
            self.leave_some_alone();
        }
        pays
    }

    /// The batch did not pay, so the next ones probably do not either.
    pub(crate) fn leave_some_alone(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause).min(PAUSE);
    }

    /// Number of partials.
    pub(crate) fn len(&self) -> usize {
        self.combined.len()
    }

    /// Appends the partial at this place to `out`, and returns its first row by position in the batch.
    pub(crate) fn write(&mut self, at: usize, out: &mut Vec<u8>) -> usize {
        let combined = self.combined[at];
        let head = Head {
            fingerprint: self.fingerprint,
            rows: combined.rows as usize,
        };
        head.put(out);
        let groups = self.panes.groups(combined.span);
        groups.put(combined.group as usize, &mut self.one, out);
        combined.first as usize
    }

    /// Forgets the batch.
    fn clear(&mut self) {
        self.combined.clear();
        while let Some(span) = self.panes.first() {
            self.panes.remove(span, &self.layout);
        }
    }
}
