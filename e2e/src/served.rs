//! A router that answers on a thread of its own, until this is dropped.

use std::future::IntoFuture;
use std::thread::JoinHandle;

use anyhow::Result;
use axum::Router;
use axum::serve::Listener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The thread; it ends with this.
pub(crate) struct Served {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Answers what comes to `listener`, which `runtime` has made.
    pub(crate) fn start<L>(name: &str, runtime: Runtime, listener: L, router: Router) -> Result<Self>
    where
        L: Listener<Addr: std::fmt::Debug>,
    {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = axum::serve(listener, router).into_future() => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
