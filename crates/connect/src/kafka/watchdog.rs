//! Calls into librdkafka that may block for ever, with a deadline of our own.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Runs `call` on a thread of its own and returns what it returns; None if that takes longer than `deadline`. The thread
/// then stays behind, with everything that `call` owns.
pub(super) fn within<T: Send + 'static>(
    deadline: Duration,
    name: &'static str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody listens after the deadline.
        let _ = done.send(call());
    });
    if let Err(error) = spawned {
        tracing::error!(%error, name, "failed to start a thread");
        return None;
    }
    result.recv_timeout(deadline).ok()
}

/// Drops the last handle of a client on a thread of its own: destroying one waits for its threads.
pub(super) fn retire<T: Send + Sync + 'static>(client: Arc<T>) {
    let spawned = thread::Builder::new().name("retire".to_owned()).spawn(move || {
        // Other handles go with their owners; whoever is last pays.
        for _ in 0..1000 {
            if Arc::strong_count(&client) == 1 {
                break;
            }
            pause(Duration::from_millis(5));
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "failed to start a thread");
    }
}

/// Waits before a question is asked again.
#[expect(
    clippy::disallowed_methods,
    reason = "librdkafka and brokers tell nobody when an answer has changed"
)]
pub(super) fn pause(time: Duration) {
    thread::sleep(time);
}
