//! How far event time has come on one partition.

/// Largest event time seen, less the out-of-orderness, less 1 ms. Never goes back: it is derived from a running maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    newest: Option<i64>,
    delay: i64,
}

impl Watermark {
    /// Before the first record.
    pub(crate) const NONE: i64 = i64::MIN;

    pub(crate) fn new(max_out_of_orderness: i64) -> Self {
        Self {
            newest: None,
            delay: max_out_of_orderness,
        }
    }

    /// Takes a record's time in and returns the watermark after it.
    pub(crate) fn observe(&mut self, time: i64) -> i64 {
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        self.current()
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermark_follows_the_running_maximum_and_never_goes_back() {
        let mut watermark = Watermark::new(10);
        assert_eq!(watermark.current(), Watermark::NONE);
        let seen: Vec<i64> = [100, 50, 120, 119]
            .into_iter()
            .map(|time| watermark.observe(time))
            .collect();
        assert_eq!(seen, [89, 89, 109, 109]);
    }

    #[test]
    fn extreme_times_do_not_wrap() {
        assert_eq!(Watermark::new(i64::MAX).observe(i64::MIN + 5), i64::MIN);
    }
}
