//! Joins: fields of a table for every record, or pairs with the records of another stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventTimeSpec, PipelineRef, ScalarType, SlidingSpec, Start, TumblingSpec};

/// Joins records with what they have a key in common with: exactly one of `table` and `stream`. With a table each record
/// keeps its fields, its key, its headers and its time, and gets more fields. With a stream, which needs exactly one of
/// `within`, `window` and `ttl`, there is a result for each pair: the fields of `match`, the window if there is one, the
/// other fields of the record, `fields` of the stream; it carries the fields of `match` as record key.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.table) != has(self.stream)", "message": "set exactly one of table and stream"},
    {"rule": "[has(self.within), has(self.window), has(self.ttl)].filter(x, x).size() == (has(self.stream) ? 1 : 0)", "message": "a join with a stream needs exactly one of within, window and ttl, and only such a join has them"},
    {"rule": "!has(self.table) || !has(self.type) || self.type in ['inner', 'left']", "message": "a join with a table is inner or left"},
    {"rule": "!has(self.ttl) || self.ttl != 'none' || !has(self.type) || self.type == 'inner'", "message": "ttl none is for inner joins: rows without a match would never come out"}
]))]
pub struct JoinSpec {
    /// The other side: a table, which is read before the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
    /// The other side: a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSpec>,
    /// Which fields must be equal. With a table one entry for every field of its key, with a stream any. NULL equals
    /// nothing.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    // Not `on`: YAML 1.1, which kubectl and Helm read, takes that for a boolean.
    #[serde(rename = "match")]
    pub on: Vec<JoinOnSpec>,
    /// What happens to records without a match. Default: `inner`. `right` and `outer` are for streams.
    #[serde(rename = "type", default)]
    pub join_type: JoinType,
    /// Pairs whose times are not too far apart. Only with a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<WithinSpec>,
    /// Pairs whose times lie in one window; they come out when it is over. Only with a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<JoinWindowSpec>,
    /// Pairs of which one comes while the other is remembered: until the watermark is so far behind its time. At least
    /// `1ms`; `none` remembers for ever. Only with a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]{1,10}(ms|s|m|h|d)|none)$"))]
    pub ttl: Option<String>,
    /// Fields of the other side to add, in this order. Default: all but those that `match` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub fields: Option<Vec<JoinFieldSpec>>,
}

/// Another stream of the same Kafka cluster. Its record keys mean nothing: its rows change partitions by what `match` names.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.source.pipeline) != has(self.schema)", "message": "a kafka source needs schema; with a pipeline it comes from that pipeline"}
]))]
pub struct StreamSpec {
    /// Name in messages, and of the stream's records in `millrace run --input NAME=PATH`. Unique within the pipeline.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Where its records come from.
    pub source: StreamSourceSpec,
    /// The fields of its records. Required for a Kafka source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<StreamSchemaSpec>,
    /// Which time its records happened at. Default: the Kafka record's timestamp, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
}

/// Where the records of a joined stream come from: exactly one of `kafka` and `pipeline`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.kafka) != has(self.pipeline)", "message": "set exactly one of kafka and pipeline"}
]))]
pub struct StreamSourceSpec {
    /// Topics of the cluster that the pipeline reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<StreamTopicsSpec>,
    /// The output of another StreamPipeline or WindowAggregation in the same namespace and on the same cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineRef>,
}

/// Topics of the cluster that the pipeline reads: one Kafka transaction holds offsets of both sides.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StreamTopicsSpec {
    /// Topics to read. All of them hold records of the same schema. The pipeline reads none of them elsewhere.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$")), extend("x-kubernetes-list-type" = "set"))]
    pub topics: Vec<String>,
    /// Where to start a partition for which the group has no committed offset. Default: `earliest`.
    #[serde(default)]
    pub start: Start,
}

/// The fields of a stream's records. What is not declared is not read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StreamSchemaSpec {
    /// The fields.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<TableFieldSpec>,
}

/// How far apart times may be, both ends included.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WithinSpec {
    /// How much earlier than the record that of the stream may be.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub before: String,
    /// How much later.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub after: String,
}

/// The windows of a join: exactly one of `tumbling` and `sliding`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.tumbling) != has(self.sliding)", "message": "set exactly one of tumbling and sliding"}
]))]
pub struct JoinWindowSpec {
    /// Windows of one size that neither overlap nor leave gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tumbling: Option<TumblingSpec>,
    /// Windows of one size, one of which begins every `slide`: a pair comes out once for each that holds both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding: Option<SlidingSpec>,
}

/// One pair of fields that must be equal. Both have the same type.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JoinOnSpec {
    /// Field of the record.
    #[schemars(length(min = 1, max = 128))]
    pub field: String,
    /// Field of the other side. Default: the one of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub equals: Option<String>,
}

