//! What the operator serves to the API server, on one TLS listener: `external.metrics.k8s.io` and the validating
//! webhook. Reads what others have measured and watched; writes nothing but the bundles of certificate authorities that
//! the API server trusts it by, and keeps nothing on disk.
//!
//! Order of the modules = way of a request.

mod certificates;

mod listener;

mod router;

mod failure;

mod authentication;

mod authorization;

mod attributes;

mod negotiation;

mod discovery;

mod openapi;

mod external_metrics;

mod webhook;

mod metrics;

mod standing;

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use millrace_crds::manifest::Manifest;
use millrace_service::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::key::ObjectKey;
use crate::observe::Observation;
use crate::settings::Settings;

pub use self::metrics::Metrics;
pub use self::standing::Standing;

/// All objects of a namespace, of both kinds.
pub type Manifests = Arc<dyn Fn(&str) -> Vec<Manifest> + Send + Sync>;
/// What was last found out of an object; None: nothing yet.
pub type Latest = Arc<dyn Fn(&ObjectKey) -> Option<Arc<Observation>> + Send + Sync>;

/// Everything that serving needs.
pub struct Serving {
    /// How to reach the API server.
    pub client: Client,
    /// What the operator was told.
    pub settings: Settings,
    /// Where lag is read.
    pub latest: Latest,
    /// Objects that exist: a metric's selector chooses among them, and a checked object may refer to them.
    pub manifests: Manifests,
    /// What is counted.
    pub metrics: Metrics,
    /// Told how it stands with the certificate: a replica is ready once it has `settled`.
    pub standing: watch::Sender<Standing>,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Serves until shutdown. With neither external metrics nor webhook asked for there is no listener.
pub async fn run(serving: Serving) -> anyhow::Result<()> {
    if !serving.settings.external_metrics && serving.settings.webhook.is_none() {
        serving.standing.send_replace(Standing::settled());
        serving.shutdown.requested().await;
        return Ok(());
    }
    let address = serving.settings.serving;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} for the API server"))?;
    serve(serving, listener).await
}

/// The same on a listener that exists already.
pub async fn serve(serving: Serving, listener: TcpListener) -> anyhow::Result<()> {
    let Serving {
        client,
        settings,
        latest,
        manifests,
        metrics,
        standing,
        shutdown,
    } = serving;
    let identity = Arc::new(certificates::Identity::default());
    let keeper = certificates::Keeper::new(
        client.clone(),
        &settings,
        Arc::clone(&identity),
        metrics.clone(),
        standing,
    );
    let (trust, trusted) = watch::channel(None);
    let router = router::router(router::Served {
        trusted,
        authorizer: authorization::Authorizer::new(client.clone()),
        latest,
        manifests,
        metrics,
        external_metrics: settings.external_metrics,
        webhook: settings.webhook.is_some(),
    });
    let tls = listener::tls(identity)?;
    tokio::join!(
        keeper.keep(shutdown.clone()),
        async {
            // Without metrics nobody has to be believed, and the operator has no right to read whom.
            if settings.external_metrics {
                authentication::follow(client, trust, shutdown.clone()).await;
            }
        },
        listener::accept(listener, tls, router, shutdown.clone()),
    );
    Ok(())
}
