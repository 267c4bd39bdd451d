//! Stands between a program and the API server: writes down what the program writes, and lets the connection fail at a
//! chosen moment. Plain HTTP on loopback towards the program; towards the API server as the kubeconfig says.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{oneshot, watch};

/// Largest request that is passed on.
const MAX_BODY: usize = 4 << 20;

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

/// The proxy; it ends with this.
pub struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    client: Client,
    log: Mutex<Log>,
    /// Whether every request waits.
    frozen: watch::Sender<bool>,
}

struct Log {
    writes: Vec<Write>,
    cut: Option<(usize, Cut)>,
    was_cut: bool,
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
            log: Mutex::new(Log {
                writes: Vec::new(),
                cut: None,
                was_cut: false,
            }),
            frozen: watch::Sender::new(false),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("api-proxy".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = axum::serve(listener, router).into_future() => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
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
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the request down if it counts; its place in the log, and where to cut.
    fn note(&self, method: &Method, path: &str) -> (Option<usize>, Option<Cut>) {
        let uncounted = ["/leases", "/events", "/subjectaccessreviews"];
        if [Method::GET, Method::HEAD].contains(method) || uncounted.iter().any(|part| path.contains(part)) {
            return (None, None);
        }
        let mut log = self.log();
        log.writes.push(Write {
            at: Instant::now(),
            method: method.to_string(),
            path: path.to_owned(),
            status: None,
        });
        let nth = log.writes.len();
        let cut = log.cut.filter(|(at, _)| *at == nth).map(|(_, side)| side);
        (Some(nth - 1), cut)
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
    let (place, cut) = shared.note(request.method(), request.uri().path());
    if cut == Some(Cut::Before) {
        shared.freeze();
        return shared.thaw().await;
    }
    let answer = forward(&shared.client, request).await;
    if let (Some(place), Ok(answer)) = (place, &answer) {
        // The log may have been cleared meanwhile.
        if let Some(write) = shared.log().writes.get_mut(place) {
            write.status = Some(answer.status().as_u16());
        }
    }
    if cut == Some(Cut::After) {
        shared.freeze();
        return shared.thaw().await;
    }
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
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
