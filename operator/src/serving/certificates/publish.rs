//! Where the API server keeps the authorities it trusts us by: read, and written with the version that was read, so
//! that of two replicas that write at once one has to read again.
//!
//! Only what points to our own Service is touched: another product may serve the same API.

use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use thiserror::Error;

use super::bundle::{Authority, Bundle};

/// The APIService that says who serves external metrics; a cluster has one.
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
/// Longest wait for one answer of the API server.
const PATIENCE: Duration = Duration::from_secs(10);

/// An object that holds authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// That of external metrics.
    ApiService,
    /// The webhook configuration of that name.
    Webhooks(String),
}

impl Target {
    /// How metrics name it.
    fn registration(&self) -> &'static str {
        match self {
            Self::ApiService => "external_metrics",
            Self::Webhooks(_) => "webhook",
        }
    }
}

/// Why reading or writing failed.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("{0}")]
    Api(Box<kube::Error>),
    #[error("no answer within {PATIENCE:?}")]
    Patience,
}

/// What was found of a target.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// It points to us.
    Ours(Published),
    /// It does not, or does not exist: why, in words for whoever installed it.
    NotOurs(String),
}

impl Found {
    pub(super) fn ours(&self) -> Option<&Published> {
        match self {
            Self::Ours(published) => Some(published),
            Self::NotOurs(_) => None,
        }
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Ours(_) => None,
            Self::NotOurs(trouble) => Some(trouble),
        }
    }
}

/// What an object of ours holds.
#[derive(Debug, PartialEq)]
pub(super) struct Published {
    target: Target,
    version: String,
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    /// Name of the webhook; None in an APIService.
    webhook: Option<String>,
    bundle: Bundle,
    /// Whether the API server is told to trust anyone, which excludes a bundle.
    trusts_anyone: bool,
}

impl Published {
    pub(super) fn bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.entries.iter().map(|entry| &entry.bundle)
    }

    /// Whether an authority is missing somewhere.
    pub(super) fn lacks<'a>(&self, needed: impl Iterator<Item = &'a Authority> + Clone) -> bool {
        !self.bundles().all(|bundle| bundle.holds_all(needed.clone()))
    }

    fn patch<'a>(&self, needed: impl Iterator<Item = &'a Authority> + Clone, now: SystemTime) -> Value {
        let bundle = |entry: &Entry| ByteString(entry.bundle.with(needed.clone(), now).to_pem());
        let spec = |entry: &Entry| match entry.trusts_anyone {
            true => json!({"caBundle": bundle(entry), "insecureSkipTLSVerify": null}),
            false => json!({"caBundle": bundle(entry)}),
        };
        let webhook = |entry: &Entry| json!({"name": entry.webhook, "clientConfig": {"caBundle": bundle(entry)}});
        let metadata = json!({"resourceVersion": self.version});
        match self.target {
            Target::ApiService => json!({"metadata": metadata, "spec": self.entries.first().map(spec)}),
            Target::Webhooks(_) => {
                json!({"metadata": metadata, "webhooks": self.entries.iter().map(webhook).collect::<Vec<_>>()})
            }
        }
    }
}

/// Reads and writes the targets.
pub(super) struct Publisher {
    client: Client,
    targets: Vec<Target>,
    service: Service,
}

/// The Service in front of us.
#[derive(Debug)]
struct Service {
    namespace: String,
    name: String,
}

impl Publisher {
    pub(super) fn new(client: Client, targets: Vec<Target>, service: &str, namespace: &str) -> Self {
        let service = Service {
            namespace: namespace.to_owned(),
            name: service.to_owned(),
        };
        Self {
            client,
            targets,
            service,
        }
    }

