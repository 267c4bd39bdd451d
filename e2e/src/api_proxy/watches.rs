//! The watches that run through the proxy. Each can be dropped while it lasts, in the two ways in which networks do it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How watches are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The connection ends in the middle, without a goodbye.
    Cut,
    /// The connection stays, and nothing comes any more: no event, no bookmark, no end.
    Silenced,
}

/// More than come while one is held back.
const HELD_BACK: usize = 4096;

/// All that are open and were not dropped.
#[derive(Default)]
pub(super) struct Watches {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    fates: HashMap<u64, watch::Sender<Option<Dropped>>>,
}

impl Watches {
    pub(super) fn count(&self) -> usize {
        self.open().fates.len()
    }

    /// Drops all; how many there were.
    pub(super) fn drop_all(&self, how: Dropped) -> usize {
        let fates = std::mem::take(&mut self.open().fates);
        for fate in fates.values() {
            fate.send_replace(Some(how));
        }
        fates.len()
    }

    /// Passes on what a watch says, each part `late` after it came, until it is dropped.
    pub(super) fn pass_on(self: &Arc<Self>, answer: Body, late: impl Fn() -> Duration + Send + 'static) -> Body {
        let (fate, place) = self.enter();
        let parts = answer
            .into_data_stream()
            .map(move |part| {
                let due = Instant::now() + late();
                async move {
                    sleep_until(due).await;
                    part.map_err(io::Error::other)
                }
            })
            .buffered(HELD_BACK);
        Body::from_stream(until_dropped(parts.boxed(), fate, place))
    }

    fn enter(self: &Arc<Self>) -> (watch::Receiver<Option<Dropped>>, Place) {
        let (sender, fate) = watch::channel(None);
        let mut open = self.open();
        open.last += 1;
        let id = open.last;
        open.fates.insert(id, sender);
        let watches = Arc::clone(self);
        (fate, Place { watches, id })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch is open as long as somebody reads it.
struct Place {
    watches: Arc<Watches>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watches.open().fates.remove(&self.id);
    }
}

fn until_dropped<T: Send + 'static>(
    parts: impl Stream<Item = io::Result<T>> + Send + Unpin + 'static,
    fate: watch::Receiver<Option<Dropped>>,
    place: Place,
) -> impl Stream<Item = io::Result<T>> + Send + 'static {
    stream::unfold((parts, fate, place), |(mut parts, mut fate, place)| async move {
        let part = tokio::select! {
            biased;
            how = dropped(&mut fate) => match how {
                Dropped::Cut => Some(Err(io::ErrorKind::ConnectionReset.into())),
                Dropped::Silenced => std::future::pending().await,
            },
            part = parts.next() => part,
        };
        Some((part?, (parts, fate, place)))
    })
}

async fn dropped(fate: &mut watch::Receiver<Option<Dropped>>) -> Dropped {
    let how = fate.wait_for(Option::is_some).await.ok().and_then(|how| *how);
    match how {
        Some(how) => how,
        // Its place is given up, and with it this.
        None => std::future::pending().await,
    }
}
