//! From objects to runners. Watches fill caches and ask for looks; each look is one walk through `reconcile`.
//!
//! Order of the modules = way of an object. Pure, and tested without a cluster: `queue`, `backoff`, `objects`, `scale`,
//! `rollout`, `build`, `ownership`, `events`. What writes to the API server does it through `writes`.

mod client;
mod watchdog;

mod watches;

mod declared;
mod live;
mod objects;

mod triggers;

mod queue;

mod backoff;

mod dispatch;

mod context;
mod memory;

mod reconcile;

mod dereference;

mod validate;

mod observe;

mod carry_out;

mod scale;

mod build;

mod rollout;

mod ownership;

mod apply;
mod failure;
mod writes;

mod report;

mod events;

use std::sync::Arc;

use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use millrace_crds::manifest::Manifest;
use millrace_service::{Health, Shutdown};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::key::ObjectKey;
use crate::lease::Leadership;
use crate::metrics::Reconciles;
use crate::observe::Observations;
use crate::settings::Settings;

pub use client::for_calls as client;

/// What the controller needs.
pub struct Controller {
    /// Where the API server is.
    pub config: Config,
    /// How to reach it.
    pub client: Client,
    /// What the operator was told.
    pub settings: Settings,
    /// Lag and runners.
    pub observations: Observations,
    /// Whose observations changed.
    pub changed: UnboundedReceiver<ObjectKey>,
    /// Where looks are counted.
    pub reconciles: Reconciles,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// Told when that changes.
    pub elected: watch::Receiver<bool>,
    /// What the probes answer.
    pub health: Health,
}

/// The objects that there are; shared with what serves the API server.
#[derive(Clone, Debug, Default)]
pub struct Known {
    objects: Arc<objects::Objects>,
}

impl Known {
    /// All objects of a namespace that can be read.
    pub fn manifests(&self, namespace: &str) -> Vec<Manifest> {
        self.objects.neighbours(namespace).manifests.clone()
    }
}

impl Controller {
    /// Works until shutdown, and has written everything that it will write when it returns. `synced` is told once the
    /// caches hold what there is.
    pub async fn run(self, known: Known, synced: watch::Sender<bool>, stop: Shutdown) -> anyhow::Result<()> {
        let lifetime = self.settings.watch_lifetime;
        let signs = watchdog::Signs::new(lifetime);
        let watching = client::for_watches(&self.config, lifetime, signs.clone())?;
        let (triggers, requests) = triggers::Triggers::new();
        let standing = watches::Standing::default();
        let namespaces = &self.settings.watch_namespaces;
        let (live, _tasks) = watches::start(&watching, lifetime, namespaces, &known.objects, &triggers, &standing);
        let context = Arc::new(context::Context {
            recorder: Recorder::new(self.client.clone(), reporter(&self.settings)),
            client: self.client.clone(),
            leadership: self.leadership,
            runner: context::RunnerImage {
                image: self.settings.runner_image.clone(),
                pull_policy: self.settings.runner_image_pull_policy.clone(),
                pull_secrets: self.settings.runner_image_pull_secrets.clone(),
            },
            objects: known.objects,
            live,
            standing: standing.clone(),
            observations: self.observations,
            reconciles: self.reconciles,
            memories: memory::Memories::default(),
        });
        let work = async {
            // Before the caches are full, children would seem to be missing.
            tokio::select! {
                () = standing.settled() => {}
                () = stop.requested() => return,
            }
            synced.send_replace(true);
            dispatch::dispatch(context, requests, stop.clone()).await;
        };
        tokio::join!(
            work,
            forward(self.changed, self.elected, triggers, stop.clone()),
            watchdog::watch(self.client, signs, self.health, stop.clone()),
        );
        Ok(())
    }
}

/// Passes on what others ask looks for: changed observations, and a change of the leader.
async fn forward(
    mut changed: UnboundedReceiver<ObjectKey>,
    mut elected: watch::Receiver<bool>,
    triggers: triggers::Triggers,
    stop: Shutdown,
) {
    loop {
        tokio::select! {
            Some(key) = changed.recv() => triggers.refresh(key),
            Ok(()) = elected.changed() => triggers.all(),
            () = stop.requested() => return,
        }
    }
}

fn reporter(settings: &Settings) -> Reporter {
    Reporter {
        controller: "millrace.io/operator".to_owned(),
        instance: Some(settings.identity.clone()),
    }
}
