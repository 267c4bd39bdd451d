//! What the partitions of one stage tell those of the next about event time. Notes stand in the internal topic between the
//! rows, in the order in which they were true: all rows of a partition that a note speaks of stand before it.

use std::collections::BTreeMap;

use crate::state::codec::{self, CodecError, Fixed, Reader};
use crate::watermark::Watermark;

/// How far event time has come on one partition of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The partition: name of its topic, which a changed plan does not move to another place as it does positions, and its
    /// number.
    pub from: (String, i32),
    /// How many partitions the stage has.
    pub of: u32,
    /// Its watermark; None before its first record.
    pub watermark: Option<i64>,
    /// Whether it has been without records for so long that the others need not wait for it.
    pub idle: bool,
}

/// First byte of a note; a row is a JSON object and begins with `{`.
const MARK: u8 = b'w';
/// Version of the form.
const VERSION: u8 = 2;

impl Note {
    /// The note as the value of a record without key.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MARK, VERSION];
        codec::put_bytes(&mut out, self.from.0.as_bytes());
        self.from.1.put(&mut out);
        self.of.put(&mut out);
        self.watermark.is_some().put(&mut out);
        self.watermark.unwrap_or_default().put(&mut out);
        self.idle.put(&mut out);
        out
    }

    /// Whether a record's value is a note.
    pub(crate) fn is_one(value: Option<&[u8]>) -> bool {
        value.and_then(<[u8]>::first) == Some(&MARK)
    }

    /// The note that a record's value is. None: it is none, or none that can be read.
    pub(crate) fn of(value: Option<&[u8]>) -> Option<Self> {
        let value = value.filter(|value| Self::is_one(Some(value)))?;
        Self::decode(value).ok()
    }

    /// Reads what `encode` wrote.
    fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(value);
        if reader.raw(2)? != [MARK, VERSION] {
            return Err(CodecError::Invalid("it is a note of another version"));
        }
        let from = (reader.text()?.to_owned(), reader.get()?);
        let of = reader.get()?;
        let known: bool = reader.get()?;
        let watermark = Some(reader.get()?).filter(|_| known);
        let idle = reader.get()?;
        reader.end()?;
        Ok(Self {
            from,
            of,
            watermark,
            idle,
        })
    }
}

/// The smallest watermark of the partitions before, as far as they were heard of. Never goes back.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    /// Watermark of each partition, and whether it is idle.
    heard: BTreeMap<(String, i32), (i64, bool)>,
    of: u32,
    current: i64,
}

impl Merged {
    pub(crate) fn new() -> Self {
        Self {
            heard: BTreeMap::new(),
            of: 0,
            current: Watermark::NONE,
        }
    }

    /// Takes a note in. A partition's watermark never goes back either: a runner that has taken it over may not know yet
    /// how far it was.
    pub(crate) fn hear(&mut self, note: Note) {
        let watermark = note.watermark.unwrap_or(Watermark::NONE);
        let heard = self.heard.entry(note.from).or_insert((watermark, note.idle));
        *heard = (heard.0.max(watermark), note.idle);
        self.of = self.of.max(note.of);
        if (self.heard.len() as u32) < self.of {
            return;
        }
        let awake = self
            .heard
            .values()
            .filter(|(_, idle)| !idle)
            .map(|(watermark, _)| *watermark);
        self.current = self.current.max(awake.min().unwrap_or(Watermark::NONE));
    }

    pub(crate) fn current(&self) -> i64 {
        self.current
    }

    /// Which partition before this one holds the watermark back, of all there are: the first that was not heard of, or
    /// else the one with the least watermark of those that are awake. None: none is awake, so nobody is waited for.
    pub(crate) fn held_back_by(&self, mut all: impl Iterator<Item = (String, i32)>) -> Option<(String, i32)> {
        if let Some(silent) = all.find(|from| !self.heard.contains_key(from)) {
            return Some(silent);
        }
        let awake = self.heard.iter().filter(|(_, (_, idle))| !idle);
        awake
            .min_by_key(|(_, (watermark, _))| *watermark)
            .map(|(from, _)| from.clone())
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.of.put(out);
        self.current.put(out);
        codec::put_length(out, self.heard.len());
        for ((topic, number), (watermark, idle)) in &self.heard {
            codec::put_bytes(out, topic.as_bytes());
            number.put(out);
            watermark.put(out);
            idle.put(out);
        }
    }

