//! Where a chain's event time comes from: the records themselves, or the notes that the stage before wrote between them.

use millrace_format::{Decoder, Record};
use millrace_plan::{EventTime, Plan, TimeOrigin};

use crate::note::{Merged, Note};
use crate::watermark::Watermark;

/// Where a chain has its watermark from.
pub(super) enum Time {
    /// From the records, which are the first to have a time.
    Own(Watermark),
    /// From the stage before.
    Told(Merged),
}

impl Time {
    pub(super) fn of_stage(plan: &Plan, stage: usize) -> Self {
        match plan.is_told(stage) {
            false => Self::Own(Watermark::new(plan.event_time_of(stage))),
            true => Self::Told(Merged::new()),
        }
    }

    /// The clock has come to `now`. The stage before has told what that means for the next.
    pub(super) fn tick(&mut self, now: i64) {
        if let Self::Own(watermark) = self {
            watermark.tick(now);
        }
    }

    /// Records have come.
    pub(super) fn stir(&mut self) {
        if let Self::Own(watermark) = self {
            watermark.stir();
        }
    }

    /// Which partition of the stages before is waited for, of all that they have.
    pub(super) fn held_back_by(&self, all: impl Iterator<Item = (String, i32)>) -> Option<(String, i32)> {
        match self {
            Self::Own(_) => None,
            Self::Told(merged) => merged.held_back_by(all),
        }
    }

    pub(super) fn watermark(&self) -> i64 {
        match self {
            Self::Own(watermark) => watermark.current(),
            Self::Told(merged) => merged.current(),
        }
    }
}

/// The rows among the records of an internal topic.
pub(super) struct Rows<'a> {
    pub(super) records: Vec<Record<'a>>,
    /// For each its position among all records.
    pub(super) places: Vec<u32>,
    /// For each the watermark when it came.
    pub(super) watermarks: Vec<i64>,
}

impl<'a> Rows<'a> {
    /// Takes the notes out, which `merged` hears in their place between the rows. `first` is the place of the first record.
    pub(super) fn among(records: &[Record<'a>], first: u32, merged: &mut Merged) -> Self {
        let mut rows = Self {
            records: Vec::with_capacity(records.len()),
            places: Vec::with_capacity(records.len()),
            watermarks: Vec::with_capacity(records.len()),
        };
        for (place, record) in (first..).zip(records) {
            if let Some(note) = Note::of(record.value) {
                merged.hear(note);
                continue;
            }
            rows.records.push(*record);
            rows.places.push(place);
            rows.watermarks.push(merged.current());
        }
        rows
    }
}

/// Decodes what a stage reads.
pub(super) fn decoder(plan: &Plan, stage: usize) -> Decoder {
    if !plan.is_told(stage) {
        // What a joined stream's record keys are means nothing.
        let key = plan.key.as_ref().filter(|_| stage == 0);
        return Decoder::json(&plan.input_of(stage), key, plan.event_time_of(stage));
    }
    // The stage before wrote the rows: their keys are right, and their time is the record's.
    let written = EventTime {
        origin: TimeOrigin::Record,
        ..plan.event_time
    };
    Decoder::json(&plan.input_of(stage), None, written)
}
