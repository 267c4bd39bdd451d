//! Counters of runners, which begin at zero whenever a runner starts, made into rates and into totals that only rise.
//! No network; the clock is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use millrace_report::Report;

use super::Throughput;

/// Rates are averages over about this long.
const WINDOW: Duration = Duration::from_secs(30);
/// A runner that has not answered for longer has no rate.
const SILENCE: Duration = Duration::from_secs(15);
/// Runs that are remembered, so that a runner that comes into sight again is not counted again.
const RUNS: usize = 512;

/// One run of a runner: its pod and when the process began.
type Run = (String, i64);

/// What all runners of a pipeline have counted.
#[derive(Debug)]
pub(super) struct Counts {
    /// Milliseconds since the epoch: what runs that began before have counted before the first look is not new.
    since: i64,
    runs: HashMap<Run, Samples>,
    late: u64,
    dead: u64,
    /// Largest sum of the counters of runs that were seen at one time: the true totals cannot be below.
    floor: (u64, u64),
}

#[derive(Debug)]
struct Samples {
    /// Oldest first; never empty.
    kept: VecDeque<Sample>,
    late: u64,
    dead: u64,
    /// A later run of the same pod has answered.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    read: u64,
    written: u64,
}

impl Counts {
    /// Counts from now on, `since` in milliseconds since the epoch.
    pub(super) fn new(since: i64) -> Self {
        Self {
            since,
            runs: HashMap::new(),
            late: 0,
            dead: 0,
            floor: (0, 0),
        }
    }

    /// Takes what runners answered at `now`, each with its pod's name.
    pub(super) fn take<'a>(&mut self, reports: impl IntoIterator<Item = (&'a str, &'a Report)>, now: Instant) {
        let mut sum = (0_u64, 0_u64);
        for (pod, report) in reports {
            self.take_one(pod, report, now);
            sum = (sum.0.saturating_add(report.late), sum.1.saturating_add(report.dead));
        }
        self.floor = (self.floor.0.max(sum.0), self.floor.1.max(sum.1));
        while self.runs.len() > RUNS {
            let oldest = self.runs.iter().min_by_key(|(_, samples)| samples.last().at);
            let Some(oldest) = oldest.map(|(run, _)| run.clone()) else {
                break;
            };
            self.runs.remove(&oldest);
        }
    }

    fn take_one(&mut self, pod: &str, report: &Report, now: Instant) {
        let sample = Sample {
            at: now,
            read: report.read,
            written: report.written,
        };
        let run = (pod.to_owned(), report.started_at);
        let (late, dead) = match self.runs.get_mut(&run) {
            Some(samples) => {
                let before = (samples.late, samples.dead);
                samples.push(sample, report);
                before
            }
            None => {
                for ((_, started), samples) in self.runs.iter_mut().filter(|((of, _), _)| of == pod) {
                    samples.ended |= *started < report.started_at;
                }
                let samples = Samples {
                    kept: VecDeque::from([sample]),
                    late: report.late,
                    dead: report.dead,
                    ended: false,
                };
                self.runs.insert(run, samples);
                let is_new = report.started_at >= self.since;
                if is_new { (0, 0) } else { (report.late, report.dead) }
            }
        };
        self.late = self.late.saturating_add(report.late.saturating_sub(late));
        self.dead = self.dead.saturating_add(report.dead.saturating_sub(dead));
    }

    /// Late records and dead letters since the first look.
    pub(super) fn late_and_dead(&self) -> (u64, u64) {
        (self.late, self.dead)
    }

    /// What the totals since the object was created are at least.
    pub(super) fn floor(&self) -> (u64, u64) {
        self.floor
    }

    /// How much flows through the runners in these pods that answer; None: none of them has answered twice.
    pub(super) fn throughput(&self, is_here: impl Fn(&str) -> bool, now: Instant) -> Option<Throughput> {
        let here = self
            .runs
            .iter()
            .filter(|((pod, _), samples)| !samples.ended && is_here(pod));
        let rates = here.filter_map(|(_, samples)| samples.rate(now));
        rates.reduce(|sum, rate| Throughput {
            read: sum.read + rate.read,
            written: sum.written + rate.written,
        })
    }
}

impl Samples {
    fn last(&self) -> &Sample {
        self.kept
            .back()
            .expect("there is at least the sample that it was made of")
    }

    fn push(&mut self, sample: Sample, report: &Report) {
        self.kept.push_back(sample);
        self.late = self.late.max(report.late);
        self.dead = self.dead.max(report.dead);
        // The newest of those that are old enough stays, as where the window begins.
        while self.kept.len() > 2 && sample.at.duration_since(self.kept[1].at) >= WINDOW {
            self.kept.pop_front();
        }
    }

