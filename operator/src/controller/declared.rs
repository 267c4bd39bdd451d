//! One object of either kind as the API server has it. A broken object is still an object: it gets a status that says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::core::{ApiResource, DynamicObject, Resource};
use millrace_crds::manifest::Manifest;
use millrace_crds::{GROUP, PipelineStatus, StreamPipeline, VERSION, WindowAggregation};

use crate::key::ObjectKey;

/// Both kinds, as they are written in YAML.
pub const KINDS: [&str; 2] = ["StreamPipeline", "WindowAggregation"];

/// Where the API server keeps objects of `kind`.
pub fn resource(kind: &str) -> ApiResource {
    match kind {
        "WindowAggregation" => ApiResource::erase::<WindowAggregation>(&()),
        _ => ApiResource::erase::<StreamPipeline>(&()),
    }
}

/// The `kind` of [`KINDS`] that is spelled like this.
pub fn known_kind(kind: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| *known == kind)
}

/// One object of either kind.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`: a new one for every change of the spec.
    pub generation: i64,
    /// Whether it is on its way out: nothing is created for it any more.
    pub being_deleted: bool,
    /// Whether it is to be stopped: readable even where the rest of the spec is not.
    pub suspended: bool,
    /// The object, or why it is none.
    pub manifest: Result<Manifest, String>,
    /// Its status as last seen.
    pub status: Option<PipelineStatus>,
}

impl Declared {
    /// Reads what a watch brought. `kind` is what was watched.
    pub fn read(kind: &'static str, object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned();
        let suspended = object.data.pointer("/spec/suspend").and_then(|flag| flag.as_bool());
        Self {
            key: ObjectKey {
                kind,
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
            },
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            being_deleted: object.metadata.deletion_timestamp.is_some(),
            suspended: suspended.unwrap_or_default(),
            manifest: manifest(kind, object),
            status: status.and_then(|status| serde_json::from_value(status).ok()),
        }
    }

    /// What makes a child go when this object goes.
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.key.kind.to_owned(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }

    /// Names of the pipelines whose output it reads.
    pub fn reads(&self) -> Vec<&str> {
        self.manifest.as_ref().map(Manifest::reads).unwrap_or_default()
    }

    /// The state id that it was given.
    pub fn state_id(&self) -> Option<&str> {
        match self.manifest.as_ref().ok()? {
            Manifest::StreamPipeline(object) => object.spec.state_id.as_deref(),
            Manifest::WindowAggregation(object) => object.spec.state_id.as_deref(),
        }
    }

    /// How an event names it.
    pub fn object_reference(&self) -> k8s_openapi::api::core::v1::ObjectReference {
        k8s_openapi::api::core::v1::ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(self.key.kind.to_owned()),
            name: Some(self.key.name.clone()),
            namespace: Some(self.key.namespace.clone()),
            uid: Some(self.uid.clone()),
            ..Default::default()
        }
    }
}

/// Without managed fields and status: they are long, and nobody asks a manifest for them.
fn manifest(kind: &str, object: &DynamicObject) -> Result<Manifest, String> {
    let mut object = object.clone();
    object.meta_mut().managed_fields = None;
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    let parsed = match kind {
        "WindowAggregation" => object
            .try_parse::<WindowAggregation>()
            .map(|object| Manifest::WindowAggregation(Box::new(object))),
        _ => object
            .try_parse::<StreamPipeline>()
            .map(|object| Manifest::StreamPipeline(Box::new(object))),
    };
    parsed.map_err(|error| format!("the object cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline",
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 3},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn an_object_that_cannot_be_read_is_still_an_object() {
        let declared = Declared::read("StreamPipeline", &object(json!({"suspend": true, "source": 7})));
        assert_eq!((declared.key.name.as_str(), declared.generation), ("p", 3));
        assert!(declared.suspended);
        assert!(declared.manifest.is_err());
    }

    #[test]
    fn what_it_reads_is_known() {
        let spec = json!({"source": {"pipeline": {"name": "up"}}, "sinks": []});
        assert_eq!(Declared::read("StreamPipeline", &object(spec)).reads(), ["up"]);
    }
}
