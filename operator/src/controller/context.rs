//! What every look at an object needs.

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Recorder;

use super::live::Live;
use super::memory::Memories;
use super::objects::Objects;
use super::watches::Standing;
use super::writes::Writes;
use crate::key::ObjectKey;
use crate::lease::Leadership;
use crate::metrics::Reconciles;
use crate::observe::Observations;

/// What runners are started with.
#[derive(Clone, Debug)]
pub struct RunnerImage {
    /// The image.
    pub image: String,
    /// When the kubelet pulls it.
    pub pull_policy: String,
    /// Secrets of the pipeline's namespace with credentials for it.
    pub pull_secrets: Vec<String>,
}

/// What every look at an object needs.
pub struct Context {
    /// How to reach the API server.
    pub client: Client,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// What runners are started with.
    pub runner: RunnerImage,
    /// Objects of both kinds.
    pub objects: Arc<Objects>,
    /// Their children.
    pub live: Live,
    /// How it stands with the watches.
    pub standing: Standing,
    /// Lag and runners.
    pub observations: Observations,
    /// Where looks are counted.
    pub reconciles: Reconciles,
    /// Where events go.
    pub recorder: Recorder,
    /// What is remembered between looks.
    pub memories: Memories,
}

impl Context {
    /// Writes to one namespace.
    pub fn writes<'a>(&'a self, namespace: &'a str) -> Writes<'a> {
        Writes {
            client: &self.client,
            leadership: &self.leadership,
            namespace,
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.memories.forget(key);
        self.observations.forget(key);
        self.reconciles.forget(key);
    }
}
