//! Rows of two streams joined with each other. No clock: what is remembered goes by the watermarks that come in with the
//! rows, or at the end of the input.
//!
//! The meaning, row by row: time moves on to the row's watermark, and what has waited for it comes out, in the order of
//! the watermarks that it waited for and then of arrival; then the row is matched, or found late. After the last row time
//! moves on to the partition's watermark. Nothing in this mentions batches, so the sequence of results is the same
//! however the input is cut.
//!
//! | matching | a row is late | results, and their time | a row is forgotten |
//! |---|---|---|---|
//! | interval | at or behind the watermark | with each earlier row of the other side that lies in bounds, at once, oldest first; the later time of both | when the watermark has passed all times that could match |
//! | window | all its windows are over | when the window is over, keys by first arrival in it, pairs by time; the window's last instant | with the last of its windows |
//! | remembered | its `ttl` has passed | with every row of the other side that is remembered, at once, oldest first; the later time of both | when the watermark is `ttl` behind it |
//!
//! A kept row without a match comes out where it is forgotten, with its own time; in windows with theirs. With NULL in
//! its key nothing can match it: it comes out at once, in windows with them.

mod output;

mod rows;

mod saved;

mod spans;

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, AsArray};
use millrace_plan::{Fields, JoinSide, Matching, StreamJoin};

use crate::batch::Batch;
use crate::operators::join::stream::output::{Half, Output};
use crate::operators::join::stream::rows::{Row, Side, Store};
use crate::operators::join::stream::spans::Spans;
use crate::operators::{Fault, Keyed, Made, Now, StateSize};
use crate::state::codec::{Fixed, Reader};
use crate::state::{View, encode_row as encode, save_shape, saved_shape};
use crate::watermark::Watermark;

/// What is remembered of both streams of one partition.
pub(crate) struct StreamJoinOperator {
    spec: StreamJoin,
    shape: Vec<String>,
    output: Fields,
    store: Store,
    /// Last instants of the windows that hold rows and are not over.
    open: BTreeSet<i64>,
    /// How far time has come.
    watermark: i64,
    /// The key and the fields of one row, kept for their memory.
    scratch: (Vec<u8>, Vec<u8>),
}

/// A row as it comes in.
struct Arrival<'a> {
    side: Side,
    time: i64,
    seen: i64,
    key: &'a [u8],
    /// Nothing can match a row with NULL in its key.
    findable: bool,
    fields: &'a [u8],
}

impl StreamJoinOperator {
    pub(crate) fn new(spec: &StreamJoin, input: &Fields, output: &Fields) -> Self {
        Self {
            spec: spec.clone(),
            shape: spec.shape(input),
            output: output.clone(),
            store: Store::default(),
            open: BTreeSet::new(),
            watermark: Watermark::NONE,
            scratch: Default::default(),
        }
    }

    fn side(&self, side: Side) -> &JoinSide {
        match side {
            Side::Left => &self.spec.left,
            Side::Right => &self.spec.right,
        }
    }

    /// The watermark at which a row is forgotten; None: never.
    fn due(&self, side: Side, time: i64) -> Option<i64> {
        match self.spec.matching {
            Matching::Interval { before, after } => Some(time.saturating_add(match side {
                Side::Left => after,
                Side::Right => before,
            })),
            Matching::Window { .. } => Some(self.spans()?.newest_last(time)),
            Matching::Remembered { ttl } => ttl.map(|ttl| time.saturating_add(ttl)),
        }
    }

    fn spans(&self) -> Option<Spans> {
        match self.spec.matching {
            Matching::Window { size, slide, offset } => Some(Spans { size, slide, offset }),
            Matching::Interval { .. } | Matching::Remembered { .. } => None,
        }
    }

    fn is_late(&self, side: Side, time: i64) -> bool {
        let last = match self.spec.matching {
            Matching::Interval { .. } => time,
            _ => self.due(side, time).unwrap_or(i64::MAX),
        };
        last <= self.watermark
    }

    /// Times of the other side's rows that match a row of `side`.
    fn bounds(&self, side: Side, time: i64) -> (i64, i64) {
        let Matching::Interval { before, after } = self.spec.matching else {
            return (i64::MIN, i64::MAX);
        };
        let (less, more) = match side {
            Side::Left => (before, after),
            Side::Right => (after, before),
        };
        (time.saturating_sub(less), time.saturating_add(more))
    }

