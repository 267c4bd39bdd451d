//! The kind `WindowAggregation`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointSpec, DeadLetterSpec, Delivery, EventTimeSpec, Format, LateRecordsSpec, OnStateChange, PipelineStatus,
    ResourcesSpec, ScalingSpec, SchemaSpec, SinkSpec, SourceSpec, WindowSpec,
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
    printcolumn = r#"{"name":"Topics","type":"string","jsonPath":".spec.source.kafka.topics","priority":1}"#,
    printcolumn = r#"{"name":"Tumbling","type":"string","jsonPath":".spec.window.tumbling.size","priority":1}"#,
    printcolumn = r#"{"name":"Sliding","type":"string","jsonPath":".spec.window.sliding.size","priority":1}"#,
    printcolumn = r#"{"name":"Session","type":"string","jsonPath":".spec.window.session.gap","priority":1}"#
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
