//! Walks one object: checks all of it and notes where the needed members stand. Turns nothing into values.
//!
//! Records of a topic mostly have the same members in the same order. So each member name remembers which one followed
//! it last time, and that one's bytes are compared first; only when they differ is the name scanned and looked up.

use std::collections::HashMap;

use crate::json::scan::{self, Kind, MAX_DEPTH, Malformed, Slot, Why};
use crate::json::text;

/// Names that are remembered per object beyond the needed ones, so that hostile records cannot fill the memory.
const MAX_LEARNED: usize = 128;
/// Longest name that is remembered, bytes.
const MAX_LEARNED_LENGTH: usize = 64;
/// Stands for "no slot", "no object" and "no name".
const NONE: u16 = u16::MAX;
/// The name before the first one.
const START: u16 = 0;

/// The needed members of an object and of the objects inside it.
#[derive(Debug)]
pub(super) struct Shape {
    objects: Vec<Object>,
    slots: Vec<Slot>,
    /// For each slot the member that it stands for.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// The slot of the object around it.
    parent: Option<usize>,
    /// The index in `objects` when members inside this one are needed.
    object: u16,
}

#[derive(Debug)]
struct Object {
    names: HashMap<Box<[u8]>, u16>,
    known: Vec<Known>,
    needed: usize,
}

/// A member name that was declared or seen.
#[derive(Debug)]
struct Known {
    /// The first eight bytes of `"name":`, and which of them count.
    head: u64,
    mask: u64,
    /// What follows these eight bytes.
    tail: Box<[u8]>,
    slot: u16,
    /// The name that followed last time.
    next: u16,
}

impl Shape {
    /// Also returns the slot of each path.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a [String]>) -> (Self, Vec<usize>) {
        let mut shape = Self {
            objects: vec![Object::new()],
            slots: Vec::new(),
            members: Vec::new(),
        };
        let slots = paths.map(|path| shape.declare(path)).collect();
        (shape, slots)
    }

    fn declare(&mut self, path: &[String]) -> usize {
        let mut object = 0;
        let mut parent = None;
        for name in path {
            if let Some(slot) = parent {
                object = self.object_of(slot);
            }
            let next = self.slots.len();
            let slot = self.objects[object].declare(name.as_bytes(), next as u16) as usize;
            if slot == next {
                self.slots.push(Slot::default());
                self.members.push(Member {
                    name: name.clone(),
                    parent,
                    object: NONE,
                });
            }
            parent = Some(slot);
        }
        parent.expect("a path has at least one name")
    }

    fn object_of(&mut self, slot: usize) -> usize {
        if self.members[slot].object == NONE {
            self.members[slot].object = self.objects.len() as u16;
            self.objects.push(Object::new());
        }
        self.members[slot].object as usize
    }

    /// Walks the object that must start at `at` and returns where it ends. The slots then tell where its members stand.
    #[inline]
    pub(super) fn walk(&mut self, document: &[u8], at: usize) -> Result<usize, Malformed> {
        self.slots.fill(Slot::default());
        if document.get(at) != Some(&b'{') {
            return Err(Malformed::new(at, Why::NotAnObject));
        }
        self.object(0, document, at, 1)
    }

    #[inline(always)]
    pub(super) fn slot(&self, slot: usize) -> Slot {
        self.slots[slot]
    }

    /// The innermost member around a missing one that is there but is not an object: its path and what it is.
    pub(super) fn obstacle(&self, slot: usize) -> Option<(String, Kind)> {
        let mut member = &self.members[slot];
        while let Some(parent) = member.parent {
            member = &self.members[parent];
            match self.slots[parent].kind {
                Kind::Missing => (),
                Kind::Null | Kind::Object => return None,
                kind => return Some((self.path(parent), kind)),
            }
        }
        None
    }

    fn path(&self, slot: usize) -> String {
        let Member { name, parent, .. } = &self.members[slot];
        parent.map_or_else(|| name.clone(), |parent| self.path(parent) + "." + name)
    }

    /// Recurses only into declared objects, at most [`MAX_DEPTH`] times.
    fn object(&mut self, object: usize, document: &[u8], at: usize, depth: u32) -> Result<usize, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::new(at, Why::Depth));
        }
        let mut at = scan::space(document, at + 1);
        if document.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        let mut name = START;
        loop {
            let members = &mut self.objects[object];
            let slot;
            (name, slot, at) = match members.predict(name, document, at) {
                Some(hit) => hit,
                None => members.look_up(name, document, at)?,
            };
            at = if slot == NONE {
                scan::value(document, at, depth)?.1
            } else {
                self.member(slot as usize, document, at, depth)?
            };
            at = scan::space(document, at);
            match document.get(at) {
                Some(b',') => at = scan::space(document, at + 1),
                Some(b'}') => return Ok(at + 1),
                _ => return Err(Malformed::new(at, Why::NextMember)),
            }
        }
    }

    #[inline(always)]
    fn member(&mut self, slot: usize, document: &[u8], at: usize, depth: u32) -> Result<usize, Malformed> {
        if self.slots[slot].kind != Kind::Missing {
            return Err(Malformed::new(at, Why::Twice));
        }
        let object = self.members[slot].object;
        let (found, end) = if object != NONE && document.get(at) == Some(&b'{') {
            let end = self.object(object as usize, document, at, depth + 1)?;
            (Slot::new(Kind::Object, at, end), end)
        } else {
            scan::value(document, at, depth)?
        };
        self.slots[slot] = found;
        Ok(end)
    }
}

