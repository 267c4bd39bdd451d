//! Everything wired together: one process from its first call of the API server to giving back the Lease.

use std::sync::Arc;

use anyhow::Context;
use kube::Config;
use millrace_service::{Admin, Health, Shutdown};
use prometheus::Registry;
use tokio::sync::watch;

use crate::controller::{self, Controller, Known};
use crate::lease::{Election, Leadership};
use crate::metrics;
use crate::observe::Observations;
use crate::serving::{self, Serving, Standing};
use crate::settings::Settings;

/// Runs the operator until shutdown is requested, or until a part of it cannot go on.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let config = Config::infer().await.context("finding the API server")?;
    let client = controller::client(&config)?;
    let registry = Registry::new();
    let health = Health::waiting_for("does not know all objects yet");
    let (observations, changed) = Observations::new();
    let leadership = Leadership::default();
    let reconciles = metrics::register(&registry, observations.clone(), leadership.clone())?;
    let (elections, elected) = watch::channel(false);
    let (serves, serving) = watch::channel(Standing::default());
    let (syncs, synced) = watch::channel(false);
    let known = Known::default();

    let admin = Admin::bind(settings.admin)
        .await
        .with_context(|| format!("listening on {}", settings.admin))?;
    tracing::info!(address = %admin.address(), "answers /healthz, /readyz and /metrics");
    let controller = Controller {
        config,
        client: client.clone(),
        settings: settings.clone(),
        observations: observations.clone(),
        changed,
        reconciles,
        leadership: leadership.clone(),
        elected,
        health: health.clone(),
    };
    let looked_up = known.clone();
    let served = Serving {
        client: client.clone(),
        settings: settings.clone(),
        latest: Arc::new({
            let observations = observations.clone();
            move |key| observations.get(key)
        }),
        manifests: Arc::new(move |namespace| looked_up.manifests(namespace)),
        metrics: serving::Metrics::register(&registry)?,
        standing: serves,
        shutdown: shutdown.clone(),
    };
    let election = Election::new(client, &settings, leadership, elections);
    let observing = observations.run(settings.observe_every, shutdown.clone());
    let parts = tokio::join!(
        ending(&shutdown, Box::pin(controller.run(known, syncs, shutdown.clone()))),
        ending(&shutdown, Box::pin(serving::run(served))),
        ending(&shutdown, async {
            Ok(admin.serve(registry, health.clone(), shutdown.clone()).await?)
        }),
        observing,
        readiness(&health, synced, serving, &shutdown),
        election.keep(&shutdown),
    );
    // Nothing is written any more: another replica may begin.
    election.release().await;
    parts.0.and(parts.1).and(parts.2)
}

/// One part of the process: when it ends, for whatever reason, the others are asked to end too.
async fn ending(shutdown: &Shutdown, part: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let ended = part.await;
    shutdown.request();
    ended
}

/// Ready is who knows all objects and can be called by the API server.
async fn readiness(
    health: &Health,
    mut synced: watch::Receiver<bool>,
    mut serving: watch::Receiver<Standing>,
    shutdown: &Shutdown,
) {
    let both = async {
        let synced = synced.wait_for(|synced| *synced).await.is_ok();
        synced && serving.wait_for(|standing| standing.settled).await.is_ok()
    };
    tokio::select! {
        ready = both => health.set_ready(ready),
        () = shutdown.requested() => {}
    }
}
