//! The member names of one object, and which one to expect next.
//!
//! Records of a topic mostly have the same members in the same order. So each name remembers which one followed it last
//! time, and that one's bytes are compared first; only when they differ is the name looked up.

use std::collections::HashMap;

use crate::json::malformed::Malformed;
use crate::json::scan;
use crate::json::text;

/// Names that are remembered per object beyond the needed ones, so that hostile records cannot fill the memory.
const MAX_LEARNED: usize = 128;
/// Longest name that is remembered, bytes.
const MAX_LEARNED_LENGTH: usize = 64;
/// Names to compare before the rest is looked up by hash.
const MAX_COMPARED: usize = 24;
/// Stands for "no slot", "no object" and "no name".
pub(super) const NONE: u16 = u16::MAX;
/// The name before the first one.
pub(super) const START: u16 = 0;

/// The member names of one object: the needed ones and those that were seen beside them.
#[derive(Debug)]
pub(super) struct Names {
    places: HashMap<Box<[u8]>, u16>,
    known: Vec<Known>,
    needed: usize,
}

/// A member name that was declared or seen.
#[derive(Debug)]
struct Known {
    /// The first sixteen bytes of `"name":` as two words, zeros behind a shorter one.
    words: [u64; 2],
    /// Which bytes of `words` count.
    masks: [u64; 2],
    /// What follows these sixteen bytes.
    tail: Box<[u8]>,
    /// All bytes.
    length: usize,
    slot: u16,
    /// The name that followed last time.
    next: u16,
}

impl Names {
    pub(super) fn new() -> Self {
        // Only its `next` is ever used.
        let start = Known::new(b"", NONE);
        Self {
            places: HashMap::new(),
            known: vec![start],
            needed: 0,
        }
    }

    /// The slot of a needed member: `slot` unless it was declared before.
    pub(super) fn declare(&mut self, name: &[u8], slot: u16) -> u16 {
        if let Some(&known) = self.places.get(name) {
            return self.known[known as usize].slot;
        }
        self.needed += 1;
        self.add(name, slot);
        slot
    }

    fn add(&mut self, name: &[u8], slot: u16) -> u16 {
        let known = self.known.len() as u16;
        self.places.insert(name.into(), known);
        self.known.push(Known::new(name, slot));
        known
    }

    /// If the expected name, or the one expected after it, stands at `at`: the name, its slot, where its value starts.
    #[inline(always)]
    pub(super) fn predict(&self, previous: u16, document: &[u8], at: usize) -> Option<(u16, u16, usize)> {
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
    pub(super) fn look_up(
        &mut self,
        previous: u16,
        document: &[u8],
        at: usize,
    ) -> Result<(u16, u16, usize), Malformed> {
        let (name, value) = match self.compare(document, at) {
            Some(hit) => hit,
            None => self.search(document, at)?,
        };
        if let Some(known) = self.known.get_mut(previous as usize) {
            known.next = name;
        }
        let slot = self.known.get(name as usize).map_or(NONE, |known| known.slot);
        Ok((name, slot, value))
    }

    /// Tries the first few names one by one, which is quicker than to scan and hash what stands at `at`.
    fn compare(&self, document: &[u8], at: usize) -> Option<(u16, usize)> {
        let mut names = (START + 1..).zip(self.known.iter().skip(1).take(MAX_COMPARED));
        names.find_map(|(name, known)| Some((name, scan::space(document, known.matches(document, at)?))))
    }

    fn search(&mut self, document: &[u8], at: usize) -> Result<(u16, usize), Malformed> {
        let (end, escaped, value) = scan::name(document, at)?;
        let raw = &document[at + 1..end];
        if !escaped {
            let name = self.places.get(raw).copied();
            return Ok((name.unwrap_or_else(|| self.learn(raw)), value));
        }
        let mut plain = Vec::with_capacity(raw.len());
        let name = match text::unescape(document, at + 1, end, &mut plain) {
            Ok(()) => self.places.get(plain.as_slice()).copied(),
            // Half a surrogate pair: not one of ours.
            Err(_) => None,
        };
        Ok((name.unwrap_or(NONE), value))
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
        let mask = vec![0xff; raw.len()];
        Self {
            words: [word(&raw, 0), word(&raw, 8)],
            masks: [word(&mask, 0), word(&mask, 8)],
            tail: raw.get(16..).unwrap_or_default().into(),
            length: raw.len(),
            slot,
            next: NONE,
        }
    }

    /// Where `"name":` ends, if it stands at `at`.
    #[inline(always)]
    fn matches(&self, document: &[u8], at: usize) -> Option<usize> {
        let differs = |place: usize| (word(document, at + 8 * place) ^ self.words[place]) & self.masks[place] != 0;
        if differs(0) || (self.length > 8 && differs(1)) {
            return None;
        }
        if self.length > 16 && !document[at + 16..].starts_with(&self.tail) {
            return None;
        }
        Some(at + self.length)
    }
}

/// The eight bytes at `at`; zeros behind the end of the document. No name contains a zero byte.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_word(bytes, at),
    }
}

