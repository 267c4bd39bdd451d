//! Sessions: windows that the rows of a group make, `[first, last + gap)`, one as long as each row comes at most the gap
//! after the one before it. An older row, or one in between, makes sessions one.
//!
//! A session takes rows up to its end, that instant included, so it is over at the watermark `end`: whatever is in time
//! finds it, in whichever order rows of other groups come. Where a length is given, sessions that would be longer together
//! stay apart, and a row that would make one longer begins another.

mod store;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::ArrayRef;
use millrace_plan::{Emit, Fields, Session, TimeDomain, Window};

use crate::batch::Batch;
use crate::operators::window::grid;
use crate::operators::window::output::Output;
use crate::operators::window::panes::Span;
use crate::operators::window::sessions::store::{Slot, Store};
use crate::operators::window::times::{self, Times};
use crate::operators::{Fault, Keyed, Made, Now, StateSize};
use crate::state::codec::{CodecError, Fixed, Reader};
use crate::state::{Inputs, Layout};
use crate::watermark::Watermark;

/// The open sessions of one partition.
pub(super) struct Sessions {
    layout: Layout,
    session: Session,
    time: TimeDomain,
    emit: Emit,
    /// Milliseconds.
    lateness: i64,
    output: Fields,
    store: Store,
    /// When sessions may have something to do. Every open session has an entry that is not after its next deed.
    wakes: BinaryHeap<Reverse<(i64, u32)>>,
    /// How far time has come.
    watermark: i64,
    /// Sessions whose end is not above it are closed for good, even if the lateness is raised later.
    closed: i64,
    faults: Vec<(usize, Fault)>,
}

/// What a session does when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Emits.
    Emit,
    /// Emits for the last time.
    Close,
}

impl Sessions {
    pub(super) fn new(session: Session, spec: &Window, input: &Fields, output: &Fields) -> Self {
        let layout = Layout::new(Some(spec), &spec.keys, &spec.aggregates, input);
        Self {
            session,
            time: spec.time,
            emit: spec.emit,
            lateness: spec.allowed_lateness,
            output: output.clone(),
            store: Store::new(&layout),
            layout,
            wakes: BinaryHeap::new(),
            watermark: Watermark::NONE,
            closed: Watermark::NONE,
            faults: Vec::new(),
        }
    }

    /// How much later than their time results may come.
    fn held(&self) -> i64 {
        self.lateness.saturating_add(1)
    }

    /// The end of a session, which it includes.
    fn end(&self, slot: &Slot) -> i64 {
        slot.newest.saturating_add(self.session.gap)
    }

    fn span(&self, slot: &Slot) -> Span {
        Span {
            start: slot.oldest,
            last: self.end(slot) - 1,
        }
    }

    /// Whether a session of these times is short enough.
    fn is_short(&self, oldest: i64, newest: i64) -> bool {
        let length = i128::from(newest) + i128::from(self.session.gap) - i128::from(oldest);
        self.session.max_length.is_none_or(|longest| length <= longest.into())
    }

    /// The open sessions of a row's group that it belongs to, oldest first, and their times together.
    fn joined(&self, group: Option<u32>, time: i64) -> (Vec<u32>, (i64, i64)) {
        let mut near = Vec::new();
        for at in group.into_iter().flat_map(|group| self.store.sessions(group)) {
            let slot = self.store.slot(at);
            if slot.oldest <= time.saturating_add(self.session.gap) && self.end(slot) >= time {
                near.push(at);
            }
        }
        // One that lies around the row comes first: it does not get longer by it.
        near.sort_unstable_by_key(|at| {
            let Slot { oldest, newest, .. } = *self.store.slot(*at);
            (!(oldest..=newest).contains(&time), oldest)
        });
        let (mut oldest, mut newest) = (time, time);
        near.retain(|at| {
            let slot = self.store.slot(*at);
            let together = (oldest.min(slot.oldest), newest.max(slot.newest));
            let joins = self.is_short(together.0, together.1);
            if joins {
                (oldest, newest) = together;
            }
            joins
        });
        near.sort_unstable_by_key(|at| self.store.slot(*at).oldest);
        (near, (oldest, newest))
    }

