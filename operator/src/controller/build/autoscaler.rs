//! The autoscaler, where `spec.scaling` asks for one. It scales our object, not the Deployment: the Deployment has one
//! writer, who drains before anything else.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use millrace_plan::{Scaling, ScalingTarget};

use super::{Blueprint, labels, metadata, names};
use crate::controller::scale;

pub(super) fn build(blueprint: &Blueprint) -> Option<HorizontalPodAutoscaler> {
    let workload = &blueprint.plan.workload;
    // Without runners the autoscaler would divide by zero, and ask for as many as it may.
    let scaling = workload.scaling.as_ref().filter(|_| !workload.suspended)?;
    let most = |runners| i32::from(scale::at_most(runners, blueprint.partitions));
    Some(HorizontalPodAutoscaler {
        metadata: metadata(blueprint, names::runners(&blueprint.key.name)),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(blueprint.owner.api_version.clone()),
                kind: blueprint.key.kind.to_owned(),
                name: blueprint.key.name.clone(),
            },
            min_replicas: Some(most(scaling.min)),
            max_replicas: most(scaling.max),
            metrics: Some(vec![metric(blueprint, scaling)]),
            behavior: Some(behavior(scaling)),
        }),
        ..HorizontalPodAutoscaler::default()
    })
}

/// Up at once, because a lag that is above the target only grows; down when fewer were enough for long.
fn behavior(scaling: &Scaling) -> HorizontalPodAutoscalerBehavior {
    let after = |seconds: u64| HPAScalingRules {
        stabilization_window_seconds: i32::try_from(seconds).ok(),
        ..HPAScalingRules::default()
    };
    HorizontalPodAutoscalerBehavior {
        scale_up: Some(after(0)),
        scale_down: Some(after(scaling.scale_down_after.as_secs())),
    }
}

fn metric(blueprint: &Blueprint, scaling: &Scaling) -> MetricSpec {
    let (name, target) = match scaling.target {
        ScalingTarget::LagRecords(records) => (
            "millrace_lag_records",
            MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(records.to_string())),
                ..MetricTarget::default()
            },
        ),
        ScalingTarget::LagSeconds(seconds) => (
            "millrace_lag_seconds",
            MetricTarget {
                type_: "Value".to_owned(),
                value: Some(Quantity(seconds.to_string())),
                ..MetricTarget::default()
            },
        ),
    };
    let selector = [(labels::KIND, blueprint.key.kind), (labels::NAME, &blueprint.key.name)];
    MetricSpec {
        type_: "External".to_owned(),
        external: Some(ExternalMetricSource {
            metric: MetricIdentifier {
                name: name.to_owned(),
                selector: Some(LabelSelector {
                    match_labels: Some(selector.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                    ..LabelSelector::default()
                }),
            },
            target,
        }),
        ..MetricSpec::default()
    }
}
