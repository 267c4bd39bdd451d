//! Partitions that run ahead of the others of the runner are not fetched until those have caught up: what they would bring
//! would only wait in the state of the next stage.

use std::time::Instant;

use millrace_connect::{Connector, Consumer, Partition};

use super::Worker;
use crate::error::Error;

/// Where a partition stands.
#[derive(Clone, Copy, Debug)]
struct Standing {
    partition: Partition,
    /// How far it may be ahead. None: as far as it likes.
    most: Option<i64>,
    /// None before its first record.
    watermark: Option<i64>,
    /// Whether there may be records left to read.
    has_more: bool,
    paused: bool,
}

/// For each partition whether it is to be paused. One that is ahead by more than its limit of the slowest with records left is
/// paused until it is ahead by half of that at most: to fetch it again costs a round trip. The slowest is never paused, so
/// that somebody always goes on.
fn paused(standings: &[Standing]) -> Vec<bool> {
    let waited_for = standings.iter().filter(|of| of.has_more);
    // Of one without a record nobody knows how far behind it is.
    let slowest = waited_for.map(|of| of.watermark.unwrap_or(i64::MIN)).min();
    let ahead = |of: &Standing| {
        let limit = |most: i64| if of.paused { most / 2 } else { most };
        match (slowest, of.watermark, of.most.map(limit)) {
            (Some(slowest), Some(watermark), Some(limit)) => watermark.saturating_sub(slowest) > limit,
            _ => false,
        }
    };
    standings.iter().map(ahead).collect()
}

impl<C: Connector, S> Worker<C, S> {
    /// Pauses and goes on with partitions of the source and of joined streams, as they stand now. Returns whether any goes on.
    pub(super) fn align(&mut self) -> Result<bool, Error> {
        let plan = self.program.plan();
        let mut times = (0..plan.all_stages()).map(|stage| plan.event_time_of(stage));
        if times.all(|time| time.max_drift.is_none()) {
            return Ok(false);
        }
        let now = Instant::now();
        let mut standings = Vec::with_capacity(self.tasks.len());
        let reads = |stage: usize| !plan.is_told(stage);
        for (partition, task) in self.tasks.iter().filter(|(_, task)| reads(task.chain.stage())) {
            let event_time = plan.event_time_of(task.chain.stage());
            let idle = now.duration_since(task.read_at) >= event_time.idle_timeout;
            // Of one that is not fetched nobody says how much is left.
            let lag = self.consumer.lag(*partition, task.position).filter(|_| !task.paused);
            standings.push(Standing {
                partition: *partition,
                most: event_time.max_drift,
                watermark: task.chain.watermark(),
                has_more: lag.map_or(task.paused || !idle, |lag| lag > 0),
                paused: task.paused,
            });
        }
        let (mut to_pause, mut to_unpause) = (Vec::new(), Vec::new());
        for (of, pause) in standings.iter().zip(paused(&standings)) {
            match (of.paused, pause) {
                (false, true) => to_pause.push(of.partition),
                (true, false) => to_unpause.push(of.partition),
                _ => {}
            }
            if let Some(task) = self.tasks.get_mut(&of.partition) {
                task.paused = pause;
                if pause {
                    // It is not idle: nobody asks it.
                    task.read_at = now;
                }
            }
        }
        if !to_pause.is_empty() {
            self.consumer.pause(&to_pause)?;
        }
        if !to_unpause.is_empty() {
            self.consumer.unpause(&to_unpause)?;
        }
        let paused = self.tasks.values().filter(|task| task.paused).count();
        self.metrics.paused.set(paused as f64);
        Ok(!to_unpause.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32, watermark: Option<i64>, has_more: bool, paused: bool) -> Standing {
        Standing {
            partition: Partition { topic: 0, number },
            most: Some(100),
            watermark,
            has_more,
            paused,
        }
    }

    #[test]
    fn who_is_too_far_ahead_of_the_slowest_with_work_waits_for_it() {
        let awake = |number, watermark| of(number, Some(watermark), true, false);
        let done = |number, watermark| of(number, Some(watermark), false, false);
        let waits = |number, watermark| of(number, Some(watermark), true, true);
        let unlimited = |of| Standing { most: None, ..of };
        let rows: [(&str, Vec<Standing>, &[i32]); 12] = [
            ("nothing", vec![], &[]),
            ("one alone", vec![awake(0, 1_000_000)], &[]),
            ("just within", vec![awake(0, 0), awake(1, 100)], &[]),
            ("just beyond", vec![awake(0, 0), awake(1, 101), awake(2, 50)], &[1]),
            (
                "without a limit",
                vec![awake(0, 0), unlimited(awake(1, 1_000)), awake(2, 101)],
                &[2],
            ),
            ("still more than half", vec![awake(0, 0), waits(1, 51)], &[1]),
            ("half", vec![awake(0, 0), waits(1, 50)], &[]),
            ("the slow one has nothing left", vec![done(0, 0), awake(1, 500)], &[]),
            ("nor has anybody", vec![done(0, 0), done(1, 500)], &[]),
            ("one that is done is ahead", vec![awake(0, 0), done(1, 500)], &[1]),
            (
                "those that wait go on, the slowest first",
                vec![done(0, 0), waits(1, 500), waits(2, 900)],
                &[2],
            ),
            (
                "one of which nothing is known yet",
                vec![of(0, None, true, false), awake(1, 5), of(2, None, false, false)],
                &[1],
            ),
        ];
        for (name, standings, expected) in rows {
            let paused = standings.iter().zip(paused(&standings));
            let paused: Vec<i32> = paused
                .filter(|(_, paused)| *paused)
                .map(|(of, _)| of.partition.number)
                .collect();
            assert_eq!(paused, expected, "{name}");
        }
    }

    #[test]
    fn whoever_is_slowest_with_work_goes_on() {
        let marks = [None, Some(i64::MIN), Some(0), Some(60), Some(200), Some(i64::MAX)];
        for (one, other) in marks.iter().flat_map(|one| marks.map(|other| (*one, other))) {
            for flags in 0..16_u8 {
                let flag = |bit: u8| flags & (1 << bit) != 0;
                let standings = [
                    of(0, one, flag(0) || flag(1), flag(1)),
                    of(1, other, flag(2) || flag(3), flag(3)),
                ];
                let outcome = paused(&standings);
                let goes_on = standings
                    .iter()
                    .zip(&outcome)
                    .any(|(of, paused)| of.has_more && !paused);
                let has_work = standings.iter().any(|of| of.has_more);
                assert!(goes_on || !has_work, "{standings:?} {outcome:?}");
            }
        }
    }
}
