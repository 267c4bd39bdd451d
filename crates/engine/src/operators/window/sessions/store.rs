//! The open sessions: their times, their groups and their aggregates. New sessions take new places, in order; places of
//! closed ones are given up together, when they are many.

use crate::state::codec::{self, CodecError, Reader};
use crate::state::{ColumnBuilder, Inputs, Keys, Layout, Places};

/// No place.
const NONE: u32 = u32::MAX;

/// Closed sessions that may keep their places, beside as many as are open.
const SPARE: usize = 256;

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) is_open: bool,
    group: u32,
    /// The next session of the group, in no order.
    next: u32,
    /// Time of its oldest row: its start.
    pub(super) oldest: i64,
    /// Time of its newest row.
    pub(super) newest: i64,
    /// The watermark when it changed last.
    pub(super) changed: i64,
    /// The last instant that was emitted with its start, or [`Slot::NOTHING`].
    pub(super) told: i64,
    /// When it is to be looked at again. Not saved.
    pub(super) wake: i64,
}

impl Slot {
    pub(super) const NOTHING: i64 = i64::MIN;
}

/// All sessions.
pub(super) struct Store {
    keys: Keys,
    /// For each group its first session.
    heads: Vec<u32>,
    slots: Vec<Slot>,
    /// The aggregates of each slot.
    places: Places,
    open: usize,
    /// Rows that are still to be added, and where.
    rows: Vec<u32>,
    row_places: Vec<u32>,
    /// One place, for what is not decided yet.
    scratch: Places,
}

