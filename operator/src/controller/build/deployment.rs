//! The runners.

mod pod;
mod volumes;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Blueprint, hash, labels, metadata, names, on_state_change};

/// Name of the port with probes, metrics and the runner's report.
pub(super) const ADMIN: &str = "admin";
/// That port.
pub(super) const ADMIN_PORT: i32 = 9464;

/// The Deployment, and which pod template it has.
pub(super) fn build(blueprint: &Blueprint, plan: &str) -> (Deployment, String) {
    let (template, id) = template(blueprint, plan);
    let mut metadata = metadata(blueprint, names::runners(&blueprint.key.name));
    metadata.annotations.get_or_insert_default().extend(allowed(blueprint));
    let deployment = Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(blueprint.runners),
            revision_history_limit: Some(1),
            selector: LabelSelector {
                match_labels: Some(labels::selector(blueprint.key)),
                ..LabelSelector::default()
            },
            strategy: Some(one_by_one()),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    (deployment, id)
}

/// What the plan allows to be lost, for [`super::build_like`].
fn allowed(blueprint: &Blueprint) -> Option<(String, String)> {
    let allowed = on_state_change(blueprint.manifest).as_ref()?;
    let text = serde_json::to_string(allowed).expect("a spec is plain data");
    Some((labels::ON_STATE_CHANGE.to_owned(), text))
}

/// For whoever restarts the runners by hand; we ourselves change the template only when no runner is left.
fn one_by_one() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(0)),
            max_unavailable: Some(IntOrString::Int(1)),
        }),
    }
}

/// The pod template, labelled with a hash of everything in it.
fn template(blueprint: &Blueprint, plan: &str) -> (PodTemplateSpec, String) {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::labels(blueprint.key)),
            annotations: Some(labels::annotations(blueprint.key)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod::build(blueprint, plan)),
    };
    let text = serde_json::to_string(&template).expect("a Kubernetes type is plain data");
    let id = format!("{:016x}", hash(text.as_bytes()));
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(labels::TEMPLATE.to_owned(), id.clone());
    (template, id)
}
