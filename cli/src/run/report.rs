//! What the person sees on standard error while a run goes on, and at its end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use millrace_runner::metrics::Metrics;

use crate::say;

/// Time between two lines of progress.
const PERIOD: Duration = Duration::from_secs(2);

/// Progress and summary.
pub struct Report {
    started: Instant,
    next: Instant,
    live: bool,
}

impl Report {
    /// Starts the clock.
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            next: now + PERIOD,
            live: std::io::stderr().is_terminal(),
        }
    }

    /// Says how far the run has come, now and then. Where standard error is a file, only the summary is written.
    pub fn progress(&mut self, metrics: &Metrics) {
        let now = Instant::now();
        if self.live && now >= self.next {
            self.next = now + PERIOD;
            say(format_args!("{}", self.line(metrics)));
        }
    }

    /// Says how it went.
    pub fn summary(&self, metrics: &Metrics) {
        say(format_args!("done: {}", self.line(metrics)));
    }

    fn line(&self, metrics: &Metrics) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let read = metrics.read.get();
        format!(
            "{read} read, {} written, {} late, {} dead-lettered, {:.1} s, {:.0} records/s",
            metrics.written.get(),
            metrics.late.total(),
            metrics.dead.total(),
            seconds,
            read as f64 / seconds.max(1e-9),
        )
    }
}