impl Store {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            keys: layout.keys(),
            heads: Vec::new(),
            slots: Vec::new(),
            places: Places::new(layout),
            open: 0,
            rows: Vec::new(),
            row_places: Vec::new(),
            scratch: Places::new(layout),
        }
    }

    pub(super) fn slot(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }

    pub(super) fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Number of places, those of closed sessions included.
    pub(super) fn places(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn open_sessions(&self) -> usize {
        self.open
    }

    /// The group of a row, if it has one.
    pub(super) fn group(&mut self, inputs: &Inputs<'_>, row: usize) -> Option<u32> {
        self.keys.find(&inputs.keys, row)
    }

    /// The open sessions of a group.
    pub(super) fn sessions(&self, group: u32) -> impl Iterator<Item = u32> {
        let after = |at: u32| (at != NONE).then_some(at);
        std::iter::successors(after(self.heads[group as usize]), move |at| after(self.slot(*at).next))
    }

    /// Whether any `count` rows of the batch can be added without overflow.
    pub(super) fn has_room(&mut self, inputs: &Inputs<'_>, count: usize) -> bool {
        self.places.has_room(inputs, count)
    }

    /// A new session with one row; or the aggregate that would overflow. The owner sets its times.
    pub(super) fn open(&mut self, inputs: &Inputs<'_>, row: usize, quick: bool) -> Result<u32, usize> {
        if !quick {
            self.places.fits(inputs, row, None)?;
        }
        let group = self.keys.intern(&inputs.keys, row);
        let at = self.push(group);
        self.put(inputs, row, at, quick);
        Ok(at)
    }

    /// Adds a row to a session; or returns the aggregate that would overflow.
    pub(super) fn add(&mut self, inputs: &Inputs<'_>, row: usize, at: u32, quick: bool) -> Result<(), usize> {
        if !quick {
            self.places.fits(inputs, row, Some(at as usize))?;
        }
        self.put(inputs, row, at, quick);
        Ok(())
    }

    fn put(&mut self, inputs: &Inputs<'_>, row: usize, at: u32, quick: bool) {
        self.rows.push(row as u32);
        self.row_places.push(at);
        if !quick {
            self.add_waiting(inputs);
        }
    }

    /// Adds the rows that wait.
    pub(super) fn add_waiting(&mut self, inputs: &Inputs<'_>) {
        self.places.add(inputs, &self.rows, &self.row_places);
        self.rows.clear();
        self.row_places.clear();
    }

    /// A new session with all rows of `joined`, in this order, and then another row; or, having changed nothing, the
    /// aggregate that would overflow. The owner closes the old ones and sets its times.
    pub(super) fn join(&mut self, inputs: &Inputs<'_>, row: usize, joined: &[u32]) -> Result<u32, usize> {
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.push();
        joined
            .iter()
            .try_for_each(|at| scratch.merge(0, &self.places, *at as usize))?;
        scratch.fits(inputs, row, Some(0))?;
        scratch.add(inputs, &[row as u32], &[0]);
        let at = self.push(self.slots[joined[0] as usize].group);
        let merged = self.places.merge(at as usize, &self.scratch, 0);
        merged.expect("a new place holds whatever another one holds");
        Ok(at)
    }

    fn push(&mut self, group: u32) -> u32 {
        let at = self.slots.len() as u32;
        assert!(at != NONE, "memory ends before four billion sessions");
        self.heads.resize(self.keys.len(), NONE);
        let next = std::mem::replace(&mut self.heads[group as usize], at);
        self.slots.push(Slot {
            is_open: true,
            group,
            next,
            oldest: i64::MAX,
            newest: i64::MIN,
            changed: i64::MIN,
            told: Slot::NOTHING,
            wake: i64::MAX,
        });
        self.places.push();
        self.open += 1;
        at
    }

    /// Closes a session and returns it.
    pub(super) fn close(&mut self, at: u32) -> &Slot {
        let Slot { group, next, .. } = self.slots[at as usize];
        let mut before = self.heads[group as usize];
        if before == at {
            self.heads[group as usize] = next;
        } else {
            while self.slots[before as usize].next != at {
                before = self.slots[before as usize].next;
            }
            self.slots[before as usize].next = next;
        }
        self.open -= 1;
        let slot = &mut self.slots[at as usize];
        slot.is_open = false;
        slot
    }

    /// Appends a session's key and results.
    pub(super) fn append(&self, at: u32, keys: &mut [ColumnBuilder], results: &mut [ColumnBuilder]) {
        let group = self.slot(at).group as usize;
        self.keys.append(group..group + 1, keys);
        self.places.append(at as usize..at as usize + 1, results);
    }

    /// Appends a session's key and the results of no rows.
    pub(super) fn append_nothing(&mut self, at: u32, keys: &mut [ColumnBuilder], results: &mut [ColumnBuilder]) {
        let group = self.slot(at).group as usize;
        self.keys.append(group..group + 1, keys);
        self.scratch.clear();
        self.scratch.push();
        self.scratch.append(0..1, results);
    }

    /// Whether few places belong to closed sessions.
    pub(super) fn is_tidy(&self) -> bool {
        self.slots.len() <= 2 * self.open + SPARE
    }

    /// The open sessions alone, in the same order. Groups are numbered by their oldest place.
    pub(super) fn tidied(&self, layout: &Layout) -> Self {
        let mut tidied = Self::new(layout);
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_open) {
            let group = tidied.keys.adopt(&self.keys, slot.group as usize);
            let place = tidied.push(group) as usize;
            let next = tidied.slots[place].next;
            tidied.slots[place] = Slot {
                group,
                next,
                ..slot.clone()
            };
            let merged = tidied.places.merge(place, &self.places, at);
            merged.expect("a new place holds whatever another one holds");
        }
        tidied
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot>() + self.heads.capacity() * 4;
        self.keys.bytes() + self.places.bytes() + slots
    }

    /// Keys, number of sessions, for each its group and times, then the values of each aggregate. Call on what is tidied.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out);
        codec::put_length(out, self.slots.len());
        for slot in &self.slots {
            codec::put_length(out, slot.group as usize);
            codec::put_all(out, &[slot.oldest, slot.newest, slot.changed, slot.told]);
        }
        self.places.save(out);
    }

    /// Reads what `save` wrote under the same layout.
    pub(super) fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut store = Self {
            keys: layout.load_keys(reader)?,
            ..Self::new(layout)
        };
        for _ in 0..reader.count(33)? {
            let group = reader.length()?;
            if group >= store.keys.len() {
                return Err(CodecError::Invalid("there is no such group"));
            }
            let at = store.push(group as u32);
            let slot = store.slot_mut(at);
            (slot.oldest, slot.newest) = (reader.get()?, reader.get()?);
            (slot.changed, slot.told) = (reader.get()?, reader.get()?);
            if slot.oldest > slot.newest {
                return Err(CodecError::Invalid("a session ends before it begins"));
            }
        }
        store.places = Places::load(layout, reader, store.slots.len())?;
        Ok(store)
    }
}