    /// What all targets hold.
    pub(super) async fn read(&self) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for target in &self.targets {
            found.push(match target {
                Target::ApiService => {
                    let object = patient(Api::<APIService>::all(self.client.clone()).get_opt(API_SERVICE)).await?;
                    self.service.api_service(object)
                }
                Target::Webhooks(name) => {
                    let api = Api::<ValidatingWebhookConfiguration>::all(self.client.clone());
                    self.service.webhooks(name, patient(api.get_opt(name)).await?)
                }
            });
        }
        Ok(found)
    }

    /// What each target is called in metrics, with whether `found` says that it is ours.
    pub(super) fn registrations(&self, found: &[Found]) -> impl Iterator<Item = (&'static str, bool)> {
        let ours = found.iter().map(|found| found.ours().is_some());
        self.targets.iter().map(Target::registration).zip(ours)
    }

    /// Adds the needed authorities. Somebody else's write since the last read makes it fail.
    pub(super) async fn publish<'a>(
        &self,
        published: &Published,
        needed: impl Iterator<Item = &'a Authority> + Clone,
        now: SystemTime,
    ) -> Result<(), Error> {
        let patch = published.patch(needed, now);
        let params = PatchParams::default();
        match &published.target {
            Target::ApiService => {
                let api = Api::<APIService>::all(self.client.clone());
                patient(api.patch(API_SERVICE, &params, &Patch::Merge(patch)))
                    .await
                    .map(drop)
            }
            // Its list of webhooks is merged by name only in a strategic merge.
            Target::Webhooks(name) => {
                let api = Api::<ValidatingWebhookConfiguration>::all(self.client.clone());
                patient(api.patch(name, &params, &Patch::Strategic(patch)))
                    .await
                    .map(drop)
            }
        }
    }
}

impl Error {
    /// Whether somebody else wrote first.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(&**error, kube::Error::Api(status) if status.code == 409))
    }
}

async fn patient<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| Error::Api(Box::new(error))),
        Err(_) => Err(Error::Patience),
    }
}

impl Service {
    fn api_service(&self, object: Option<APIService>) -> Found {
        let Some(object) = object else {
            return Found::NotOurs(format!(
                "external metrics are off: there is no APIService {API_SERVICE}"
            ));
        };
        let spec = object.spec.unwrap_or_default();
        let service = spec.service.unwrap_or_default();
        let (namespace, name) = (service.namespace.unwrap_or_default(), service.name.unwrap_or_default());
        if (&namespace, &name) != (&self.namespace, &self.name) {
            return Found::NotOurs(format!(
                "external.metrics.k8s.io is served by {namespace}/{name} already, and a cluster has one server of it: \
                 autoscaling on lag needs that one removed, or KEDA or a Prometheus adapter on this operator's metrics"
            ));
        }
        let entry = Entry {
            webhook: None,
            bundle: Bundle::parse(&spec.ca_bundle.unwrap_or_default().0),
            trusts_anyone: spec.insecure_skip_tls_verify.unwrap_or_default(),
        };
        Found::Ours(Published {
            target: Target::ApiService,
            version: object.metadata.resource_version.unwrap_or_default(),
            entries: vec![entry],
        })
    }

    fn webhooks(&self, name: &str, object: Option<ValidatingWebhookConfiguration>) -> Found {
        let Some(object) = object else {
            return Found::NotOurs(format!(
                "objects are not checked when they are applied: there is no ValidatingWebhookConfiguration {name}"
            ));
        };
        let webhooks = object.webhooks.unwrap_or_default();
        let entries: Vec<_> = webhooks
            .into_iter()
            .filter(|webhook| self.is_called_by(webhook))
            .map(entry)
            .collect();
        if entries.is_empty() {
            return Found::NotOurs(format!(
                "objects are not checked when they are applied: no webhook of the ValidatingWebhookConfiguration \
                 {name} calls the Service {}/{}",
                self.namespace, self.name
            ));
        }
        Found::Ours(Published {
            target: Target::Webhooks(name.to_owned()),
            version: object.metadata.resource_version.unwrap_or_default(),
            entries,
        })
    }

    fn is_called_by(&self, webhook: &ValidatingWebhook) -> bool {
        let service = webhook.client_config.service.as_ref();
        service.is_some_and(|service| service.namespace == self.namespace && service.name == self.name)
    }
}

fn entry(webhook: ValidatingWebhook) -> Entry {
    Entry {
        webhook: Some(webhook.name),
        bundle: Bundle::parse(&webhook.client_config.ca_bundle.unwrap_or_default().0),
        trusts_anyone: false,
    }
}

#[cfg(test)]
mod tests;