impl Object {
    fn new() -> Self {
        let start = Known {
            head: 0,
            mask: 0,
            tail: Box::default(),
            slot: NONE,
            next: NONE,
        };
        Self {
            names: HashMap::new(),
            known: vec![start],
            needed: 0,
        }
    }

    /// The slot of a needed member: `slot` unless it was declared before.
    fn declare(&mut self, name: &[u8], slot: u16) -> u16 {
        if let Some(&known) = self.names.get(name) {
            return self.known[known as usize].slot;
        }
        self.needed += 1;
        self.add(name, slot);
        slot
    }

    fn add(&mut self, name: &[u8], slot: u16) -> u16 {
        let known = self.known.len() as u16;
        self.names.insert(name.into(), known);
        self.known.push(Known::new(name, slot));
        known
    }

    /// If the expected name, or the one expected after it, stands at `at`: the name, its slot, where its value starts.
    #[inline(always)]
    fn predict(&self, previous: u16, document: &[u8], at: usize) -> Option<(u16, u16, usize)> {
        let mut name = self.known.get(previous as usize)?.next;
        // The second try is for an optional member that this record leaves out.
        for _ in 0..2 {
            let known = self.known.get(name as usize)?;
            if let Some(end) = known.matches(document, at) {
                return Some((name, known.slot, scan::space(document, end)));
            }
            name = known.next;
        }
        None
    }

    /// As [`Self::predict`] for whatever name stands at `at`, which is expected after `previous` from now on.
    #[cold]
    fn look_up(&mut self, previous: u16, document: &[u8], at: usize) -> Result<(u16, u16, usize), Malformed> {
        let (end, escaped, value) = scan::name(document, at)?;
        let raw = &document[at + 1..end];
        let name = if escaped {
            // A name that is not Unicode is not one of ours.
            let mut plain = Vec::with_capacity(raw.len());
            let resolved = text::unescape(document, at + 1, end, &mut plain);
            resolved
                .ok()
                .and_then(|()| self.names.get(plain.as_slice()).copied())
                .unwrap_or(NONE)
        } else {
            self.names.get(raw).copied().unwrap_or_else(|| self.learn(raw))
        };
        if let Some(known) = self.known.get_mut(previous as usize) {
            known.next = name;
        }
        let slot = self.known.get(name as usize).map_or(NONE, |known| known.slot);
        Ok((name, slot, value))
    }

    fn learn(&mut self, name: &[u8]) -> u16 {
        let room = self.known.len() - self.needed <= MAX_LEARNED && name.len() <= MAX_LEARNED_LENGTH;
        if room { self.add(name, NONE) } else { NONE }
    }
}

impl Known {
    fn new(name: &[u8], slot: u16) -> Self {
        let mut raw = Vec::with_capacity(name.len() + 3);
        text::write(name, &mut raw);
        raw.push(b':');
        let tail = raw.get(8..).unwrap_or_default().into();
        let length = raw.len().min(8);
        raw.resize(8, 0);
        let head = u64::from_le_bytes(*raw.first_chunk().expect("it was resized to eight"));
        let mask = u64::MAX >> (64 - 8 * length);
        Self {
            head: head & mask,
            mask,
            tail,
            slot,
            next: NONE,
        }
    }

    /// Where `"name":` ends, if it stands at `at`.
    #[inline(always)]
    fn matches(&self, document: &[u8], at: usize) -> Option<usize> {
        let rest = document.get(at..)?;
        let head = rest
            .first_chunk::<8>()
            .map_or_else(|| padded(rest), |head| u64::from_le_bytes(*head));
        if (head ^ self.head) & self.mask != 0 {
            return None;
        }
        if self.tail.is_empty() {
            return Some(at + self.mask.count_ones() as usize / 8);
        }
        rest[8..].starts_with(&self.tail).then_some(at + 8 + self.tail.len())
    }
}

/// The last few bytes of a document, zeros behind them: no name contains a zero byte.
#[cold]
fn padded(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
