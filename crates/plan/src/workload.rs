//! How a pipeline stands on a cluster, checked: what the controller builds from and a runner never asks for.

use std::time::Duration;

/// CPU and memory that are set aside where the spec says nothing.
pub(crate) const DEFAULT_REQUESTS: (&str, &str) = ("100m", "128Mi");
/// Memory that a runner may use where the spec says nothing.
pub(crate) const DEFAULT_MEMORY_LIMIT: &str = "1Gi";
/// Size of a claim where the spec says nothing.
pub(crate) const DEFAULT_SIZE: &str = "1Gi";

/// Runners, what they may use, and where their checkpoints are.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Runners asked for; the controller never starts more than there are partitions.
    pub replicas: u16,
    /// None: `replicas` stays as it is.
    pub scaling: Option<Scaling>,
    /// What is set aside for a runner.
    pub requests: Resources,
    /// What a runner may use at most.
    pub limits: Resources,
    /// The claim for checkpoints. None: nothing is remembered between records, so no claim is needed.
    pub storage: Option<Storage>,
    /// Whether the pipeline is stopped on request.
    pub suspended: bool,
}

/// An autoscaler's limits and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// At least 1.
    pub min: u16,
    /// Not below `min`.
    pub max: u16,
    /// The lag to scale for.
    pub target: ScalingTarget,
    /// How long fewer runners must have been enough before there are fewer.
    pub scale_down_after: Duration,
}

/// The lag to scale for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingTarget {
    /// Records behind, for each runner.
    LagRecords(i64),
    /// Seconds behind, for the whole pipeline.
    LagSeconds(i64),
}

/// Kubernetes quantities; None: not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Cores.
    pub cpu: Option<String>,
    /// Bytes.
    pub memory: Option<String>,
}

/// A claim that all runners of a pipeline share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// A Kubernetes quantity.
    pub size: String,
    /// None: the cluster's default class.
    pub class_name: Option<String>,
    /// Whether only one node may use it at a time, so that all runners must be on one.
    pub one_node: bool,
    /// Whether it is deleted with the object.
    pub delete_with_object: bool,
}