    /// Takes a row in. `quick`: no row of the batch can overflow by itself. That holds until sessions are joined: what they
    /// have together was not looked at.
    fn take(
        &mut self,
        inputs: &Inputs<'_>,
        (row, time): (usize, i64),
        quick: &mut bool,
        out: &mut Output,
    ) -> Result<(), Fault> {
        let group = self.store.group(inputs, row);
        let (joined, (oldest, newest)) = self.joined(group, time);
        if joined.is_empty() && time.saturating_add(self.session.gap) <= self.closed {
            return Err(Fault::Late);
        }
        let overflow = |layout: &Layout, full| Fault::Overflow(layout.overflow(full));
        let at = match *joined.as_slice() {
            [] => self.store.open(inputs, row, *quick),
            [only] => self.store.add(inputs, row, only, *quick).map(|()| only),
            _ => {
                self.store.add_waiting(inputs);
                *quick = false;
                self.store.join(inputs, row, &joined)
            }
        };
        let at = at.map_err(|full| overflow(&self.layout, full))?;
        for old in joined {
            self.withdraw(old, oldest, out);
            if old != at {
                let told = self.store.close(old).told;
                let slot = self.store.slot_mut(at);
                slot.told = slot.told.max(told);
            }
        }
        let slot = self.store.slot_mut(at);
        (slot.oldest, slot.newest, slot.changed) = (oldest, newest, self.watermark);
        if self.emit == Emit::OnUpdate || self.end(self.store.slot(at)) <= self.watermark {
            self.store.add_waiting(inputs);
            self.emit(at, false, self.watermark, out);
        }
        self.wake(at);
        Ok(())
    }

    /// Takes back what was emitted of a session that now starts elsewhere.
    fn withdraw(&mut self, at: u32, start: i64, out: &mut Output) {
        let slot = self.store.slot_mut(at);
        let (oldest, told) = (slot.oldest, slot.told);
        if oldest == start || told == Slot::NOTHING {
            return;
        }
        slot.told = Slot::NOTHING;
        let span = Span {
            start: oldest,
            last: told,
        };
        let (keys, results) = out.rows(&self.layout, 1, span, false, self.watermark);
        self.store.append_nothing(at, keys, results);
    }

    fn emit(&mut self, at: u32, is_final: bool, watermark: i64, out: &mut Output) {
        let span = self.span(self.store.slot(at));
        let (keys, results) = out.rows(&self.layout, 1, span, is_final, watermark);
        self.store.append(at, keys, results);
        self.store.slot_mut(at).told = span.last;
    }

    /// The next result of a session before its end, after `watermark`, with the instant of the one before.
    fn early(&self, slot: &Slot, watermark: i64) -> Option<i64> {
        let Emit::Early { every } = self.emit else { return None };
        let (start, end) = (slot.oldest.into(), self.end(slot).into());
        let (at, since) = grid::early(start, end, every, watermark)?;
        since.is_none_or(|since| slot.changed >= since).then_some(at)
    }

    /// What a session does after one watermark and not after another, in order, each with its instant.
    fn deeds(&self, slot: &Slot, after: i64, until: i64) -> impl Iterator<Item = (i64, Deed)> {
        let end = self.end(slot);
        let has_over = self.lateness > 0 && self.emit != Emit::OnUpdate && end > after;
        let early = self.early(slot, after).map(|at| (at, Deed::Emit));
        let over = has_over.then_some((end, Deed::Emit));
        let close = Some((end.saturating_add(self.lateness), Deed::Close));
        let deeds = [early, over, close].into_iter().flatten();
        deeds.filter(move |(at, _)| *at <= until)
    }

    /// Sees to it that time does not pass the next deed of a session unnoticed.
    fn wake(&mut self, at: u32) {
        let slot = self.store.slot(at);
        let next = self.deeds(slot, self.watermark, i64::MAX).map(|(at, _)| at).min();
        let next = next.unwrap_or(i64::MAX);
        if next < slot.wake {
            self.store.slot_mut(at).wake = next;
            self.wakes.push(Reverse((next, at)));
        }
    }

    /// Whether a session may have something to do by this watermark.
    fn is_due(&self, watermark: i64) -> bool {
        self.wakes.peek().is_some_and(|Reverse((at, _))| *at <= watermark)
    }

