//! Entries by key that are forgotten at a deadline.
//!
//! **The meaning**: an entry whose deadline lies at or before the time of a row does not exist for that row. Everything
//! else here only gives memory back, a bounded piece a step, and changes no result: what is swept away could not be seen
//! any more.
//!
//! Numbers of entries are never used again. A forgotten key that comes again gets a new number, and its old one is dead.
//! When the dead are more than half, a new generation begins: entries go over to it one by one, when a row asks for them
//! or when it is their turn; then the old generation goes as a whole.

use crate::state::codec::{self, CodecError, Reader};
use crate::state::keys::Keys;
use crate::state::shape::{save_shape, saved_shape_is};
use crate::state::view::View;

/// Entries that are looked at in a step, whatever there is to do; rows of the step come on top.
const SWEPT: usize = if cfg!(test) { 3 } else { 4096 };
/// Entries that go over to the next generation in a step; rows of the step come on top.
const MOVED: usize = if cfg!(test) { 1 } else { 512 };
/// A generation that is smaller is not worth another.
const SMALL: usize = if cfg!(test) { 4 } else { 1024 };
/// The deadline of what is dead. A live entry's lies above it.
const DEAD: i64 = i64::MIN;

/// Something numbered by key, all of one layout.
pub(crate) trait Entries: Sized {
    /// What all have in common.
    type Layout;
    fn new(layout: &Self::Layout) -> Self;
    fn keys(&self) -> &Keys;
    fn keys_mut(&mut self) -> &mut Keys;
    /// Makes entries for all keys. A new one has seen nothing.
    fn grow(&mut self);
    /// Makes the new entry `into` what `other` has at `from`.
    fn copy(&mut self, into: usize, other: &Self, from: usize);
    /// Estimated bytes of memory.
    fn bytes(&self) -> usize;
    fn save(&self, out: &mut Vec<u8>);
    fn load(layout: &Self::Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// Entries with deadlines.
pub(crate) struct Expiring<E> {
    live: Generation<E>,
    /// The generation before, until all of it has gone over.
    old: Option<Generation<E>>,
    /// How far time has come.
    now: i64,
    /// Entries that were forgotten and not counted yet.
    expired: u64,
}

struct Generation<E> {
    entries: E,
    /// One for each.
    deadlines: Vec<i64>,
    dead: usize,
    /// The next to look at.
    next: usize,
}

impl<E: Entries> Generation<E> {
    fn new(layout: &E::Layout) -> Self {
        Self {
            entries: E::new(layout),
            deadlines: Vec::new(),
            dead: 0,
            next: 0,
        }
    }

    fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Marks an entry dead. Returns whether it was not dead before.
    fn kill(&mut self, at: usize) -> bool {
        let lived = std::mem::replace(&mut self.deadlines[at], DEAD) != DEAD;
        self.dead += usize::from(lived);
        lived
    }

    /// Takes a live entry of another generation over.
    fn take_over(&mut self, other: &Self, at: usize) {
        let into = self.entries.keys_mut().adopt(other.entries.keys(), at) as usize;
        debug_assert_eq!(into, self.deadlines.len(), "an entry lives in one generation");
        self.entries.grow();
        self.entries.copy(into, &other.entries, at);
        self.deadlines.push(other.deadlines[at]);
    }
}

impl<E: Entries> Expiring<E> {
    pub(crate) fn new(layout: &E::Layout) -> Self {
        Self {
            live: Generation::new(layout),
            old: None,
            now: DEAD,
            expired: 0,
        }
    }

    /// What the numbers are of.
    pub(crate) fn entries(&mut self) -> &mut E {
        &mut self.live.entries
    }

    /// Number of entries, with forgotten ones that were not swept yet.
    pub(crate) fn len(&self) -> usize {
        let alive = |generation: &Generation<E>| generation.len() - generation.dead;
        alive(&self.live) + self.old.as_ref().map_or(0, alive)
    }

    /// The deadline of an entry.
    pub(crate) fn deadline(&self, number: usize) -> i64 {
        self.live.deadlines[number]
    }

    /// The entry that a row has at `now`, without making one.
    pub(crate) fn find(&mut self, columns: &[View<'_>], row: usize, now: i64) -> Option<u32> {
        self.settle(columns, row);
        let number = self.live.entries.keys_mut().find(columns, row)?;
        (self.live.deadlines[number as usize] > now).then_some(number)
    }

    /// The entry that a row has at `now`, made where there is none; whether it was made; and its deadline is not before
    /// `deadline` from here on.
    #[inline]
    pub(crate) fn enter(&mut self, columns: &[View<'_>], row: usize, now: i64, deadline: i64) -> (u32, bool) {
        self.settle(columns, row);
        let live = &mut self.live;
        let mut number = live.entries.keys_mut().intern(columns, row);
        let mut made = number as usize == live.deadlines.len();
        if !made && live.deadlines[number as usize] <= now {
            self.expired += u64::from(live.kill(number as usize));
            number = live.entries.keys_mut().renew(columns, row);
            made = true;
        }
        if made {
            live.deadlines.push(deadline);
            live.entries.grow();
        } else {
            let held = &mut live.deadlines[number as usize];
            *held = deadline.max(*held);
        }
        (number, made)
    }

    /// Brings the entries of all rows of a batch together, so that what is asked of [`Self::entries`] as a whole counts for
    /// them.
    pub(crate) fn settle_all(&mut self, columns: &[View<'_>], rows: usize) {
        if self.old.is_some() {
            (0..rows).for_each(|row| self.settle(columns, row));
        }
    }

    /// Lets the row's entry go over, if the generation before has it.
    #[inline]
    fn settle(&mut self, columns: &[View<'_>], row: usize) {
        let Some(old) = &mut self.old else { return };
        let Some(at) = old.entries.keys_mut().find(columns, row) else {
            return;
        };
        if old.deadlines[at as usize] != DEAD {
            self.live.take_over(old, at as usize);
            old.kill(at as usize);
        }
    }

    /// Time has come to `now` with a step of `rows` rows. Gives memory back, so much a step that it keeps up.
    pub(crate) fn clean(&mut self, now: i64, rows: usize, layout: &E::Layout) {
        self.now = now;
        self.move_some(now, MOVED + rows);
        self.sweep(now, SWEPT + rows);
        if self.old.is_none() && self.live.len() >= SMALL && self.live.dead * 2 > self.live.len() {
            let mut old = std::mem::replace(&mut self.live, Generation::new(layout));
            old.next = 0;
            self.old = Some(old);
        }
    }

    fn move_some(&mut self, now: i64, mut budget: usize) {
        let Some(old) = &mut self.old else { return };
        let end = old.len().min(old.next + SWEPT + budget);
        while old.next < end && budget > 0 {
            let at = old.next;
            old.next += 1;
            match old.deadlines[at] {
                DEAD => continue,
                deadline if deadline > now => {
                    self.live.take_over(old, at);
                    budget -= 1;
                }
                _ => self.expired += 1,
            }
            old.kill(at);
        }
        if old.next == old.len() {
            self.old = None;
        }
    }

    fn sweep(&mut self, now: i64, budget: usize) {
        let live = &mut self.live;
        for _ in 0..budget.min(live.len()) {
            let at = if live.next < live.len() { live.next } else { 0 };
            live.next = at + 1;
            if live.deadlines[at] <= now {
                self.expired += u64::from(live.kill(at));
            }
        }
    }

    /// Entries that were forgotten since the last call.
    pub(crate) fn take_expired(&mut self) -> u64 {
        std::mem::take(&mut self.expired)
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |generation: &Generation<E>| generation.entries.bytes() + generation.deadlines.capacity() * 8;
        bytes(&self.live) + self.old.as_ref().map_or(0, bytes)
    }

    /// Writes the entries that live, then their deadlines.
    pub(crate) fn save(&self, layout: &E::Layout, out: &mut Vec<u8>) {
        let due = |generation: &Generation<E>| generation.deadlines.iter().any(|deadline| *deadline <= self.now);
        if self.old.is_none() && !due(&self.live) {
            return put(&self.live, out);
        }
        let mut whole = Generation::new(layout);
        for generation in self.old.iter().chain([&self.live]) {
            for at in 0..generation.len() {
                if generation.deadlines[at] > self.now {
                    whole.take_over(generation, at);
                }
            }
        }
        put(&whole, out);
    }

    /// Writes a whole state: its shape, then what [`Self::save`] writes.
    pub(crate) fn save_whole(&self, shape: &[String], layout: &E::Layout, out: &mut Vec<u8>) {
        save_shape(shape, out);
        self.save(layout, out);
    }

    /// Reads what `save_whole` wrote. Another shape is an error that says what differs.
    pub(crate) fn load_whole(shape: &[String], layout: &E::Layout, bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        saved_shape_is(shape, &mut reader)?;
        let loaded = Self::load(layout, &mut reader).and_then(|loaded| reader.end().map(|()| loaded));
        loaded.map_err(|error| error.to_string())
    }

    /// Reads what `save` wrote under the same layout.
    pub(crate) fn load(layout: &E::Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let entries = E::load(layout, reader)?;
        let deadlines: Vec<i64> = reader.all(entries.keys().len())?;
        if deadlines.contains(&DEAD) {
            return Err(CodecError::Invalid("a dead entry was saved"));
        }
        let mut loaded = Self::new(layout);
        loaded.live = Generation {
            entries,
            deadlines,
            dead: 0,
            next: 0,
        };
        Ok(loaded)
    }
}

fn put<E: Entries>(generation: &Generation<E>, out: &mut Vec<u8>) {
    generation.entries.save(out);
    codec::put_all(out, &generation.deadlines);
}
