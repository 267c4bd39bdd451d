//! Follows the ConfigMap that says whose word counts.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use millrace_service::Shutdown;
use tokio::sync::watch;

use super::Trust;

/// Written by the API server; readable by the role `extension-apiserver-authentication-reader`.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// A watch ends after so many seconds and goes on with the next one: the client takes a longer silence for a dead
/// server.
const WATCH_SECONDS: u32 = 15;

/// Keeps `trust` as the ConfigMap says until shutdown. Without one, or with one that cannot be read, nobody is trusted.
pub(in crate::serving) async fn follow(client: Client, trust: watch::Sender<Option<Arc<Trust>>>, shutdown: Shutdown) {
    let api = Api::<ConfigMap>::namespaced(client, NAMESPACE);
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={NAME}"))
        .timeout(WATCH_SECONDS);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    loop {
        let event = tokio::select! {
            () = shutdown.requested() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(watcher::Event::InitApply(found) | watcher::Event::Apply(found))) => {
                trust.send_replace(read(found).map(Arc::new));
            }
            Some(Ok(watcher::Event::Delete(_))) => {
                tracing::warn!("the ConfigMap {NAMESPACE}/{NAME} is gone: requests are refused until it is back");
                trust.send_replace(None);
            }
            // What was read before a watch broke still counts.
            Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => {}
            Some(Err(error)) => tracing::warn!(%error, "cannot read the ConfigMap {NAMESPACE}/{NAME}"),
        }
    }
}

fn read(found: ConfigMap) -> Option<Trust> {
    let trust = Trust::parse(&found.data.unwrap_or_default());
    trust
        .inspect(|_| tracing::info!("read whose client certificate the API server shows"))
        .inspect_err(|error| tracing::warn!(%error, "the ConfigMap {NAMESPACE}/{NAME} is no use: requests are refused"))
        .ok()
}
