//! The kind `StreamPipeline`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointSpec, DeadLetterSpec, Delivery, EventTimeSpec, Format, LateRecordsSpec, OnStateChange, OperatorSpec,
    PipelineStatus, ResourcesSpec, ScalingSpec, SchemaSpec, SinkSpec, SourceSpec,
};

/// A stream function: records of a source go through operators, one after the other, to sinks. Each record affects
/// state and committed results exactly once.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[kube(
    group = "millrace.io",
    version = "v1alpha1",
    kind = "StreamPipeline",
    plural = "streampipelines",
    shortname = "spl",
    category = "millrace",
    namespaced,
    doc = "A stream function: records of a source go through operators, one after the other, to sinks.",
    status = "PipelineStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Lag","type":"integer","jsonPath":".status.lag.records"}"#,
    printcolumn = r#"{"name":"In/s","type":"integer","jsonPath":".status.throughput.inPerSecond"}"#,
    printcolumn = r#"{"name":"Out/s","type":"integer","jsonPath":".status.throughput.outPerSecond"}"#,
    printcolumn = r#"{"name":"Checkpoint","type":"date","jsonPath":".status.checkpoint.completedAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason","priority":1}"#,
    printcolumn = r#"{"name":"Topics","type":"string","jsonPath":".spec.source.kafka.topics","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.source.pipeline) || has(self.schema)", "message": "schema is required for a kafka source"},
    {"rule": "!has(self.source.pipeline) || !(has(self.schema) || has(self.key))", "message": "schema and key come from the referenced pipeline"}
]))]
pub struct StreamPipelineSpec {
    /// Where records come from.
    pub source: SourceSpec,
    /// How a record's value is written. Default: `json`.
    #[serde(default)]
    pub format: Format,
    /// The declared fields of a record's value. Required for a Kafka source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSpec>,
    /// Fields that the record key is made of: the key is the bare string of a single string field, else the JSON text of
    /// the value, or of an object of several. A record whose key differs is a bad record. A step with
    /// these among its `keys` needs no internal topic. Left out: keys are passed on and mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub key: Option<Vec<String>>,
    /// Which time a record happened at. Default: the Kafka record's timestamp, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// The steps, in order. Without any, records are copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = [
        {"rule": "self.all(a, self.exists_one(b, b.name == a.name))", "message": "names of operators must be unique"}
    ]))]
    pub operators: Vec<OperatorSpec>,
    /// Where results go.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sinks: Vec<SinkSpec>,
    /// Where bad records go. Default: the topic `<name of the object>-dead-letters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterSpec>,
    /// Where records go that come after their window is closed for good. Default: they are dropped and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_records: Option<LateRecordsSpec>,
    /// How often work is made permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointSpec>,
    /// What happens to a record's effects when something breaks. Default: `exactlyOnce`.
    #[serde(default)]
    pub delivery: Delivery,
    /// Owner of state, group and transactional ids. Default: the object's uid; in local runs namespace and name.
    /// Another pipeline's id must never be used while that pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub state_id: Option<String>,
    /// What may happen to state that a changed spec has no use for. Default: such a change is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_state_change: Option<OnStateChange>,
    /// How many runners there are, 0 to 1000, but never more than the source has partitions. With `scaling` the
    /// autoscaler sets it. Manifests leave it out, so that applying one again does not undo `kubectl scale`. Default: 1.
    #[serde(default = "crate::scaling::one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u16,
    /// Lets an autoscaler set `replicas` by the lag. Default: it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    /// What a runner asks for and may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,
    /// Stops the pipeline: runners commit and end, everything else stays. Default: false.
    #[serde(default, skip_serializing_if = "crate::scaling::is_false")]
    pub suspend: bool,
}
