//! The plan as the runners read it: the object itself first, then those whose output it reads. What only concerns the
//! cluster is left out, so that scaling or suspending is not another plan.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use millrace_crds::manifest::Manifest;
use serde_json::{Map, Value, json};

use super::{Blueprint, metadata, names};

/// Key in the ConfigMap, and name of the file that runners read.
pub(super) const FILE: &str = "plan.yaml";

/// Immutable: another plan is another ConfigMap, so that a runner that starts late never reads a plan that is not its own.
pub(super) fn build(blueprint: &Blueprint, plan: &str, text: String) -> ConfigMap {
    ConfigMap {
        metadata: metadata(blueprint, names::plan(&blueprint.key.name, plan)),
        data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// The YAML documents.
pub(super) fn text(blueprint: &Blueprint) -> String {
    let (mut documents, mut followed) = (vec![blueprint.manifest], 0);
    while let Some(reader) = documents.get(followed) {
        for name in reader.reads() {
            let next = blueprint.neighbours.iter().find(|neighbour| neighbour.name() == name);
            documents.extend(next.filter(|next| !documents.iter().any(|document| same(document, next))));
        }
        followed += 1;
    }
    let yaml = documents.into_iter().enumerate().map(|(place, document)| {
        // What may be lost of somebody else's state is nothing to a reader of the results.
        let others = (place > 0).then_some("onStateChange");
        yaml_serde::to_string(&stripped(document, others)).expect("an object of ours is plain data")
    });
    yaml.collect::<Vec<_>>().join("---\n")
}

fn same(one: &Manifest, other: &Manifest) -> bool {
    (one.kind(), one.name()) == (other.kind(), other.name())
}

fn stripped(manifest: &Manifest, besides: Option<&str>) -> Value {
    let spec = match manifest {
        Manifest::StreamPipeline(object) => serde_json::to_value(&object.spec),
        Manifest::WindowAggregation(object) => serde_json::to_value(&object.spec),
    };
    let mut spec = spec.expect("a spec is plain data");
    let fields = spec.as_object_mut().expect("a spec is a struct");
    for left_out in ["replicas", "scaling", "resources", "suspend"]
        .into_iter()
        .chain(besides)
    {
        fields.shift_remove(left_out);
    }
    if let Some(checkpoint) = fields.get_mut("checkpoint").and_then(Value::as_object_mut) {
        checkpoint.shift_remove("storage");
        if checkpoint.is_empty() {
            fields.shift_remove("checkpoint");
        }
    }
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(manifest.name()));
    metadata.insert("namespace".to_owned(), json!(manifest.namespace()));
    metadata.extend(manifest.uid().map(|uid| ("uid".to_owned(), json!(uid))));
    json!({
        "apiVersion": format!("{}/{}", millrace_crds::GROUP, millrace_crds::VERSION),
        "kind": manifest.kind(),
        "metadata": metadata,
        "spec": spec,
    })
}
