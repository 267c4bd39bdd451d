//! The HTTP side of a process: `/healthz`, `/readyz`, `/metrics`, and what else it has to say in JSON.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::Shutdown;

/// How long the work may stand still before only a restart can help. Longer than any single wait for a broker.
const STANDSTILL: Duration = Duration::from_secs(300);

/// What the probes answer.
#[derive(Clone, Debug)]
pub struct Health {
    started: Instant,
    waits_for: &'static str,
    ready: Arc<AtomicBool>,
    /// Milliseconds from `started` to the latest sign of life.
    alive: Arc<AtomicU64>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            waits_for: "has not joined its consumer group yet",
            ready: Arc::default(),
            alive: Arc::default(),
        }
    }
}

impl Health {
    /// Not ready yet, for the reason that `/readyz` then gives: `has not ... yet`. Default: the runner's.
    pub fn waiting_for(reason: &'static str) -> Self {
        Self {
            waits_for: reason,
            ..Self::default()
        }
    }

    /// Says whether the process does its work: `/readyz`.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// A sign of life. Without one for five minutes `/healthz` fails. A broker that is away is no reason for that: trying
    /// again is life.
    pub fn beat(&self) {
        self.alive
            .store(self.started.elapsed().as_millis() as u64, Ordering::Release);
    }

    fn stands_still(&self) -> bool {
        let alive = Duration::from_millis(self.alive.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(alive) > STANDSTILL
    }
}

/// The listening admin server.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    more: Router<(Registry, Health)>,
}

impl Admin {
    /// Listens on `address`; port 0 takes any free port.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let more = Router::new();
        Ok(Self {
            listener,
            address,
            more,
        })
    }

    /// Answers GET `path` with the JSON text that `answer` returns, which must not wait for anything.
    #[must_use]
    pub fn with_json(mut self, path: &str, answer: impl Fn() -> String + Clone + Send + Sync + 'static) -> Self {
        let json = move || async move { ([(header::CONTENT_TYPE, "application/json")], answer()) };
        self.more = self.more.route(path, get(json));
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until shutdown is requested.
    pub async fn serve(self, registry: Registry, health: Health, shutdown: Shutdown) -> std::io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .merge(self.more)
            .with_state((registry, health));
        axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { shutdown.requested().await })
            .await
    }
}

async fn healthz(State((_, health)): State<(Registry, Health)>) -> (StatusCode, &'static str) {
    match health.stands_still() {
        true => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "no sign of life from the work for five minutes\n",
        ),
        false => (StatusCode::OK, "ok\n"),
    }
}

async fn readyz(State((_, health)): State<(Registry, Health)>) -> (StatusCode, String) {
    match health.ready.load(Ordering::Acquire) {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", health.waits_for),
        ),
    }
}

async fn metrics(State((registry, _)): State<(Registry, Health)>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[tokio::test]
    async fn what_else_a_process_has_to_say_stands_beside_the_probes() {
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let admin = admin.with_json("/status", || r#"{"read":7}"#.to_owned());
        let (address, shutdown) = (admin.address(), Shutdown::new());
        let serving = tokio::spawn(admin.serve(Registry::new(), Health::default(), shutdown.clone()));
        let asked = tokio::task::spawn_blocking(move || [get(address, "/status"), get(address, "/readyz")]);
        let [status, ready] = asked.await.unwrap();
        assert!(
            status.starts_with("HTTP/1.1 200") && status.ends_with(r#"{"read":7}"#),
            "{status}"
        );
        assert!(status.contains("content-type: application/json"), "{status}");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        shutdown.request();
        serving.await.unwrap().unwrap();
    }
}
