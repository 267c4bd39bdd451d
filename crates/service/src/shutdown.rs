//! One stop signal for all threads and tasks of a process.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Asked for once, seen by everyone who holds a clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requested: Mutex<bool>,
    changed: Condvar,
    tasks: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        let (tasks, _) = watch::channel(false);
        Self {
            inner: Arc::new(Inner {
                requested: Mutex::new(false),
                changed: Condvar::new(),
                tasks,
            }),
        }
    }

    /// Asks everyone to finish what is in hand and stop.
    pub fn request(&self) {
        *self.inner.requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.inner.changed.notify_all();
        self.inner.tasks.send_replace(true);
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        *self.inner.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread until it is asked for, at most `patience`; returns whether it was.
    pub fn wait(&self, patience: Duration) -> bool {
        let requested = self.inner.requested.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .inner
            .changed
            .wait_timeout_while(requested, patience, |requested| !*requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns once it was asked for.
    pub async fn requested(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let mut requests = self.inner.tasks.subscribe();
        let _ended = requests.wait_for(|requested| *requested).await;
    }

    /// Turns SIGTERM and SIGINT into a request; a second signal ends the process at once, and what was not committed is
    /// done again by the next one. Must be called within a tokio runtime.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if shutdown.is_requested() {
                    tracing::warn!(signal = name, "second signal: stopping at once");
                    std::process::exit(130);
                }
                tracing::info!(signal = name, "stopping: committing what is done");
                shutdown.request();
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_thread_sees_the_request() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait(Duration::from_millis(1)));
        let waiting = shutdown.clone();
        let thread = std::thread::spawn(move || waiting.wait(Duration::from_secs(60)));
        shutdown.request();
        assert!(thread.join().unwrap());
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_task_that_comes_too_late_still_sees_the_request() {
        let shutdown = Shutdown::new();
        shutdown.request();
        shutdown.requested().await;
    }
}
