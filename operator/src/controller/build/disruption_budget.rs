//! How many runners may be stopped at once when nodes are emptied: one. Each stop moves partitions, and moving them one
//! runner at a time keeps the others at work.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Blueprint, labels, metadata, names};

pub(super) fn build(blueprint: &Blueprint) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(blueprint, names::runners(&blueprint.key.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(blueprint.key)),
                ..LabelSelector::default()
            }),
            // A runner that is not ready must not keep a node from being emptied.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