/// What happens to records without a match.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum JoinType {
    /// They are left out.
    #[default]
    Inner,
    /// Those of the pipeline go on with NULL in the added fields.
    Left,
    /// Those of the stream come out with NULL in the fields of the record, but for those of `match`.
    Right,
    /// Both.
    Outer,
}

/// One field of the other side to add.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JoinFieldSpec {
    /// Name on the other side.
    #[schemars(length(min = 1, max = 128))]
    pub field: String,
    /// Name in the output. Default: the same.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub alias: Option<String>,
}

/// A table with a key. It is read whole before the first record, and again when a runner starts again; a row of a file or
/// ConfigMap that does not fit its schema, or a key that stands there twice, keeps the pipeline from starting. At most
/// 64 MiB (a topic: any size) and 1,000,000 rows, which every runner holds in memory.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.file), has(self.configMap), has(self.topic)].filter(x, x).size() == 1", "message": "set exactly one of file, configMap and topic"},
    {"rule": "!has(self.topic) || !has(self.format)", "message": "leave format out: the records of a topic are JSON"},
    {"rule": "(has(self.asOf) && self.asOf == 'eventTime') == has(self.validFrom)", "message": "asOf eventTime needs validFrom, and only asOf eventTime has validFrom"}
]))]
pub struct TableSpec {
    /// Name in messages.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The table is a file that the runner can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTableSpec>,
    /// The table is a key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapTableSpec>,
    /// The table is a topic of the source's cluster, best a compacted one. Runners go on reading it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicTableSpec>,
    /// How rows are written; not for a topic, whose records are JSON. Default: by the end of the file's name or of the ConfigMap's key: `.csv`; `.jsonl` or
    /// `.ndjson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// The fields of a row.
    pub schema: TableSchemaSpec,
    /// Fields that make up the table's key. No two rows have the same key; with `asOf: eventTime` no two have the same key
    /// and the same `validFrom`. Of a topic the last one holds, and the record key is made of these fields, as of `spec.key`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub key: Vec<String>,
    /// Which row of a key a record finds. Default: `latest`.
    #[serde(default)]
    pub as_of: TableAsOf,
    /// Field of type `timestamp` from which on a row holds, until the next row of its key does. Only for
    /// `asOf: eventTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub valid_from: Option<String>,
}

/// A file that the runner can read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FileTableSpec {
    /// Where it is. What does not begin with `/` is looked for beside the manifest by `millrace run`; on a cluster the
    /// path begins with `/` and is one of the runners' image.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A key of a ConfigMap in the namespace of the object. Runners read it as the file `<config-maps-dir>/<name>/<key>`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapTableSpec {
    /// Name of the ConfigMap. A runner reads it when it starts and not again: to change a table, write it under a new name
    /// and name that one here.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within the ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9]$"))]
    pub key: String,
}

/// A topic. Its committed records are read from the oldest to what was the end when the runner started, before the first
/// record of the source, and from then on as they come: a record with a value is a row, which takes the place of the one
/// with its key; one without a value deletes it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TopicTableSpec {
    /// Name of the topic, of the cluster that `spec.source` names. It must exist, and the pipeline does not write it.
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    pub name: String,
}

/// How rows are written, in UTF-8.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum TableFormat {
    /// Comma-separated values (RFC 4180), the first line with the names of the columns. Nothing between two commas is
    /// NULL, `""` is the empty text.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// Which row of a key a record finds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum TableAsOf {
    /// The only one.
    #[default]
    Latest,
    /// The one with the largest `validFrom` that is not after the record's event time.
    EventTime,
}

/// The fields of a table's rows. What is not declared is not read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TableSchemaSpec {
    /// The fields.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<TableFieldSpec>,
}

/// One field of a table's rows or of a stream's records.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'decimal') == has(self.scale)", "message": "type decimal needs scale, and only decimal has scale"},
    {"rule": "self.type == 'decimal' || !has(self.precision)", "message": "only type decimal has precision"}
]))]
pub struct TableFieldSpec {
    /// Name in `key`, `match` and `fields`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Type of the value. A value that does not fit is an error of the table, or makes the record a bad record.
    #[serde(rename = "type")]
    pub field_type: ScalarType,
    /// Where the value stands: the name of the CSV column, or in a JSON object member names from outside to inside,
    /// separated by dots. Default: the field's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
    /// Whether the value may be `null` or missing. Default: false.
    #[serde(default)]
    pub nullable: bool,
    /// Decimal digits in all, 1 to 38. Only for `decimal`; default 38.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 38))]
    pub precision: Option<u8>,
    /// Decimal digits after the point. Only for `decimal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 38))]
    pub scale: Option<u8>,
}
