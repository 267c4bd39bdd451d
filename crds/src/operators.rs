//! What happens to the records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AggregateSpec, DeduplicateSpec, JoinSpec, PreviousSpec, TtlSpec, WindowSpec};

/// One step. Exactly one of `filter`, `map`, `flatMap`, `groupBy`, `window`, `join`, `deduplicate` and
/// `previous`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.filter), has(self.map), has(self.flatMap), has(self.groupBy), has(self.window), has(self.join), has(self.deduplicate), has(self.previous)].filter(x, x).size() == 1", "message": "set exactly one of filter, map, flatMap, groupBy, window, join, deduplicate and previous"}
]))]
pub struct OperatorSpec {
    /// Name within the pipeline: label in metrics, stage in dead letters, owner of the step's state. A step that keeps
    /// its name and kind keeps its state when the spec changes.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Passes the records for which an expression is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterSpec>,
    /// Computes, renames, keeps and drops fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapSpec>,
    /// Makes any number of records out of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_map: Option<FlatMapSpec>,
    /// Keeps running aggregates a key and emits an update for every record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<GroupBySpec>,
    /// Aggregates a key and a window of event time, and emits when the window is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
    /// Adds fields of what a record has a key in common with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<JoinSpec>,
    /// Passes one record of those that have a key in common within a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<DeduplicateSpec>,
    /// Adds to every record values of the record of the same key that came before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSpec>,
}

/// Passes the records for which `where` is true; false and NULL drop the record. What passes keeps its bytes, key,
/// headers and timestamp.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FilterSpec {
    /// SQL expression of type boolean over the fields.
    #[serde(rename = "where")]
    #[schemars(length(min = 1, max = 4096))]
    pub predicate: String,
}

/// Writes a new JSON object: the fields that stay, in their order and under their new names, then those of `set`.
/// Undeclared members of the input end here. Without `keep` and `drop` every declared field stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.keep) && has(self.drop))", "message": "keep and drop exclude each other"}
]))]
pub struct MapSpec {
    /// Fields to compute. All expressions see the input of the step, not each other. A name that the input has already
    /// is replaced where it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub set: Vec<SetSpec>,
    /// Fields that stay under another name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["from"]))]
    pub rename: Vec<RenameSpec>,
    /// Input fields that stay, in this order; all others go. A renamed field stays without standing here, after
    /// those that do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub keep: Option<Vec<String>>,
    /// Input fields that go; all others stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub drop: Option<Vec<String>>,
}

/// One computed field.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SetSpec {
    /// Name of the result.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub field: String,
    /// SQL expression over the input fields.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

/// One field that stays under another name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RenameSpec {
    /// Name in the input.
    #[schemars(length(min = 1, max = 128))]
    pub from: String,
    /// Name in the output.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub to: String,
}

/// Makes any number of records out of one: exactly one of `explode` and `outputs`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.explode) != has(self.outputs)", "message": "set exactly one of explode and outputs"}
]))]
pub struct FlatMapSpec {
    /// One record for every item of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explode: Option<ExplodeSpec>,
    /// One record for every entry whose `where` holds, in this order. All entries produce the same fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub outputs: Option<Vec<FlatMapOutputSpec>>,
}

/// One record for every item of an array. The array's field is replaced: by the item, or by the fields of an item that
/// is an object. An empty or missing array makes no record.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExplodeSpec {
    /// The field of type `array`.
    #[schemars(length(min = 1, max = 128))]
    pub field: String,
    /// Name of the item in the output; for objects the prefix of its fields (`as_field`). Default for scalars: the
    /// array's name; for objects: no prefix.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub alias: Option<String>,
    /// Name of a field that receives the item's position, from 0. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub position: Option<String>,
}

/// One of several outputs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FlatMapOutputSpec {
    /// SQL expression of type boolean: whether this output is made. Default: always.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub predicate: Option<String>,
    /// Fields of the output, in this order.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub set: Vec<SetSpec>,
}

/// Keeps running aggregates a key and emits the key's row after every record. Results carry the group key as record key.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GroupBySpec {
    /// Fields that make up the group key. Where they do not include the fields of the record key (`spec.key`), rows
    /// change partitions through an internal topic.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub keys: Vec<String>,
    /// What to compute.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub aggregates: Vec<AggregateSpec>,
    /// How long a group is kept after its last record. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TtlSpec>,
}
