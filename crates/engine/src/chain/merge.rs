//! Partials, which the stage before put together, on their way into the window that reads them.

use std::ops::Range;

use millrace_format::Record;

use crate::chain::Chain;
use crate::chain::flow::Flow;
use crate::chain::time::Time;
use crate::effects::{Effects, Reason};
use crate::note::Note;
use crate::operators::{Fault, Now};
use crate::partial::{Head, Partial};

/// Records that can be taken in together.
pub(super) struct Run {
    /// Which of the step's.
    pub(super) records: Range<usize>,
    /// Whether they are partials; else they are rows. Notes go with either.
    pub(super) partials: bool,
}

impl Chain {
    /// The records from `from` on, up to the next change between rows and partials. As input may be cut into steps in any
    /// way, it may be cut there.
    pub(super) fn run(&self, records: &[Record<'_>], from: usize) -> Run {
        let mut partials = None;
        let mut end = records.len();
        if self.partials.is_some() {
            let others = |record: &Record<'_>| {
                let is_partial = Head::is_one(record.value);
                !Note::is_one(record.value) && *partials.get_or_insert(is_partial) != is_partial
            };
            end = records[from..].iter().position(others).map_or(end, |at| from + at);
        }
        Run {
            records: from..end,
            partials: partials == Some(true),
        }
    }

    /// Takes the partials of a run in. Returns what the window makes of them, and how far time has come behind it.
    pub(super) fn merge(
        &mut self,
        position: usize,
        records: &[Record<'_>],
        run: Range<usize>,
        effects: &mut Effects,
    ) -> (Flow, Now) {
        let partials = self.read_partials(position, records, run, effects);
        let mut now = self.now();
        let keyed = self.states[position].as_mut().expect("a window remembers");
        let mut faults = Vec::new();
        let made = keyed.merge(&partials, now, &mut faults);
        now.watermark = keyed.watermark_behind(now);
        for (at, fault) in faults {
            let partial = &partials[at];
            let together = match partial.rows {
                1 => String::new(),
                rows => format!(" ({rows} records that were combined)"),
            };
            let (reason, message) = match fault {
                Fault::Late => (Reason::Late, "the record came after its window was closed".to_owned()),
                Fault::Overflow(message) => (Reason::AggregateOverflow, message),
                Fault::Unreadable(message) => (Reason::Undecodable, message),
            };
            let shown = self.partials.as_ref().and_then(|partials| partials.shown(partial));
            let message = format!("{message}{together}");
            self.rejecter
                .partial(position, partial, shown.as_ref(), reason, message, effects);
        }
        (self.made(position, None, made, effects), now)
    }

    /// Those of a run that are partials of this window. Time hears the notes between them.
    fn read_partials<'a>(
        &mut self,
        position: usize,
        records: &[Record<'a>],
        run: Range<usize>,
        effects: &mut Effects,
    ) -> Vec<Partial<'a>> {
        let mut partials = Vec::with_capacity(run.len());
        let (Time::Told(merged), Some(reader)) = (&mut self.time, &self.partials) else {
            return partials;
        };
        for (place, record) in run.clone().zip(&records[run]) {
            if let Some(note) = Note::of(record.value) {
                merged.hear(note);
                continue;
            }
            match reader.read(record, place as u32, merged.current()) {
                Ok(partial) => partials.push(partial),
                Err(why) => self.rejecter.unreadable(position, place as u32, why, effects),
            }
        }
        partials
    }
}
