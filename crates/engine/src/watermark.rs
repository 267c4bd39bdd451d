//! How far event time has come on one partition.

use millrace_plan::EventTime;

/// Event time so far, less the out-of-orderness, less 1 ms. Event time is the largest that a record had; on an idle
/// partition it goes on with the clock, where the plan says so. Never goes back: it is derived from a running maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    newest: Option<i64>,
    delay: i64,
    /// Milliseconds without a record after which event time goes on with the clock.
    idle_after: Option<i64>,
    /// When a record was last heard of, by the clock, and event time then. None where the next clock must tell.
    heard: Option<(i64, i64)>,
}

impl Watermark {
    /// Before the first record.
    pub(crate) const NONE: i64 = i64::MIN;

    pub(crate) fn new(event_time: EventTime) -> Self {
        Self {
            newest: None,
            delay: event_time.max_out_of_orderness,
            idle_after: event_time.close_after_idle,
            heard: None,
        }
    }

    /// Takes a record's time in and returns the watermark after it.
    pub(crate) fn observe(&mut self, time: i64) -> i64 {
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        self.current()
    }

    /// The partition is not idle at this time: what counts as idle begins again with the next [`Self::tick`].
    pub(crate) fn stir(&mut self) {
        self.heard = None;
    }

    /// The clock has come to `now`.
    pub(crate) fn tick(&mut self, now: i64) {
        let (Some(after), Some(newest)) = (self.idle_after, self.newest) else {
            return;
        };
        let (since, then) = *self.heard.get_or_insert((now, newest));
        let idle = now.saturating_sub(since);
        if idle >= after {
            self.newest = Some(newest.max(then.saturating_add(idle)));
        }
    }

    /// The watermark, or [`Self::NONE`].
    pub(crate) fn current(self) -> i64 {
        self.newest
            .map_or(Self::NONE, |newest| newest.saturating_sub(self.delay).saturating_sub(1))
    }

    /// What a checkpoint must hold.
    pub(crate) fn newest(self) -> Option<i64> {
        self.newest
    }

    /// Takes over what a checkpoint held. The delay is the plan's: a smaller one may let time jump ahead, never back.
    pub(crate) fn restore(&mut self, newest: Option<i64>) {
        self.newest = newest;
        self.heard = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(max_out_of_orderness: i64, close_after_idle: Option<i64>) -> Watermark {
        Watermark::new(EventTime {
            max_out_of_orderness,
            close_after_idle,
            ..EventTime::default()
        })
    }

    #[test]
    fn watermark_follows_the_running_maximum_and_never_goes_back() {
        let mut watermark = watermark(10, None);
        assert_eq!(watermark.current(), Watermark::NONE);
        let seen: Vec<i64> = [100, 50, 120, 119]
            .into_iter()
            .map(|time| watermark.observe(time))
            .collect();
        assert_eq!(seen, [89, 89, 109, 109]);
    }

    #[test]
    fn extreme_times_do_not_wrap() {
        assert_eq!(watermark(i64::MAX, None).observe(i64::MIN + 5), i64::MIN);
    }

    #[test]
    fn an_idle_partition_goes_on_with_the_clock_as_if_a_record_had_come() {
        let mut idle = watermark(10, Some(5_000));
        idle.tick(70_000);
        assert_eq!(idle.current(), Watermark::NONE, "not before the first record");
        idle.observe(1_000);
        let seen: Vec<i64> = [80_000, 84_999, 85_000, 85_100]
            .into_iter()
            .map(|now| {
                idle.tick(now);
                idle.current()
            })
            .collect();
        assert_eq!(seen, [989, 989, 5_989, 6_089]);
        // A record behind it changes nothing, and the time without one begins again.
        idle.stir();
        assert_eq!(idle.observe(2_000), 6_089);
        let seen: Vec<i64> = [90_000, 94_999, 95_000]
            .into_iter()
            .map(|now| {
                idle.tick(now);
                idle.current()
            })
            .collect();
        assert_eq!(seen, [6_089, 6_089, 11_089]);
    }

    #[test]
    fn what_was_saved_of_an_idle_partition_goes_on_from_there() {
        let mut before = watermark(0, Some(5_000));
        before.observe(1_000);
        before.tick(10_000);
        before.tick(16_000);
        let mut after = watermark(0, Some(5_000));
        after.restore(before.newest());
        assert_eq!(after.current(), before.current());
        // The time in which nobody looked does not count.
        for (now, expected) in [(99_000, 6_999), (103_999, 6_999), (104_000, 11_999)] {
            after.tick(now);
            assert_eq!(after.current(), expected, "at {now}");
        }
    }

    #[test]
    fn without_the_setting_no_clock_moves_the_watermark() {
        let mut watermark = watermark(0, None);
        watermark.observe(1_000);
        watermark.tick(0);
        watermark.tick(i64::MAX);
        assert_eq!(watermark.current(), 999);
    }
}
