//! What was asked for, and what is done with the next request. Decides, and does nothing itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, Uri};

/// One request that may change something.
#[derive(Clone, Debug)]
pub struct Write {
    /// When it came in.
    pub at: Instant,
    /// `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// What the API server answered; None: nothing yet, or never.
    pub status: Option<u16>,
}

/// On which side of the API server's work the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The API server never hears of the write.
    Before,
    /// The write is done, its answer never comes.
    After,
}

/// What the way to the API server is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Everything is passed on at once.
    #[default]
    Clear,
    /// Nothing is passed on; answers are 429 with `Retry-After: 1` and 503 in turn. Watches that are open go on.
    Storm,
    /// Every answer, and every part of what a watch says, comes this much later.
    Slow(Duration),
}

/// What was asked for since the weather changed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests by method and path without the query; the method of a watch is `WATCH`.
    pub requests: BTreeMap<String, usize>,
    /// How many of them a storm refused.
    pub refused: usize,
    /// How many of them were answered late.
    pub delayed: usize,
}

/// What is done with one request.
pub(super) enum Order {
    /// It is passed on.
    PassOn,
    /// The connection is cut at it.
    Cut(Cut),
    /// It is refused; how many were before it in this storm, itself included.
    Refuse(usize),
    /// Its answer comes so much later.
    Delay(Duration),
}

/// All of it, and what is to come.
#[derive(Default)]
pub(super) struct Log {
    pub writes: Vec<Write>,
    pub cut: Option<(usize, Cut)>,
    pub was_cut: bool,
    pub weather: Weather,
    /// The write with which a storm begins.
    pub storm: Option<usize>,
    pub traffic: Traffic,
}

impl Log {
    /// Changes the weather, and forgets the traffic so far.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
        self.storm = None;
        self.traffic = Traffic::default();
    }

    /// Writes the request down: its place among the writes if it is one that counts, and what to do with it.
    pub fn note(&mut self, method: &Method, uri: &Uri) -> (Option<usize>, Order) {
        let place = counts(method, uri.path()).then(|| {
            self.writes.push(Write {
                at: Instant::now(),
                method: method.to_string(),
                path: uri.path().to_owned(),
                status: None,
            });
            self.writes.len() - 1
        });
        if self.storm.is_some_and(|nth| place == Some(nth - 1)) {
            self.set_weather(Weather::Storm);
        }
        let title = if is_watch(uri) { "WATCH" } else { method.as_str() };
        let title = format!("{title} {}", uri.path());
        *self.traffic.requests.entry(title).or_default() += 1;
        let cut = self.cut.filter(|(at, _)| place.is_some_and(|place| place + 1 == *at));
        let order = match (cut, self.weather) {
            (Some((_, side)), _) => Order::Cut(side),
            (None, Weather::Clear) => Order::PassOn,
            (None, Weather::Storm) => {
                self.traffic.refused += 1;
                Order::Refuse(self.traffic.refused)
            }
            (None, Weather::Slow(by)) => {
                self.traffic.delayed += 1;
                Order::Delay(by)
            }
        };
        (place, order)
    }

    /// Writes down what became of the write at `place`. The log may have been cleared meanwhile.
    pub fn answered(&mut self, place: Option<usize>, status: StatusCode) {
        if let Some(write) = place.and_then(|place| self.writes.get_mut(place)) {
            write.status = Some(status.as_u16());
        }
    }

    /// How much later everything comes now.
    pub fn lateness(&self) -> Duration {
        match self.weather {
            Weather::Slow(by) => by,
            Weather::Clear | Weather::Storm => Duration::ZERO,
        }
    }
}

/// Writes of what is made, and not of what is only said or asked.
fn counts(method: &Method, path: &str) -> bool {
    let uncounted = ["/leases", "/events", "/subjectaccessreviews"];
    ![Method::GET, Method::HEAD].contains(method) && !uncounted.iter().any(|part| path.contains(part))
}

/// Whether a request asks for a watch.
pub(super) fn is_watch(uri: &Uri) -> bool {
    let parts = || uri.query().unwrap_or_default().split('&');
    parts().any(|part| part == "watch=true" || part == "watch=1")
}
