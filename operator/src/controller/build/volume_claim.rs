//! The claim that holds the checkpoints, and on it what its runners remember. It outlives the object unless told
//! otherwise, and its annotation with it.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use millrace_plan::{OperatorState, Plan};
use serde::{Deserialize, Serialize};

use super::{Blueprint, labels, metadata, names};

/// The annotation `millrace.io/state`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SavedState {
    /// Whose state.
    pub state_id: String,
    /// What the runners that used the claim last remember.
    pub states: Vec<Remembered>,
}

/// One operator's part.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Remembered {
    operator: String,
    kind: String,
    shape: Vec<String>,
}

impl SavedState {
    /// What runners of `plan` remember.
    pub fn of(plan: &Plan) -> Self {
        let remembered = |state: OperatorState| Remembered {
            operator: state.operator,
            kind: state.kind,
            shape: state.shape,
        };
        Self {
            state_id: plan.state_id.as_str().to_owned(),
            states: plan.states().into_iter().map(remembered).collect(),
        }
    }

    /// As `plan` wants to compare it.
    pub fn operator_states(&self) -> Vec<OperatorState> {
        let state = |remembered: &Remembered| OperatorState {
            operator: remembered.operator.clone(),
            kind: remembered.kind.clone(),
            shape: remembered.shape.clone(),
        };
        self.states.iter().map(state).collect()
    }

    /// The annotation's text.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).expect("texts are plain data")
    }
}

pub(super) fn build(blueprint: &Blueprint) -> Option<PersistentVolumeClaim> {
    let storage = blueprint.plan.workload.storage.as_ref()?;
    let mut metadata = metadata(blueprint, names::claim(&blueprint.key.name));
    if !storage.delete_with_object {
        metadata.owner_references = None;
    }
    let state = SavedState::of(blueprint.plan).to_annotation();
    metadata
        .annotations
        .get_or_insert_default()
        .insert(labels::STATE.to_owned(), state);
    let access_mode = if storage.one_node {
        "ReadWriteOnce"
    } else {
        "ReadWriteMany"
    };
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode.to_owned()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(storage.size.clone()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}
