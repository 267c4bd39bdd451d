//! The HTTP side of a process: `/healthz`, `/readyz` and `/metrics`.

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
    ready: Arc<AtomicBool>,
    /// Milliseconds from `started` to the latest sign of life.
    alive: Arc<AtomicU64>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            ready: Arc::default(),
            alive: Arc::default(),
        }
    }
}

impl Health {
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
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Listens on `address`; port 0 takes any free port.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
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

async fn readyz(State((_, health)): State<(Registry, Health)>) -> (StatusCode, &'static str) {
    match health.ready.load(Ordering::Acquire) {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: has not joined its consumer group yet\n",
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
