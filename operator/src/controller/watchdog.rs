//! Restarts the process when a watch is stuck while the API server answers: a wait for ever that nothing else would end.
//!
//! A watch that lives asks anew when its time is over, or seconds later. What counts is that something is answered, not what: a watch that is
//! forbidden, or an API server that is away, is no reason for a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use kube::Client;
use millrace_service::{Health, Shutdown};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service};

/// How much longer than it lives a watch may be silent. `/healthz` fails five minutes after the last sign of life: with
/// watches of 200 s, ten minutes after the watch's.
const SILENCE: Duration = Duration::from_secs(100);
const ROUND: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);

/// When each watch was last answered. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signs {
    by_path: Arc<Mutex<HashMap<String, Instant>>>,
    longest: Duration,
}

impl Signs {
    /// Of watches of this lifetime.
    pub fn new(lifetime: Duration) -> Self {
        Self {
            by_path: Arc::default(),
            longest: lifetime + SILENCE,
        }
    }

    fn note(&self, path: String) {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        by_path.insert(path, Instant::now());
    }

    /// The watch that has been silent for longer than it can be if it lives.
    fn stuck(&self, now: Instant) -> Option<String> {
        let by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |at: &Instant| now.saturating_duration_since(*at) > self.longest;
        by_path.iter().find(|(_, at)| silent(at)).map(|(path, _)| path.clone())
    }
}

impl<S> Layer<S> for Signs {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        let signs = self.clone();
        Watched { inner, signs }
    }
}

/// A client whose answers are noted.
#[derive(Clone, Debug)]
pub struct Watched<S> {
    inner: S,
    signs: Signs,
}

impl<S, A, B> Service<Request<A>> for Watched<S>
where
    S: Service<Request<A>, Response = Response<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let signs = self.signs.clone();
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            signs.note(path);
            Ok(answer)
        }
        .boxed()
    }
}

/// Gives signs of life until a watch is stuck.
pub async fn watch(client: Client, signs: Signs, health: Health, stop: Shutdown) {
    loop {
        let stuck = signs.stuck(Instant::now());
        match &stuck {
            Some(path) if answers(&client).await => tracing::error!(path, "the API server answers, but not this watch"),
            _ => health.beat(),
        }
        tokio::select! {
            () = stop.requested() => return,
            () = sleep(ROUND) => {}
        }
    }
}

async fn answers(client: &Client) -> bool {
    matches!(timeout(ANSWER, client.apiserver_version()).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_stuck_once_it_was_silent_for_longer_than_it_lives() {
        let lifetime = Duration::from_secs(200);
        let signs = Signs::new(lifetime);
        assert_eq!(signs.stuck(Instant::now()), None);
        let before = Instant::now();
        signs.note("/api/v1/pods".to_owned());
        assert_eq!(signs.stuck(before + lifetime), None);
        let later = Instant::now() + Duration::from_secs(301);
        assert_eq!(signs.stuck(later), Some("/api/v1/pods".to_owned()));
    }
}