#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks all members of `document` up, as a walk over it does, and returns how many were predicted.
    fn predicted(names: &mut Names, document: &str) -> usize {
        let (document, mut at, mut previous, mut hits) = (document.as_bytes(), 1, START, 0);
        loop {
            let hit = names.predict(previous, document, at);
            hits += usize::from(hit.is_some());
            let (name, _, value) = hit.map_or_else(|| names.look_up(previous, document, at), Ok).unwrap();
            previous = name;
            let (_, end) = scan::value(document, value, 1).unwrap();
            if document[end] == b'}' {
                return hits;
            }
            at = scan::space(document, end + 1);
        }
    }

    #[test]
    fn the_order_of_one_record_is_expected_of_the_next() {
        let mut names = Names::new();
        names.declare(b"user", 0);
        names.declare("amount in cents, with tax".as_bytes(), 1);
        let document = r#"{"id":7,"amount in cents, with tax":1,"currency":"EUR", "user" :"u","z":1}"#;
        assert_eq!(predicted(&mut names, document), 0);
        // The name before a space and a colon is looked up each time.
        assert_eq!(predicted(&mut names, document), 4);
        assert_eq!(predicted(&mut names, &document.replace(" ", "  ")), 2);
        assert_eq!(predicted(&mut names, r#"{"id":1,"i":2,"ide":3}"#), 1);
    }

    #[test]
    fn an_optional_member_does_not_break_the_prediction() {
        let mut names = Names::new();
        predicted(&mut names, r#"{"a":1,"b":2,"c":3}"#);
        assert_eq!(predicted(&mut names, r#"{"a":1,"c":3}"#), 2);
        assert_eq!(predicted(&mut names, r#"{"a":1,"b":2,"c":3}"#), 3);
        assert_eq!(predicted(&mut names, r#"{"b":2,"c":3}"#), 2);
    }

    #[test]
    fn a_cut_name_is_no_hit() {
        let mut names = Names::new();
        predicted(&mut names, r#"{"abcdefgh and twenty more":1}"#);
        for end in 1..27 {
            assert!(
                names
                    .predict(START, &br#"{"abcdefgh and twenty more":1}"#[..end], 1)
                    .is_none()
            );
        }
    }

    #[test]
    fn hostile_names_do_not_fill_the_memory() {
        let mut names = Names::new();
        names.declare(b"a", 0);
        for number in 0..10_000 {
            predicted(&mut names, &format!("{{\"n{number}{}\":0}}", "x".repeat(number % 200)));
        }
        assert_eq!(
            (names.known.len(), names.places.len()),
            (2 + MAX_LEARNED, 1 + MAX_LEARNED)
        );
        assert!(names.known.iter().all(|known| known.length <= MAX_LEARNED_LENGTH + 3));
    }
}
