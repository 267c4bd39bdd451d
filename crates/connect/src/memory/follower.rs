//! Reads whole topics of the in-memory broker without a group.

use super::{Broker, MemoryRecords};
use crate::{Error, Follower, Partition};
use millrace_plan::TopicName;
use std::time::Duration;

/// Records handed over by one poll.
const MAX_RECORDS: usize = 4096;

/// Reads topics from their beginning, for ever.
#[derive(Debug)]
pub struct MemoryFollower {
    broker: Broker,
    topics: Vec<String>,
    followed: Vec<Followed>,
    /// Whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Followed {
    partition: Partition,
    next: i64,
    /// What was the end when it was opened.
    end: i64,
}

impl MemoryFollower {
    pub(super) fn open(broker: Broker, topics: &[TopicName]) -> Result<Self, Error> {
        let mut followed = Vec::new();
        for (topic, name) in (0..).zip(topics) {
            let state = broker.state();
            let missing = |_| Error::external(format!("table topic {name} does not exist"));
            for number in 0..state.partition_count(name.as_str()).map_err(missing)? {
                let log = state.log(name.as_str(), number)?;
                followed.push(Followed {
                    partition: Partition { topic, number },
                    next: log.start(),
                    end: log.last_stable_offset(),
                });
            }
        }
        Ok(Self {
            broker,
            topics: topics.iter().map(ToString::to_string).collect(),
            followed,
            turn: 0,
        })
    }
}

impl Follower for MemoryFollower {
    type Records = MemoryRecords;

    /// Returns at once: nothing changes while the caller waits.
    fn poll(&mut self, _timeout: Duration) -> Result<Option<MemoryRecords>, Error> {
        let count = self.followed.len();
        for _ in 0..count {
            let followed = &mut self.followed[self.turn];
            self.turn = (self.turn + 1) % count;
            let Partition { topic, number } = followed.partition;
            let state = self.broker.state();
            let log = state.log(&self.topics[usize::from(topic)], number)?;
            let read = log
                .read(followed.next, MAX_RECORDS)
                .map_err(|error| Error::external(error.message))?;
            if read.next_offset > followed.next {
                followed.next = read.next_offset;
                return Ok(Some(MemoryRecords {
                    partition: followed.partition,
                    records: read.records,
                    next_offset: read.next_offset,
                }));
            }
        }
        Ok(None)
    }

    fn is_at_the_end(&self) -> bool {
        self.followed.iter().all(|followed| followed.next >= followed.end)
    }
}
