//! How it stands with the watches: who has not listed everything yet, and what we may not see.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// How it stands with the watches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Standing {
    inner: Arc<Mutex<Inner>>,
    /// Watches that have not listed everything yet.
    unlisted: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Not yet listed, by name of the watch.
    unlisted: HashSet<String>,
    /// What the API server does not let us see, by namespace and name of the watch.
    forbidden: BTreeMap<(Option<String>, String), String>,
}

impl Standing {
    /// No watch runs yet.
    pub fn new() -> Self {
        let (unlisted, _) = watch::channel(usize::MAX);
        let inner = Arc::default();
        Self { inner, unlisted }
    }

    /// Returns once all caches hold what there is, except where that is forbidden.
    pub async fn settled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let mut unlisted = self.unlisted.subscribe();
        let _ended = unlisted.wait_for(|unlisted| *unlisted == 0).await;
    }

    /// What we may not see of a namespace, in the API server's words.
    pub fn forbidden(&self, namespace: &str) -> Option<String> {
        let inner = self.lock();
        let concerns = |scope: &Option<String>| scope.as_deref().is_none_or(|it| it == namespace);
        let mut messages = inner.forbidden.iter().filter(|((scope, _), _)| concerns(scope));
        messages.next().map(|(_, message)| message.clone())
    }

    pub(super) fn expect(&self, watch: &str) {
        self.lock().unlisted.insert(watch.to_owned());
    }

    pub(super) fn listed(&self, watch: &str) {
        let unlisted = {
            let mut inner = self.lock();
            inner.unlisted.remove(watch);
            inner.unlisted.len()
        };
        self.unlisted.send_replace(unlisted);
    }

    /// Notes what the API server says, or that it says no more; returns whether that is news.
    pub(super) fn set_forbidden(&self, scope: &Option<String>, watch: &str, message: Option<String>) -> bool {
        let mut inner = self.lock();
        let key = (scope.clone(), watch.to_owned());
        match message {
            Some(message) => inner.forbidden.insert(key, message).is_none(),
            None => inner.forbidden.remove(&key).is_some(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self::new()
    }
}