    /// Moves time on, never back.
    fn advance(&mut self, watermark: i64, out: &mut Output) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        match self.spans() {
            Some(spans) => {
                while let Some(last) = self.open.first().copied().filter(|last| *last <= watermark) {
                    self.open.remove(&last);
                    self.close(spans, last, out);
                }
            }
            None => self.forget(out),
        }
    }

    /// Forgets what time has passed. Kept rows that found nothing come out.
    fn forget(&mut self, out: &mut Output) {
        while let Some(due) = self.store.due(self.watermark) {
            let (key, row) = self.store.oldest(due.entry, due.side);
            if !row.matched && self.side(due.side).keeps_unmatched {
                let watermark = due.at.saturating_sub(1).saturating_sub(self.holds_back());
                let half = Half::of(due.side, &row.fields);
                out.append(key, None, half, row.time, watermark);
            }
            self.store.forget_oldest(due.entry, due.side);
        }
    }

    /// A window is over: its pairs, and its kept rows without a match, come out.
    fn close(&mut self, spans: Spans, last: i64, out: &mut Output) {
        let start = spans.start_of_last(last);
        let window = Some((start, last.saturating_add(1)));
        let watermark = last.saturating_sub(1);
        for entry in self.store.entries_between(start, last) {
            let (key, lefts, rights) = self.store.between(entry, start, last);
            for left in lefts.clone() {
                for right in rights.clone() {
                    let half = Half::Both(&left.fields, &right.fields);
                    out.append(key, window, half, last, watermark);
                }
            }
            for (side, mut rows, others) in [
                (Side::Left, lefts.clone(), rights.clone()),
                (Side::Right, rights, lefts),
            ] {
                if self.side(side).keeps_unmatched && others.len() == 0 {
                    rows.by_ref().for_each(|row| {
                        let half = Half::of(side, &row.fields);
                        out.append(key, window, half, last, watermark);
                    });
                }
            }
            self.store.forget_while(entry, |time| spans.newest_last(time) <= last);
        }
    }

    /// Milliseconds by which the times of results may be behind the watermark: a row without a match comes out when the last
    /// that could have matched would be late, with the time of its own.
    fn holds_back(&self) -> i64 {
        let (left, right) = (self.spec.left.keeps_unmatched, self.spec.right.keeps_unmatched);
        match self.spec.matching {
            Matching::Interval { before, after } => {
                let (left, right) = (if left { after } else { 0 }, if right { before } else { 0 });
                left.max(right)
            }
            Matching::Remembered { ttl: Some(ttl) } if left || right => ttl,
            Matching::Remembered { .. } | Matching::Window { .. } => 0,
        }
    }

    /// Matches a row that is not late, and remembers it.
    fn arrive(&mut self, arrival: &Arrival<'_>, out: &mut Output) {
        let Arrival { side, time, key, .. } = *arrival;
        if let Some(spans) = self.spans() {
            if arrival.findable || self.side(side).keeps_unmatched {
                self.open
                    .extend(spans.lasts(time).take_while(|last| *last > self.watermark));
                let entry = if arrival.findable { self.store.find(key) } else { None };
                self.remember(entry, arrival, false);
            }
            return;
        }
        let watermark = arrival.seen.saturating_sub(self.holds_back());
        if !arrival.findable {
            if self.side(side).keeps_unmatched {
                out.append(key, None, Half::of(side, arrival.fields), time, watermark);
            }
            return;
        }
        let entry = self.store.find(key);
        let bounds = self.bounds(side, time);
        let others = entry.map(|entry| self.store.matching(entry, side.other(), bounds));
        let mut matched = false;
        for other in others.into_iter().flatten() {
            (matched, other.matched) = (true, true);
            let half = match side {
                Side::Left => Half::Both(arrival.fields, &other.fields),
                Side::Right => Half::Both(&other.fields, arrival.fields),
            };
            out.append(key, None, half, time.max(other.time), watermark);
        }
        self.remember(entry, arrival, matched);
    }

    fn remember(&mut self, entry: Option<u32>, arrival: &Arrival<'_>, matched: bool) {
        let Arrival { side, time, .. } = *arrival;
        let entry = entry.unwrap_or_else(|| self.store.add_entry(arrival.key, arrival.findable));
        // Windows forget their rows themselves.
        let due = match self.spans() {
            Some(_) => None,
            None => self.due(side, time),
        };
        self.store
            .add(entry, side, Row::new(time, matched, arrival.fields), due);
    }
}

impl Keyed for StreamJoinOperator {
    fn step(
        &mut self,
        batch: &Batch,
        _arguments: &[Option<ArrayRef>],
        now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let mut out = Output::new(&self.spec, &self.output);
        let is_right = batch.columns.column(self.spec.is_right).as_boolean();
        let views = |positions: &[usize]| -> Vec<View<'_>> {
            positions.iter().map(|at| View::of(batch.columns.column(*at))).collect()
        };
        let sides = [&self.spec.left, &self.spec.right];
        let columns = sides.map(|side| (views(&side.key), views(&side.fields)));
        let (mut key, mut fields) = std::mem::take(&mut self.scratch);
        for (row, (time, seen)) in batch.times.iter().zip(&batch.watermarks).enumerate() {
            let side = if is_right.value(row) { Side::Right } else { Side::Left };
            self.advance(*seen, &mut out);
            if self.is_late(side, *time) {
                faults.push((row, Fault::Late));
                continue;
            }
            let (keys, values) = &columns[side as usize];
            key.clear();
            fields.clear();
            encode(keys, row, &mut key);
            encode(values, row, &mut fields);
            let arrival = Arrival {
                side,
                time: *time,
                seen: *seen,
                key: &key,
                findable: !keys.iter().any(|key| key.is_null(row)),
                fields: &fields,
            };
            self.arrive(&arrival, &mut out);
        }
        self.scratch = (key, fields);
        self.advance(now.watermark, &mut out);
        out.finish().map(Made::Results)
    }

    /// All windows are over, and nothing is waited for.
    fn finish(&mut self) -> Option<Made> {
        let mut out = Output::new(&self.spec, &self.output);
        self.advance(i64::MAX, &mut out);
        out.finish().map(Made::Results)
    }

    fn watermark_behind(&self, now: Now) -> i64 {
        now.watermark.saturating_sub(self.holds_back())
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.store.entries(),
            windows: self.open.len(),
            bytes: self.store.bytes(),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        save_shape(&self.shape, out);
        self.watermark.put(out);
        saved::save(&self.store, out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        let shape = saved_shape(&mut reader).map_err(|error| error.to_string())?;
        if let Some(difference) = millrace_plan::difference(&self.shape, &shape) {
            return Err(difference);
        }
        self.load_rows(&mut reader).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
