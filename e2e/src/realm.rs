//! One namespace with operators of its own behind a proxy of its own, and one pipeline in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_proxy::ApiProxy;
use crate::children::children;
use crate::eventually::eventually;
use crate::installation::World;
use crate::kubectl::{Kubectl, condition};
use crate::manifest::Manifest;
use crate::operator::Operators;

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Kind of the pipeline.
pub const KIND: &str = "WindowAggregation";
/// Its name.
pub const NAME: &str = "hourly";

/// The namespace and what stands around it.
pub struct Realm {
    /// For the cluster's administrator.
    pub kubectl: Kubectl,
    /// Name of the namespace.
    pub namespace: String,
    /// Between the operators and the API server.
    pub proxy: ApiProxy,
    /// For whatever the test puts there; the operators' logs are there.
    pub folder: TempDir,
    kubeconfig: PathBuf,
    bootstrap: String,
}

impl Realm {
    /// Makes the namespace, and the proxy.
    pub fn new(world: &World, namespace: &str) -> Result<Self> {
        world.install_crds()?;
        world.kubectl.restricted_namespace(namespace)?;
        let folder = tempfile::tempdir()?;
        let proxy = ApiProxy::start(&world.kubectl.kubeconfig)?;
        Ok(Self {
            kubectl: world.kubectl.clone(),
            namespace: namespace.to_owned(),
            kubeconfig: proxy.kubeconfig(&folder.path().join("kubeconfig"))?,
            proxy,
            folder,
            bootstrap: world.broker.bootstrap().to_owned(),
        })
    }

    /// How its operators are started.
    pub fn operators(&self) -> Operators<'_> {
        Operators::new(&self.kubeconfig, self.folder.path(), &self.namespace)
    }

    /// The pipeline; nothing of it is kept when it is deleted.
    pub fn manifest(&self) -> Result<Manifest> {
        let example = Manifest::example("02-tumbling-window/aggregation.yaml")?;
        let manifest = example.between(&self.bootstrap, "controller", NAME);
        Ok(manifest.with("spec.checkpoint.storage", json!({"reclaim": "Delete"})))
    }

    /// It with every child but an autoscaler, and without pods, which would only be in the way.
    pub fn suspended(&self) -> Result<Manifest> {
        Ok(self.manifest()?.with("spec.suspend", json!(true)))
    }

    /// It with every child there can be, and a pod that no node takes: it is there, and gone, without taking time.
    pub fn autoscaled(&self) -> Result<Manifest> {
        let scaling = json!({"min": 1, "max": 3, "target": {"lagRecords": 1000}});
        let resources = json!({"requests": {"cpu": "1000"}});
        Ok(self
            .manifest()?
            .with("spec.scaling", scaling)
            .with("spec.resources", resources))
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &Manifest) -> Result<()> {
        self.kubectl.apply(&self.namespace, &manifest.to_string()).map(drop)
    }

    /// What the operator has made.
    pub fn children(&self) -> Result<BTreeMap<String, Value>> {
        children(&self.kubectl, &self.namespace)
    }

    /// Whether the status speaks of the newest spec, and nothing is under way.
    pub fn is_current(&self) -> Result<bool> {
        let object = self.kubectl.get(&self.namespace, KIND, NAME)?;
        Ok(object.is_some_and(|object| {
            let rests = condition(&object, "Progressing").is_some_and(|(status, ..)| status == "False");
            rests && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        }))
    }

    /// Waits until the status speaks of the newest spec, and nothing more is written.
    pub fn settled(&self) -> Result<()> {
        eventually("settled", PATIENCE, || Ok(self.is_current()?.then_some(())))?;
        self.quiet_for(Duration::from_secs(2), PATIENCE)
    }

    /// Waits for a stretch of time in which nothing is written.
    pub fn quiet_for(&self, stretch: Duration, within: Duration) -> Result<()> {
        let mut quiet = (self.proxy.writes().len(), Instant::now());
        eventually(&format!("{stretch:?} without a write"), within, || {
            let writes = self.proxy.writes().len();
            if writes != quiet.0 {
                quiet = (writes, Instant::now());
            }
            Ok((quiet.1.elapsed() > stretch).then_some(()))
        })
        .with_context(|| format!("{:?}", self.proxy.writes()))
    }

    /// Deletes the pipeline, and waits until nothing of it is left.
    pub fn delete(&self) -> Result<()> {
        let namespace = self.namespace.as_str();
        self.kubectl
            .run(&["delete", KIND, NAME, "-n", namespace, "--ignore-not-found"])?;
        eventually("nothing is left", PATIENCE, || {
            Ok(self.children()?.is_empty().then_some(()))
        })
    }
}
