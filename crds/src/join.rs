//! Joins: fields of a table for every record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ScalarType;

/// Adds fields of what a record has a key in common with: `table`. The record keeps its fields, its key, its headers and
/// its time.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.table)", "message": "set table"}
]))]
pub struct JoinSpec {
    /// The other side: a table, which is read once before the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
    /// Which fields must be equal: one entry for every field of the table's key. NULL equals nothing.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    // Not `on`: YAML 1.1, which kubectl and Helm read, takes that for a boolean.
    #[serde(rename = "match")]
    pub on: Vec<JoinOnSpec>,
    /// What happens to a record without a match. Default: `inner`.
    #[serde(rename = "type", default)]
    pub join_type: JoinType,
    /// Fields of the other side to add, in this order. Default: all but its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub fields: Option<Vec<JoinFieldSpec>>,
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

/// What happens to a record without a match.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum JoinType {
    /// It is left out.
    #[default]
    Inner,
    /// It goes on with NULL in the added fields.
    Left,
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

/// A table with a key. It is read whole before the first record, and again when a runner starts again; a row that does
/// not fit its schema, or a key that stands there twice, keeps the pipeline from starting. At most 64 MiB and
/// 1,000,000 rows, which every runner holds in memory.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.file) != has(self.configMap)", "message": "set exactly one of file and configMap"},
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
    /// How rows are written. Default: by the end of the file's name or of the ConfigMap's key: `.csv`; `.jsonl` or
    /// `.ndjson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// The fields of a row.
    pub schema: TableSchemaSpec,
    /// Fields that make up the table's key. No two rows have the same key; with `asOf: eventTime` no two have the same key
    /// and the same `validFrom`.
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

/// One field of a table's rows.
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
    /// Type of the value. A value that does not fit is an error of the table.
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