    fn rate(&self, now: Instant) -> Option<Throughput> {
        let (first, last) = (self.kept.front()?, self.kept.back()?);
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        if seconds <= 0.0 || now.duration_since(last.at) > SILENCE {
            return None;
        }
        Some(Throughput {
            read: last.read.saturating_sub(first.read) as f64 / seconds,
            written: last.written.saturating_sub(first.written) as f64 / seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(started_at: i64, read: u64, late: u64) -> Report {
        Report {
            started_at,
            read,
            written: read / 2,
            late,
            dead: late * 2,
            ..Report::default()
        }
    }

    fn rate(counts: &Counts, at: Instant) -> Option<(f64, f64)> {
        counts.throughput(|_| true, at).map(|rate| (rate.read, rate.written))
    }

    #[test]
    fn rate_is_the_average_over_the_window_and_restarts_count_from_their_own_zero() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut counts = Counts::new(1000);
        counts.take([("a", &report(500, 100_000, 0))], at(0));
        assert_eq!(rate(&counts, at(0)), None, "one answer is no rate");
        counts.take([("a", &report(500, 100_500, 0))], at(5));
        assert_eq!(rate(&counts, at(5)), Some((100.0, 50.0)));
        assert_eq!(
            counts.throughput(|pod| pod != "a", at(5)),
            None,
            "a pod that is gone has no rate"
        );
        // It starts again, and has read 40 000 in no time: no rate before it has answered twice.
        counts.take([("a", &report(9_000, 40_000, 0))], at(10));
        assert_eq!(rate(&counts, at(10)), None);
        counts.take([("a", &report(9_000, 40_100, 0))], at(20));
        assert_eq!(rate(&counts, at(20)), Some((10.0, 5.0)));
        assert_eq!(rate(&counts, at(40)), None, "it has been silent for too long");
        counts.take([("a", &report(9_000, 40_500, 0)), ("b", &report(9_500, 0, 0))], at(60));
        counts.take([("a", &report(9_000, 40_800, 0)), ("b", &report(9_500, 60, 0))], at(90));
        assert_eq!(
            rate(&counts, at(90)),
            Some((10.0 + 2.0, 5.0 + 1.0)),
            "only the window counts"
        );
    }

    #[test]
    fn totals_rise_over_restarts_and_what_was_there_before_is_not_new() {
        let now = Instant::now();
        let mut counts = Counts::new(1000);
        counts.take([("old", &report(999, 0, 70))], now);
        assert_eq!((counts.late_and_dead(), counts.floor()), ((0, 0), (70, 140)));
        counts.take([("old", &report(999, 0, 72)), ("new", &report(1001, 0, 5))], now);
        assert_eq!((counts.late_and_dead(), counts.floor()), ((7, 14), (77, 154)));
        counts.take([("new", &report(1002, 0, 1))], now);
        assert_eq!((counts.late_and_dead(), counts.floor()), ((8, 16), (77, 154)));
        counts.take([("old", &report(999, 0, 72))], now);
        assert_eq!(
            counts.late_and_dead(),
            (8, 16),
            "a run that comes back is not counted again"
        );
    }

    proptest! {
        /// Answers of two pods, some lost, some of a new run: totals never fall and never exceed what runners counted.
        #[test]
        fn totals_only_rise_and_rates_are_never_negative(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..50, proptest::bool::weighted(0.1), any::<bool>()), 1..60)
        ) {
            let start = Instant::now();
            let mut counts = Counts::new(0);
            let mut pods = [(0_i64, 0_u64, 0_u64), (0, 0, 0)];
            let (mut truth, mut before) = (0_u64, (0, 0));
            for (step, (second, more, restarts, lost)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_secs(step as u64);
                let (started, read, late) = &mut pods[usize::from(second)];
                if restarts {
                    (*started, *read, *late) = (*started + 1, 0, 0);
                }
                (*read, *late, truth) = (*read + more, *late + more, truth + more);
                if !lost {
                    let pod = if second { "b" } else { "a" };
                    counts.take([(pod, &report(*started, *read, *late))], now);
                }
                let after = counts.late_and_dead();
                prop_assert!(after.0 >= before.0 && after.0 <= truth, "{after:?} of {truth}");
                before = after;
                if let Some((read, _)) = rate(&counts, now) {
                    prop_assert!((0.0..=100.0).contains(&read), "{read} a second");
                }
            }
        }
    }
}
