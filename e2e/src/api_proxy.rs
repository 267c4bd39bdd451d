//! Stands between a program and the API server: writes down what the program asks for, lets the connection fail at a chosen
//! moment, and makes the weather. Plain HTTP on loopback towards the program; towards the API server as the kubeconfig says.

mod log;
mod watches;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::sleep;

pub use self::log::{Cut, Traffic, Weather, Write};
use self::log::{Log, Order, is_watch};
pub use self::watches::Dropped;
use self::watches::Watches;
use crate::served::Served;

/// Largest request that is passed on.
const MAX_BODY: usize = 4 << 20;

/// The proxy; it ends with this.
pub struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _served: Served,
}

struct Shared {
    client: Client,
    log: Mutex<Log>,
    /// Whether every request waits.
    frozen: watch::Sender<bool>,
    watches: Arc<Watches>,
}

impl ApiProxy {
    /// Listens on a free port, in front of the API server of `kubeconfig`.
    pub fn start(kubeconfig: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, listener) = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            anyhow::Ok((Client::try_from(config)?, listener))
        })?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            client,
            log: Mutex::default(),
            frozen: watch::Sender::new(false),
            watches: Arc::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        Ok(Self {
            address,
            shared,
            _served: Served::start("api-proxy", runtime, listener, router)?,
        })
    }

    /// Writes a kubeconfig that leads through this proxy.
    pub fn kubeconfig(&self, path: &Path) -> Result<PathBuf> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\ncontexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]\n\
             clusters: [{{name: proxy, cluster: {{server: 'http://{}'}}}}]\nusers: [{{name: proxy, user: {{}}}}]\n",
            self.address
        );
        fs::write(path, text).with_context(|| path.display().to_string())?;
        Ok(path.to_owned())
    }

    /// All writes so far, but for those of Leases and Events.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.log().writes.clone()
    }

    /// From now on, counted from none: the connection is cut at the write number `nth` (from 1), and every request waits
    /// from then on, until [`Self::restore`].
    pub fn cut_at(&self, nth: usize, side: Cut) {
        let mut log = self.shared.log();
        log.writes.clear();
        log.was_cut = false;
        log.cut = Some((nth, side));
    }

    /// Whether the connection was cut.
    pub fn was_cut(&self) -> bool {
        self.shared.log().was_cut
    }

    /// Passes requests on again and forgets the writes so far.
    pub fn restore(&self) {
        let mut log = self.shared.log();
        log.cut = None;
        log.was_cut = false;
        log.writes.clear();
        self.shared.frozen.send_replace(false);
    }

    /// Changes the weather, and forgets the traffic so far.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.log().set_weather(weather);
    }

    /// From now on, counted from none: the write number `nth` (from 1) is the first that a storm refuses.
    pub fn storm_at(&self, nth: usize) {
        let mut log = self.shared.log();
        log.set_weather(Weather::Clear);
        log.writes.clear();
        log.storm = Some(nth);
    }

    /// What was asked for since the weather changed last.
    pub fn traffic(&self) -> Traffic {
        self.shared.log().traffic.clone()
    }

    /// How many watches are open, without those that were dropped.
    pub fn open_watches(&self) -> usize {
        self.shared.watches.count()
    }

    /// Drops all open watches; how many there were. New ones are passed on.
    pub fn drop_watches(&self, how: Dropped) -> usize {
        self.shared.watches.drop_all(how)
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freeze(&self) {
        self.log().was_cut = true;
        self.frozen.send_replace(true);
    }

    async fn thaw(&self) -> Response {
        // The sender lives as long as this; an error means that all is over anyway.
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if *shared.frozen.borrow() {
        return shared.thaw().await;
    }
    let watches = is_watch(request.uri());
    let (place, order) = shared.log().note(request.method(), request.uri());
    match order {
        Order::Refuse(nth) => {
            let answer = refusal(nth);
            shared.log().answered(place, answer.status());
            return answer;
        }
        Order::Cut(Cut::Before) => {
            shared.freeze();
            return shared.thaw().await;
        }
        Order::PassOn | Order::Cut(Cut::After) | Order::Delay(_) => {}
    }
    let answer = forward(&shared.client, request).await;
    if let Ok(answer) = &answer {
        shared.log().answered(place, answer.status());
    }
    match order {
        Order::Cut(_) => {
            shared.freeze();
            return shared.thaw().await;
        }
        Order::Delay(by) => sleep(by).await,
        Order::PassOn | Order::Refuse(_) => {}
    }
    match answer {
        Ok(answer) if watches && answer.status().is_success() => {
            let late = Arc::clone(&shared);
            answer.map(|body| shared.watches.pass_on(body, move || late.log().lateness()))
        }
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

/// As the API server says it: at its limit of requests at once, and when what it stands on is away.
fn refusal(nth: usize) -> Response {
    if nth.is_multiple_of(2) {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the server is currently unable to handle the request",
        )
            .into_response();
    }
    let wait = [(header::RETRY_AFTER, "1")];
    (
        StatusCode::TOO_MANY_REQUESTS,
        wait,
        "Too many requests, please try again later.",
    )
        .into_response()
}

async fn forward(client: &Client, request: Request) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    parts.headers.remove("connection");
    let bytes = to_bytes(body, MAX_BODY).await?;
    let request = axum::http::Request::from_parts(parts, kube::client::Body::from(bytes.to_vec()));
    let answer = client.send(request).await?;
    Ok(answer.map(Body::new))
}