    /// Moves time on, never back: what becomes due is done in the order of the watermark that it waits for.
    fn advance(&mut self, watermark: i64, out: &mut Output) {
        if watermark <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        self.closed = self.closed.max(watermark.saturating_sub(self.lateness));
        let mut deeds = Vec::new();
        let mut awake = Vec::new();
        while self.is_due(watermark) {
            let Some(Reverse((wake, at))) = self.wakes.pop() else {
                break;
            };
            let slot = self.store.slot_mut(at);
            if slot.is_open && slot.wake == wake {
                slot.wake = i64::MAX;
                let slot = self.store.slot(at);
                deeds.extend(self.deeds(slot, before, watermark).map(|(due, deed)| (due, at, deed)));
                awake.push(at);
            }
        }
        deeds.sort_unstable_by_key(|(due, at, deed)| (*due, *at, *deed == Deed::Close));
        for (due, at, deed) in deeds {
            let just_before = before.max(due.saturating_sub(1));
            self.emit(at, deed == Deed::Close, just_before, out);
            if deed == Deed::Close {
                self.store.close(at);
            }
        }
        for at in awake {
            if self.store.slot(at).is_open {
                self.wake(at);
            }
        }
    }

    /// Gives back the memory of closed sessions, once they are many.
    fn tidy(&mut self) {
        if self.store.is_tidy() {
            return;
        }
        self.store = self.store.tidied(&self.layout);
        self.wake_all();
    }

    fn wake_all(&mut self) {
        self.wakes.clear();
        for at in 0..self.store.places() {
            self.store.slot_mut(at).wake = i64::MAX;
            self.wake(at);
        }
    }

    fn load_sessions(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let (watermark, closed) = (reader.get()?, reader.get()?);
        let store = Store::load(&self.layout, reader)?;
        reader.end()?;
        let gap = self.session.gap;
        let is_closed = |slot: &Slot| slot.newest.saturating_add(gap) <= closed && closed != i64::MAX;
        if closed > watermark || store.slots().any(is_closed) {
            return Err(CodecError::Invalid("a session is open that was closed"));
        }
        (self.watermark, self.closed, self.store) = (watermark, closed, store);
        self.wake_all();
        Ok(())
    }
}

impl Keyed for Sessions {
    /// Adds the rows, then does what is due. The results' time is the session's last instant, their watermark the one just
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
        let mut quick = self.store.has_room(&inputs, batch.len());
        for (row, (time, seen)) in times.rows() {
            if self.is_due(*seen) {
                self.store.add_waiting(&inputs);
            }
            self.advance(*seen, &mut out);
            if let Err(fault) = self.take(&inputs, (row, *time), &mut quick, &mut out) {
                self.faults.push((row, fault));
            }
        }
        self.store.add_waiting(&inputs);
        self.advance(times.now, &mut out);
        self.tidy();
        faults.append(&mut self.faults);
        out.finish(&self.output, self.held()).map(Made::Results)
    }

    /// Every open session closes, those that end first first.
    fn finish(&mut self) -> Option<Made> {
        let mut out = Output::default();
        let mut open: Vec<(i64, u32)> = Vec::new();
        for at in 0..self.store.places() {
            let slot = self.store.slot(at);
            if slot.is_open {
                open.push((self.end(slot), at));
            }
        }
        open.sort_unstable();
        for (end, at) in open {
            self.watermark = self.watermark.max(end.saturating_sub(1));
            self.emit(at, true, self.watermark, &mut out);
        }
        self.store = Store::new(&self.layout);
        self.wakes.clear();
        (self.watermark, self.closed) = (i64::MAX, i64::MAX);
        out.finish(&self.output, self.held()).map(Made::Results)
    }

    fn watermark_behind(&self, now: Now) -> i64 {
        times::behind(self.time, now, self.watermark, self.held())
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.store.open_sessions(),
            windows: self.store.open_sessions(),
            bytes: self.store.bytes() + self.wakes.capacity() * size_of::<Reverse<(i64, u32)>>(),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.layout.save(out);
        self.watermark.put(out);
        self.closed.put(out);
        self.store.tidied(&self.layout).save(out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        self.load_sessions(&mut reader).map_err(|error| error.to_string())
    }
}
