//! The certificate that the API server sees. Each renewal makes a new authority that signs one certificate and whose
//! key is then forgotten; the authority is published first and its certificate served only once the API server knows
//! it.
//!
//! The bundles in the APIService and in the webhook configuration are the only thing replicas of the operator share:
//! each adds its own authorities, and removes none before it has expired.

mod bundle;
mod generation;
mod identity;
mod publish;
mod rotation;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::Client;
use millrace_service::Shutdown;
use tokio::sync::watch;
use tokio_rustls::rustls::sign::CertifiedKey;

pub(super) use self::identity::Identity;
use self::publish::{Found, Published, Publisher, Target};
use self::rotation::{Now, Rotation, Step, Timing, Validity};
use super::metrics::Metrics;
use super::standing::Standing;
use crate::settings::Settings;

/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps a valid and trusted certificate served.
pub(super) struct Keeper {
    publisher: Publisher,
    rotation: Rotation<Arc<CertifiedKey>>,
    timing: Timing,
    /// DNS names that the API server may call us by.
    names: Vec<String>,
    identity: Arc<Identity>,
    metrics: Metrics,
    standing: watch::Sender<Standing>,
    started: Instant,
}

impl Keeper {
    pub(super) fn new(
        client: Client,
        settings: &Settings,
        identity: Arc<Identity>,
        metrics: Metrics,
        standing: watch::Sender<Standing>,
    ) -> Self {
        let api_service = settings.external_metrics.then_some(Target::ApiService);
        let webhook = settings.webhook.clone().map(Target::Webhooks);
        let (service, namespace) = (&settings.service, &settings.namespace);
        let timing = Timing::of(settings.certificate_lifetime);
        Self {
            publisher: Publisher::new(
                client,
                api_service.into_iter().chain(webhook).collect(),
                service,
                namespace,
            ),
            rotation: Rotation::new(timing),
            timing,
            names: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
            ],
            identity,
            metrics,
            standing,
            started: Instant::now(),
        }
    }

    /// Goes round after round until shutdown.
    pub(super) async fn keep(mut self, shutdown: Shutdown) {
        loop {
            // A short sleep each time, because the timer stands still while the machine sleeps and knows nothing of a
            // wall clock that was set.
            let pause = self.round().await;
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does the next thing that is due; returns how long nothing will be.
    async fn round(&mut self) -> Duration {
        let found = match self.publisher.read().await {
            Ok(found) => found,
            Err(error) => return self.failed(&format!("cannot read whom the API server trusts: {error}")),
        };
        for (registration, ours) in self.publisher.registrations(&found) {
            self.metrics.registered(registration, ours);
        }
        let ours: Vec<_> = found.iter().filter_map(Found::ours).collect();
        let troubles = found.iter().filter_map(Found::trouble).map(str::to_owned).collect();
        if ours.is_empty() {
            self.report(Standing {
                settled: true,
                troubles,
            });
            return self.timing.check;
        }
        let bundles: Vec<_> = ours.iter().flat_map(|published| published.bundles()).collect();
        let now = Now {
            wall: SystemTime::now(),
            running: self.started.elapsed(),
        };
        match self.rotation.step(now, &bundles) {
            Step::Make => self.make(now.wall),
            Step::Publish => self.publish(&ours, now.wall).await,
            Step::Serve => self.serve(),
            Step::Wait(pause) => {
                let settled = self.rotation.serving().is_some();
                self.report(Standing { settled, troubles });
                pause
            }
        }
    }

    fn make(&mut self, now: SystemTime) -> Duration {
        match generation::make(&self.names, Validity::from(now, self.timing.lifetime)) {
            Ok(generation) => {
                self.rotation.made(generation);
                Duration::ZERO
            }
            Err(error) => self.failed(&format!("cannot make a certificate: {error:#}")),
        }
    }

    /// Tries all, so that an object that cannot be written does not keep the others from being served.
    async fn publish(&self, ours: &[&Published], now: SystemTime) -> Duration {
        let mut pause = Duration::ZERO;
        for published in ours.iter().filter(|published| published.lacks(self.rotation.needed())) {
            match self.publisher.publish(published, self.rotation.needed(), now).await {
                Ok(()) => {}
                Err(error) if error.is_conflict() => tracing::debug!("another replica published first: reading again"),
                Err(error) => pause = self.failed(&format!("cannot tell the API server whom to trust: {error}")),
            }
        }
        pause
    }

    fn serve(&self) -> Duration {
        if let Some(serving) = self.rotation.serving() {
            self.identity.serve(Arc::clone(&serving.key));
            self.metrics.serves_until(serving.validity.until);
            tracing::info!(valid_for = ?self.timing.lifetime, "serving a new certificate to the API server");
        }
        Duration::ZERO
    }

    fn failed(&self, trouble: &str) -> Duration {
        self.metrics.publishing_failed();
        let settled = self.rotation.serving().is_some() || self.standing.borrow().settled;
        self.report(Standing {
            settled,
            troubles: vec![trouble.to_owned()],
        });
        RETRY.min(self.timing.check)
    }

    /// Says what is new about it.
    fn report(&self, standing: Standing) {
        self.standing.send_if_modified(|before| {
            if *before == standing {
                return false;
            }
            for trouble in standing
                .troubles
                .iter()
                .filter(|trouble| !before.troubles.contains(trouble))
            {
                tracing::warn!("{trouble}");
            }
            *before = standing;
            true
        });
    }
}
