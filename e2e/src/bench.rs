//! Input of the benchmark, what must come out, and what a run has used.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client::{Client, Message};

/// 2023-11-14, a whole number of windows since the epoch.
const START: i64 = 1_700_000_000_000;
const USERS: u64 = 10_000;
/// Events in a window of five seconds: 25 a user.
const PER_WINDOW: u64 = 250_000;
const WINDOW: i64 = 5_000;
const TYPES: [&str; 8] = [
    "purchase", "view", "view", "purchase", "click", "view", "purchase", "search",
];

/// What a program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// `e2e/bench/filter-map.yaml`.
    FilterMap,
    /// `e2e/bench/tumbling.yaml`.
    Tumbling,
}

impl Job {
    /// Both.
    pub const ALL: [Self; 2] = [Self::FilterMap, Self::Tumbling];

    /// Name of its manifest and of the peer's mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::FilterMap => "filter-map",
            Self::Tumbling => "tumbling",
        }
    }
}

/// What a program has used since its start.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time of all threads.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
    /// Bytes resident now.
    pub memory: u64,
    /// Bytes resident at most.
    pub peak: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} s CPU, {:.1} s, {} MiB",
            self.cpu.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.peak >> 20
        )
    }
}

/// What stands in a sink topic: number of records, and events counted in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Results {
    /// Records.
    pub records: u64,
    /// Sum of the windows' counts; for filter and map the records again.
    pub events: u64,
}

/// What each job must give.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    filter_map: Results,
    tumbling: Results,
}

impl Expected {
    /// What `job` must give.
    pub fn of(self, job: Job) -> Results {
        match job {
            Job::FilterMap => self.filter_map,
            Job::Tumbling => self.tumbling,
        }
    }
}

/// One event.
pub struct Event {
    ts: i64,
    user: u64,
    passes: bool,
    /// As JSON, about 111 bytes.
    pub text: String,
}

/// The `n`th event: always the same one.
pub fn event(n: u64) -> Event {
    let random = scramble(n);
    let ts = START + (n * WINDOW as u64 / PER_WINDOW) as i64;
    let user = random % USERS;
    let kind = TYPES[(random >> 20) as usize % TYPES.len()];
    let cents = (random >> 30) % 10_000;
    let text = format!(
        r#"{{"ts":{ts},"user":"user-{user:06}","type":"{kind}","amount":{}.{:02},"country":"DE","session":"{:08x}"}}"#,
        cents / 100,
        cents % 100,
        random >> 32,
    );
    Event {
        ts,
        user,
        passes: kind == "purchase" && cents > 5_000,
        text,
    }
}

/// Writes `events` events and then one per partition that closes all windows, keyed by user.
pub fn fill(client: &Client, topic: &str, events: u64) -> Result<Expected> {
    let writer = client.writer()?;
    let mut windows = HashSet::new();
    let mut passing = 0;
    let messages = (0..events).map(|n| {
        let event = event(n);
        windows.insert((event.ts / WINDOW, event.user));
        passing += u64::from(event.passes);
        Message {
            key: Some(format!("user-{:06}", event.user).into_bytes()),
            value: Some(event.text.into_bytes()),
            timestamp: event.ts,
            ..Message::default()
        }
    });
    writer.write(topic, messages)?;
    let late = START + 1_000_000_000;
    let closing = (0..client.partitions(topic)?).map(|partition| Message {
        key: Some(b"nobody".to_vec()),
        value: Some(format!(r#"{{"ts":{late},"user":"nobody","type":"view","amount":0.0}}"#).into_bytes()),
        timestamp: late,
        partition: Some(partition),
        ..Message::default()
    });
    writer.write(topic, closing)?;
    Ok(Expected {
        filter_map: Results {
            records: passing,
            events: passing,
        },
        tumbling: Results {
            records: windows.len() as u64,
            events,
        },
    })
}

/// What committed records a job has written.
pub fn results(client: &Client, topic: &str, job: Job) -> Result<Results> {
    let mut results = Results { records: 0, events: 0 };
    client.for_each_committed(topic, |record| {
        results.records += 1;
        results.events += match job {
            Job::FilterMap => 1,
            Job::Tumbling => {
                let value: Value = serde_json::from_slice(record.value.as_deref().context("a value")?)?;
                value["events"].as_u64().context("a count")?
            }
        };
        Ok(())
    })?;
    Ok(results)
}

/// splitmix64: any number to a number without pattern.
fn scramble(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_the_size_and_mix_that_the_readme_names() {
        let events: Vec<Event> = (0..10_000).map(event).collect();
        let bytes: usize = events.iter().map(|event| event.text.len()).sum();
        assert!(
            (105..=117).contains(&(bytes / events.len())),
            "{}",
            bytes / events.len()
        );
        let passing = events.iter().filter(|event| event.passes).count();
        assert!((1700..2000).contains(&passing), "{passing}");
        assert!(
            events
                .iter()
                .all(|event| serde_json::from_str::<Value>(&event.text).is_ok())
        );
        assert_eq!(START % WINDOW, 0);
    }
}
