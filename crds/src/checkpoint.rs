//! How often work is made permanent, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often work is made permanent, where, and how much of the past is kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSpec {
    /// Time between commits, `10ms` to `10m`: state, results and offsets become permanent together, and readers of
    /// committed records see results this much later. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub interval: Option<String>,
    /// Checkpoint files to keep per partition, the newest included, 2 to 100. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 100))]
    pub retain: Option<u16>,
    /// The volume claim that holds the checkpoints. Left out: a claim with the defaults. A pipeline that remembers
    /// nothing between records (only filters, maps and flatMaps) gets no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
}

/// The PersistentVolumeClaim `<name of the object>-state`, which all runners of the pipeline share.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)", "message": "className cannot be changed: a claim keeps its class"},
    {"rule": "self.accessMode == oldSelf.accessMode", "message": "accessMode cannot be changed: a claim keeps its access modes"}
]))]
pub struct StorageSpec {
    /// How much to claim, such as `10Gi`. May grow where the class allows expansion; never shrinks. Default: `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,11}(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub size: Option<String>,
    /// StorageClass of the claim. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub class_name: Option<String>,
    /// Which nodes may use the claim at once. Default: `ReadWriteMany`.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// What becomes of the claim when the object is deleted. Default: `Retain`.
    #[serde(default)]
    pub reclaim: Reclaim,
}

/// Which nodes may use the claim at once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AccessMode {
    /// All nodes: runners may run anywhere.
    #[default]
    ReadWriteMany,
    /// One node: all runners of the pipeline are placed on the same node.
    ReadWriteOnce,
}

/// What becomes of the claim when the object is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Reclaim {
    /// It stays, with all state. An object with the same `stateId` goes on from it.
    #[default]
    Retain,
    /// It is deleted with the object.
    Delete,
}

/// What happens to a record's effects when something breaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// Every input record affects state and committed results exactly once.
    #[default]
    ExactlyOnce,
}

/// What may happen to state that a changed spec has no use for. Without it such a change is refused and the pipeline
/// goes on as it was.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OnStateChange {
    /// Names of operators whose state may be thrown away: operators that were removed, or that now group, aggregate or
    /// window differently. Take the names out again after the change; state is never thrown away for any other operator.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub drop: Vec<String>,
}
