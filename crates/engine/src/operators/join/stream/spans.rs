//! Which windows hold a time. Windows are named by their last instants.

/// Windows of one size that begin every `slide` milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    pub(super) size: i64,
    pub(super) slide: i64,
    pub(super) offset: i64,
}

impl Spans {
    /// The windows that hold `time`, newest first.
    pub(super) fn lasts(self, time: i64) -> impl Iterator<Item = i64> {
        let newest = self.newest_start(time);
        let starts = (0..).map(move |back| newest - back * i128::from(self.slide));
        starts
            .take_while(move |start| start + i128::from(self.size) > i128::from(time))
            .map(move |start| self.last_of(start))
    }

    /// The newest window that holds `time`.
    pub(super) fn newest_last(self, time: i64) -> i64 {
        self.last_of(self.newest_start(time))
    }

    /// Where a window begins.
    pub(super) fn start_of_last(self, last: i64) -> i64 {
        last.saturating_sub(self.size - 1)
    }

    /// Windows at the ends of time are wider than 64 bits.
    fn newest_start(self, time: i64) -> i128 {
        let time = i128::from(time);
        time - (time - i128::from(self.offset)).rem_euclid(i128::from(self.slide))
    }

    fn last_of(self, start: i128) -> i64 {
        let last = start + i128::from(self.size) - 1;
        last.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}
