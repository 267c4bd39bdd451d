//! When to make, publish and serve a certificate. No clock and no client: time and what is published come in, the next
//! step goes out.
//!
//! What is served is always signed by an authority that was published for a while, as long as somebody carries out the
//! steps. Time is told by two clocks: the wall clock says what is valid, the running time (which nobody can set) how
//! long something has been published.

use std::time::{Duration, SystemTime};

use super::bundle::{Authority, Bundle};

/// How far a clock may be behind ours and still find a new certificate valid.
pub(super) const BACKDATED: Duration = Duration::from_secs(300);

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// How long a certificate is valid.
    pub(super) lifetime: Duration,
    /// How long after publishing an authority every API server knows it.
    pub(super) settle: Duration,
    /// Longest time without a look at the clock and at what is published.
    pub(super) check: Duration,
}

impl Timing {
    /// The times that fit to a lifetime.
    pub(super) fn of(lifetime: Duration) -> Self {
        Self {
            lifetime,
            settle: (lifetime / 10).min(Duration::from_secs(15)),
            check: (lifetime / 16).min(Duration::from_secs(10)),
        }
    }
}

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// By the calendar; may jump.
    pub(super) wall: SystemTime,
    /// Since some start; only increases.
    pub(super) running: Duration,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// When it was made.
    pub(super) made: SystemTime,
    /// When it ends.
    pub(super) until: SystemTime,
}

impl Validity {
    /// From now on.
    pub(super) fn from(now: SystemTime, lifetime: Duration) -> Self {
        Self {
            made: now,
            until: now + lifetime,
        }
    }

    /// Whether a certificate is valid at that time.
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        self.made - BACKDATED <= now && now < self.until
    }

    /// Whether it is time for another one.
    fn is_spent(&self, now: SystemTime) -> bool {
        let lifetime = self.until.duration_since(self.made).unwrap_or_default();
        !self.holds(now) || now >= self.made + lifetime / 2
    }
}

/// A certificate with its authority; `K` is how it is served.
#[derive(Clone, Debug)]
pub(super) struct Generation<K> {
    pub(super) authority: Authority,
    pub(super) validity: Validity,
    pub(super) key: K,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a generation and hand it to [`Rotation::made`].
    Make,
    /// Add what is [needed](Rotation::needed) to all bundles.
    Publish,
    /// Serve what is [serving](Rotation::serving) from now on.
    Serve,
    /// Nothing, for that long.
    Wait(Duration),
}

/// Where the change from one generation to the next stands.
#[derive(Debug)]
pub(super) struct Rotation<K> {
    timing: Timing,
    serving: Option<Generation<K>>,
    next: Option<Generation<K>>,
    /// Running time since which every bundle has held the next authority.
    known_since: Option<Duration>,
}

impl<K> Rotation<K> {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            serving: None,
            next: None,
            known_since: None,
        }
    }

    /// What the API server should be shown.
    pub(super) fn serving(&self) -> Option<&Generation<K>> {
        self.serving.as_ref()
    }

    /// The authorities that have to be in every bundle.
    pub(super) fn needed(&self) -> impl Iterator<Item = &Authority> + Clone {
        [&self.serving, &self.next]
            .into_iter()
            .flatten()
            .map(|generation| &generation.authority)
    }

    /// Takes a new generation, which is published next. One that was never served is forgotten for it.
    pub(super) fn made(&mut self, generation: Generation<K>) {
        self.next = Some(generation);
        self.known_since = None;
    }

    /// Decides what to do at that time, with those bundles published.
    pub(super) fn step(&mut self, now: Now, bundles: &[&Bundle]) -> Step {
        let latest = self.next.as_ref().or(self.serving.as_ref());
        if latest.is_none_or(|latest| latest.validity.is_spent(now.wall)) {
            return Step::Make;
        }
        let Some(next) = &self.next else {
            return match self.is_published(bundles) {
                true => Step::Wait(self.timing.check),
                false => Step::Publish,
            };
        };
        // Nothing is lost by serving at once where every request fails anyway, or will before the next look.
        let next_look = now.wall + self.timing.check;
        let fails_anyway = self
            .serving
            .as_ref()
            .is_none_or(|serving| !serving.validity.holds(next_look));
        if fails_anyway && bundles.iter().any(|bundle| bundle.holds(&next.authority)) {
            return self.switch();
        }
        if !bundles.iter().all(|bundle| bundle.holds(&next.authority)) {
            self.known_since = None;
        }
        if !self.is_published(bundles) {
            return Step::Publish;
        }
        let known_for = now.running.saturating_sub(*self.known_since.get_or_insert(now.running));
        match self.timing.settle.checked_sub(known_for).filter(|left| !left.is_zero()) {
            None => self.switch(),
            Some(left) => Step::Wait(left.min(self.timing.check)),
        }
    }

    fn is_published(&self, bundles: &[&Bundle]) -> bool {
        bundles.iter().all(|bundle| bundle.holds_all(self.needed()))
    }

    fn switch(&mut self) -> Step {
        self.serving = self.next.take();
        self.known_since = None;
        Step::Serve
    }
}

#[cfg(test)]
mod tests;
