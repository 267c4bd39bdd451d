//! The kind `WindowAggregation`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointSpec, DeadLetterSpec, Delivery, EventTimeSpec, Format, LateRecordsSpec, SchemaSpec, SinkSpec, SourceSpec,
    WindowSpec,
};

/// A keyed window over a topic or over a pipeline's output, in short form. It becomes the same plan as a
/// StreamPipeline with an optional filter and one window.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[kube(
    group = "millrace.io",
    version = "v1alpha1",
    kind = "WindowAggregation",
    plural = "windowaggregations",
    shortname = "wagg",
    category = "millrace",
    namespaced,
    doc = "A keyed window over a topic or over a pipeline's output, in short form.",
    printcolumn = r#"{"name":"Topics","type":"string","jsonPath":".spec.source.kafka.topics","priority":1}"#,
    printcolumn = r#"{"name":"Window","type":"string","jsonPath":".spec.window.tumbling.size"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.source.pipeline) || has(self.schema)", "message": "schema is required for a kafka source"},
    {"rule": "!has(self.source.pipeline) || !(has(self.schema) || has(self.key))", "message": "schema and key come from the referenced pipeline"}
]))]
pub struct WindowAggregationSpec {
    /// Where records come from.
    pub source: SourceSpec,
    /// How a record's value is written. Default: `json`.
    #[serde(default)]
    pub format: Format,
    /// The declared fields of a record's value. Required for a Kafka source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSpec>,
    /// Fields that the record key is made of, as in a StreamPipeline. Default: the keys of the window. With a pipeline as
    /// source leave it out: the record key is that pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub key: Option<Vec<String>>,
    /// Which time a record happened at. Default: the Kafka record's timestamp, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// SQL expression of type boolean: only records for which it is true are aggregated. Default: all.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub predicate: Option<String>,
    /// The window, its keys and its aggregates.
    pub window: WindowSpec,
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
    /// Owner of state, group and transactional ids, as in a StreamPipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub state_id: Option<String>,
}
