//! Walks one object: checks all of it and notes where the needed members stand. Turns nothing into values.

use crate::json::malformed::{Malformed, Why};
use crate::json::names::{NONE, Names, START};
use crate::json::scan::{self, Kind, MAX_DEPTH, Slot};

/// The needed members of an object and of the objects inside it.
#[derive(Debug)]
pub(super) struct Shape {
    objects: Vec<Names>,
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

impl Shape {
    /// Also returns the slot of each path.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a [String]>) -> (Self, Vec<usize>) {
        let mut shape = Self {
            objects: vec![Names::new()],
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
            self.objects.push(Names::new());
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