    pub(crate) fn load(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let mut merged = Self {
            of: reader.get()?,
            current: reader.get()?,
            heard: BTreeMap::new(),
        };
        for _ in 0..reader.count(14)? {
            let from = (reader.text()?.to_owned(), reader.get()?);
            merged.heard.insert(from, (reader.get()?, reader.get()?));
        }
        reader.end()?;
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: i32, watermark: Option<i64>, idle: bool) -> Note {
        Note {
            from: ("t".to_owned(), number),
            of: 2,
            watermark,
            idle,
        }
    }

    #[test]
    fn notes_survive_their_bytes_and_rows_are_none() {
        for note in [note(3, Some(-5), false), note(0, None, true)] {
            let bytes = note.encode();
            assert!(Note::is_one(Some(&bytes)));
            assert_eq!(Note::decode(&bytes), Ok(note));
        }
        assert!(!Note::is_one(Some(b"{}")) && !Note::is_one(None) && !Note::is_one(Some(b"")));
        assert!(Note::decode(b"w").is_err() && Note::decode(b"w\x02").is_err());
    }

    #[test]
    fn who_holds_time_back_is_whom_nobody_heard_of_or_the_slowest_that_is_awake() {
        let awake = |number, watermark| note(number, Some(watermark), false);
        let rows: [(&str, Vec<Note>, Option<i32>); 8] = [
            ("nothing was heard", vec![], Some(0)),
            ("one is silent", vec![awake(0, 5)], Some(1)),
            ("the slower one", vec![awake(0, 50), awake(1, 20)], Some(1)),
            (
                "it has caught up",
                vec![awake(0, 50), awake(1, 20), awake(1, 60)],
                Some(0),
            ),
            (
                "the slower one is idle",
                vec![awake(0, 50), note(1, Some(20), true)],
                Some(0),
            ),
            (
                "one had no record yet",
                vec![awake(0, 50), note(1, None, false)],
                Some(1),
            ),
            ("all are idle", vec![note(0, Some(5), true), note(1, None, true)], None),
            (
                "back, behind what holds already",
                vec![awake(0, 50), note(1, Some(20), true), awake(1, 20)],
                Some(1),
            ),
        ];
        for (name, notes, expected) in rows {
            let mut merged = Merged::new();
            notes.into_iter().for_each(|note| merged.hear(note));
            let of = |number| ("t".to_owned(), number);
            let all = [of(0), of(1)].into_iter();
            assert_eq!(merged.held_back_by(all), expected.map(of), "{name}");
        }
    }

    #[test]
    fn time_waits_for_every_partition_but_idle_ones_and_never_goes_back() {
        let mut merged = Merged::new();
        let mut hear = |note| {
            merged.hear(note);
            merged.current()
        };
        let nothing = Watermark::NONE;
        assert_eq!(hear(note(0, Some(50), false)), nothing, "one of two is not enough");
        assert_eq!(hear(note(1, None, false)), nothing, "it had no record yet");
        assert_eq!(hear(note(1, None, true)), 50, "an idle one does not count");
        assert_eq!(hear(note(1, Some(20), false)), 50, "it is back, behind");
        assert_eq!(hear(note(1, Some(70), false)), 50);
        assert_eq!(hear(note(0, Some(40), false)), 50, "a new owner that does not know");
        assert_eq!(hear(note(0, Some(60), false)), 60);
        assert_eq!(hear(note(0, Some(60), true)), 70);
        assert_eq!(hear(note(1, Some(80), true)), 70, "nobody is awake");
        let mut bytes = Vec::new();
        merged.save(&mut bytes);
        let mut restored = Merged::load(&bytes).unwrap();
        restored.hear(note(0, Some(90), false));
        assert_eq!(restored.current(), 90);
    }
}
