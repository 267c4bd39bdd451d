//! Which object is looked at when. No clock, no tasks: time is an argument.
//!
//! An object is in the queue once, at the earliest time that anyone asked for, and is never looked at twice at once.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::key::ObjectKey;

/// The objects that are due, and those that are being looked at.
#[derive(Debug, Default)]
pub struct Queue {
    due: HashMap<ObjectKey, Instant>,
    running: HashSet<ObjectKey>,
}

impl Queue {
    /// Asks for a look at `key`, not before `at`.
    pub fn add(&mut self, key: ObjectKey, at: Instant) {
        let due = self.due.entry(key).or_insert(at);
        *due = at.min(*due);
    }

    /// The object that has been due for longest; it counts as being looked at until [`Queue::done`].
    pub fn take(&mut self, now: Instant) -> Option<ObjectKey> {
        let (key, at) = self.earliest()?;
        if at > now {
            return None;
        }
        let key = key.clone();
        self.due.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    /// When the next object is due.
    pub fn next(&self) -> Option<Instant> {
        self.earliest().map(|(_, at)| at)
    }

    /// Ends a look at `key`. What was asked for meanwhile is done now.
    pub fn done(&mut self, key: &ObjectKey) {
        self.running.remove(key);
    }

    fn earliest(&self) -> Option<(&ObjectKey, Instant)> {
        let waiting = self.due.iter().filter(|(key, _)| !self.running.contains(*key));
        waiting.map(|(key, at)| (key, *at)).min_by_key(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            kind: "StreamPipeline",
            namespace: "n".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_earliest_time_counts() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("a"), now + Duration::from_secs(300));
        queue.add(key("a"), now);
        queue.add(key("a"), now + Duration::from_secs(10));
        assert_eq!(queue.take(now), Some(key("a")));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn nothing_is_taken_before_its_time() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("a"), now + Duration::from_secs(1));
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.take(now + Duration::from_secs(1)), Some(key("a")));
    }

    #[test]
    fn what_is_asked_for_during_a_look_waits_for_its_end() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("a"), now);
        queue.take(now);
        queue.add(key("a"), now);
        assert_eq!(queue.take(now), None);
        queue.done(&key("a"));
        assert_eq!(queue.take(now), Some(key("a")));
    }
}
