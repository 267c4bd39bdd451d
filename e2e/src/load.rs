//! A steady stream of events for a while, and what windows over it must hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use serde::Deserialize;

use crate::client::{Client, Message};
use crate::eventually::eventually;
use crate::oracle::Outcome;

/// Users that events are about: the record keys.
const USERS: u64 = 600;
/// Time between two batches.
const BEAT: Duration = Duration::from_millis(50);

/// Writes events at a rate until told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Load {
    /// Starts to write `per_second` events to `topic`. Event times are the clock's, rising within each partition.
    pub fn start(client: &Client, topic: &str, per_second: u64) -> Result<Self> {
        let writer = client.writer()?;
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count, topic) = (Arc::clone(&stop), Arc::clone(&written), topic.to_owned());
        let thread = std::thread::Builder::new().name("load".to_owned()).spawn(move || {
            let began = Instant::now();
            let mut sent = 0_u64;
            while !stopped.load(Ordering::Acquire) {
                let due = (began.elapsed().as_secs_f64() * per_second as f64) as u64;
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
                writer.write(&topic, (sent..due).map(|number| event(number, now)))?;
                sent = sent.max(due);
                count.store(sent, Ordering::Release);
                let beat = Instant::now() + BEAT;
                eventually("the next beat", BEAT * 4, || Ok((Instant::now() >= beat).then_some(())))?;
            }
            Ok(())
        })?;
        Ok(Self {
            stop,
            written,
            thread: Some(thread),
        })
    }

    /// Events written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Stops, and says how many events were written.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the load's thread panicked"))??;
        }
        Ok(self.written())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn event(number: u64, now: i64) -> Message {
    // A step that shares no factor with the number of users visits all of them.
    let user = number.wrapping_mul(7919) % USERS;
    Message {
        key: Some(format!("u{user}").into_bytes()),
        value: Some(format!(r#"{{"ts":{now},"user":"u{user}","amount":{}}}"#, number % 100).into_bytes()),
        timestamp: now,
        ..Message::default()
    }
}

/// Final results of tumbling windows of `size` milliseconds per user, count and sum of the amounts, over all events of
/// `topic`: every window that its partition's last event is past.
pub fn windows(client: &Client, topic: &str, size: i64) -> Result<Vec<Outcome>> {
    #[derive(Deserialize)]
    struct Event {
        ts: i64,
        user: String,
        amount: i64,
    }
    let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut sums: HashMap<(i32, String, i64), (i64, i64)> = HashMap::new();
    client.for_each_committed(topic, |stored| {
        let event: Event = serde_json::from_str(stored.text())?;
        let latest = newest.entry(stored.partition).or_insert(event.ts);
        *latest = (*latest).max(event.ts);
        let window = event.ts - event.ts.rem_euclid(size);
        let sum = sums.entry((stored.partition, event.user, window)).or_default();
        sum.0 += 1;
        sum.1 += event.amount;
        Ok(())
    })?;
    let closed = |(partition, _, start): &(i32, String, i64)| newest[partition] > start + size - 1;
    let outcome = |((_, user, start), (count, amount)): ((i32, String, i64), (i64, i64))| Outcome {
        value: format!(
            r#"{{"user":"{user}","window_start":{start},"window_end":{},"is_final":true,"n":{count},"total":{amount}}}"#,
            start + size
        ),
        key: user,
    };
    Ok(sums.into_iter().filter(|(key, _)| closed(key)).map(outcome).collect())
}
