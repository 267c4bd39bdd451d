//! Plan in, children out. No client, no clock, and it cannot fail.
//!
//! Children stand in the order in which they are applied: pods must find everything that they mount.

mod autoscaler;
mod config_map;
mod deployment;
mod disruption_budget;
#[cfg(test)]
mod golden;
pub mod labels;
pub mod names;
mod service;
mod service_account;
mod volume_claim;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::core::{ApiResource, DynamicObject, Resource};
use millrace_crds::OnStateChange;
use millrace_crds::manifest::Manifest;
use millrace_plan::Plan;
use serde::Serialize;
use serde_json::Value;

pub use volume_claim::SavedState;

use crate::key::ObjectKey;

/// What children are built from.
#[derive(Clone, Copy, Debug)]
pub struct Blueprint<'a> {
    /// Which object.
    pub key: &'a ObjectKey,
    /// The object as the owner of its children.
    pub owner: &'a OwnerReference,
    /// The object.
    pub manifest: &'a Manifest,
    /// Everything that it may refer to.
    pub neighbours: &'a [Manifest],
    /// What was checked.
    pub plan: &'a Plan,
    /// How many runners there should be.
    pub runners: i32,
    /// Partitions of its source, where they are known.
    pub partitions: Option<u32>,
    /// The runners' image.
    pub image: &'a str,
    /// When the kubelet pulls it.
    pub pull_policy: &'a str,
    /// Secrets of its namespace with credentials for the image.
    pub pull_secrets: &'a [String],
}

/// What kind of child. The order is the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChildKind {
    /// Who the runners are: nobody, without any rights.
    ServiceAccount,
    /// The plan.
    ConfigMap,
    /// The checkpoints.
    Claim,
    /// The runners' addresses.
    Service,
    /// How many runners a drain of nodes may stop at once.
    DisruptionBudget,
    /// The runners.
    Deployment,
    /// Who sets the number of runners.
    Autoscaler,
}

impl ChildKind {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Claim,
        Self::Service,
        Self::DisruptionBudget,
        Self::Deployment,
        Self::Autoscaler,
    ];

    /// Where the API server keeps them.
    pub fn resource(self) -> ApiResource {
        use k8s_openapi::api::{apps, autoscaling, core, policy};
        match self {
            Self::ServiceAccount => ApiResource::erase::<core::v1::ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<core::v1::ConfigMap>(&()),
            Self::Claim => ApiResource::erase::<core::v1::PersistentVolumeClaim>(&()),
            Self::Service => ApiResource::erase::<core::v1::Service>(&()),
            Self::DisruptionBudget => ApiResource::erase::<policy::v1::PodDisruptionBudget>(&()),
            Self::Deployment => ApiResource::erase::<apps::v1::Deployment>(&()),
            Self::Autoscaler => ApiResource::erase::<autoscaling::v2::HorizontalPodAutoscaler>(&()),
        }
    }
}

/// One child as it should be.
#[derive(Clone, Debug)]
pub struct Child {
    /// What it is.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
    /// All that we say about it; what is not said is somebody else's.
    pub object: Value,
}

/// All children of an object as they should be.
#[derive(Clone, Debug)]
pub struct Built {
    /// In the order in which they are applied.
    pub children: Vec<Child>,
    /// How many runners there should be.
    pub runners: i32,
    /// Which plan: part of the ConfigMap's name.
    pub plan: String,
    /// Which pod template, plan included.
    pub template: String,
}

/// Everything that should exist for an object.
pub fn build(blueprint: &Blueprint) -> Built {
    let text = config_map::text(blueprint);
    let plan = format!("{:016x}", hash(text.as_bytes()));
    let (deployment, template) = deployment::build(blueprint, &plan);
    let mut children = vec![
        child(ChildKind::ServiceAccount, &service_account::build(blueprint)),
        child(ChildKind::ConfigMap, &config_map::build(blueprint, &plan, text)),
    ];
    children.extend(volume_claim::build(blueprint).map(|claim| child(ChildKind::Claim, &claim)));
    children.push(child(ChildKind::Service, &service::build(blueprint)));
    children.push(child(ChildKind::DisruptionBudget, &disruption_budget::build(blueprint)));
    children.push(child(ChildKind::Deployment, &deployment));
    children.extend(autoscaler::build(blueprint).map(|autoscaler| child(ChildKind::Autoscaler, &autoscaler)));
    Built {
        children,
        runners: blueprint.runners,
        plan,
        template,
    }
}

/// The same, but like the runners that are there where those differ only in that they may lose state that the object does
/// not name any more: what may be lost is asked at a change, and to forbid it is none.
pub fn build_like(deployment: Option<&DynamicObject>, blueprint: &Blueprint) -> Built {
    let built = build(blueprint);
    let template = deployment.and_then(labels::template);
    if template.is_none() || template.as_deref() == Some(&built.template) {
        return built;
    }
    let allowed = deployment.and_then(|it| it.annotations().get(labels::ON_STATE_CHANGE));
    let allowed: Option<OnStateChange> = allowed.and_then(|text| serde_json::from_str(text).ok());
    let Some(allowed) = allowed.filter(|allowed| names_no_other(blueprint.manifest, allowed)) else {
        return built;
    };
    let mut manifest = blueprint.manifest.clone();
    *on_state_change_mut(&mut manifest) = Some(allowed);
    let before = build(&Blueprint {
        manifest: &manifest,
        ..*blueprint
    });
    match template.as_deref() == Some(&before.template) {
        true => before,
        false => built,
    }
}

/// Runners that refuse a checkpoint must be told what it may lose.
fn names_no_other(manifest: &Manifest, allowed: &OnStateChange) -> bool {
    let mut named = on_state_change(manifest).iter().flat_map(|change| &change.drop);
    named.all(|name| allowed.drop.contains(name))
}

fn on_state_change(manifest: &Manifest) -> &Option<OnStateChange> {
    match manifest {
        Manifest::StreamPipeline(object) => &object.spec.on_state_change,
        Manifest::WindowAggregation(object) => &object.spec.on_state_change,
    }
}

fn on_state_change_mut(manifest: &mut Manifest) -> &mut Option<OnStateChange> {
    match manifest {
        Manifest::StreamPipeline(object) => &mut object.spec.on_state_change,
        Manifest::WindowAggregation(object) => &mut object.spec.on_state_change,
    }
}

fn child(kind: ChildKind, object: &(impl Resource + Serialize)) -> Child {
    Child {
        kind,
        name: object.meta().name.clone().unwrap_or_default(),
        object: serde_json::to_value(object).expect("a Kubernetes type is plain data"),
    }
}

/// What every child that goes with its object begins with.
fn metadata(blueprint: &Blueprint, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(blueprint.key.namespace.clone()),
        labels: Some(labels::labels(blueprint.key)),
        annotations: Some(labels::annotations(blueprint.key)),
        owner_references: Some(vec![blueprint.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// FNV-1a: the same in every version and on every machine, which is all that names need.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
