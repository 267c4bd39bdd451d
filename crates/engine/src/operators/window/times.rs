//! The time that windows go by: event time, or the clock.

use std::borrow::Cow;

use millrace_plan::TimeDomain;

use crate::batch::Batch;
use crate::operators::Now;

/// When the rows of a batch happened, and how far time had come then.
pub(super) struct Times<'a> {
    times: Cow<'a, [i64]>,
    watermarks: Cow<'a, [i64]>,
    /// How far time has come after the batch.
    pub(super) now: i64,
}

impl<'a> Times<'a> {
    /// By the clock all rows of a batch happen now, and all that happens later is after that. `watermark` is how far time
    /// had come before: a clock that was put back stands still.
    pub(super) fn of(time: TimeDomain, batch: &'a Batch, now: Now, watermark: i64) -> Self {
        match time {
            TimeDomain::Event => Self {
                times: Cow::Borrowed(&batch.times),
                watermarks: Cow::Borrowed(&batch.watermarks),
                now: now.watermark,
            },
            TimeDomain::Processing => {
                let clock = clock(now, watermark);
                Self {
                    times: Cow::Owned(vec![clock; batch.len()]),
                    watermarks: Cow::Owned(vec![clock - 1; batch.len()]),
                    now: clock - 1,
                }
            }
        }
    }

    /// The watermark when a row came.
    pub(super) fn watermark(&self, row: u32) -> i64 {
        self.watermarks[row as usize]
    }

    /// For each row its time and the watermark when it came.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, (&i64, &i64))> {
        self.times.iter().zip(self.watermarks.iter()).enumerate()
    }
}

/// The watermark for what stands behind a window: no result that is still to come lies at or before it. The last result
/// of a window has the time of the window's last instant and comes when the window is closed, `held` later.
pub(super) fn behind(time: TimeDomain, now: Now, watermark: i64, held: i64) -> i64 {
    match time {
        TimeDomain::Event => now.watermark.saturating_sub(held),
        TimeDomain::Processing => (clock(now, watermark) - 1).saturating_sub(held),
    }
}

fn clock(now: Now, watermark: i64) -> i64 {
    now.clock.max(watermark.saturating_add(1)).max(i64::MIN + 1)
}
