//! The kind `StreamPipeline`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointSpec, DeadLetterSpec, Delivery, EventTimeSpec, Format, LateRecordsSpec, OperatorSpec, SchemaSpec,
    SinkSpec, SourceSpec,
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
    printcolumn = r#"{"name":"Topics","type":"string","jsonPath":".spec.source.kafka.topics","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
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
    /// the value, or of an object of several. A record whose key differs is a bad record. Needed for `groupBy` and
    /// `window`; without it keys are passed on and mean nothing.
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
}
