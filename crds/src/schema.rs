//! The fields that expressions may name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The declared fields of a record's value. What is not declared cannot be named in expressions; a filter still passes
/// it through untouched.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaSpec {
    /// The fields, in the order in which results write them.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<FieldSpec>,
}

/// One declared field.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'array') == has(self.items)", "message": "type array needs items, and only array has items"},
    {"rule": "(self.type == 'decimal') == has(self.scale)", "message": "type decimal needs scale, and only decimal has scale"},
    {"rule": "self.type == 'decimal' || !has(self.precision)", "message": "only type decimal has precision"}
]))]
pub struct FieldSpec {
    /// Name in expressions and in results.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Type of the value. A value that does not fit makes the record a bad record.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Where the value stands in the JSON object: member names from outside to inside, separated by dots
    /// (`payment.amount`). Default: the field's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
    /// Whether the value may be `null` or missing. Default: false, then such a record is a bad record.
    #[serde(default)]
    pub nullable: bool,
    /// Decimal digits in all, 1 to 38. Only for `decimal`; default 38.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 38))]
    pub precision: Option<u8>,
    /// Decimal digits after the point, 0 to 38 and at most `precision`. Only for `decimal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 38))]
    pub scale: Option<u8>,
    /// What an array holds. Only for `array`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemsSpec>,
}

/// Type of a field.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum FieldType {
    /// `true` or `false`.
    Boolean,
    /// Whole number from -2^63 to 2^63 - 1.
    Int64,
    /// Number as IEEE 754 double.
    Float64,
    /// Exact decimal number, written as a JSON number or as a string. See `precision` and `scale`.
    Decimal,
    /// Text.
    String,
    /// Instant: whole milliseconds since 1970-01-01T00:00:00Z, or an RFC 3339 string. Results write milliseconds.
    Timestamp,
    /// List of `items`, for `flatMap.explode`.
    Array,
}

/// What an array holds.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'object') == has(self.fields)", "message": "type object needs fields, and only object has fields"},
    {"rule": "(self.type == 'decimal') == has(self.scale)", "message": "type decimal needs scale, and only decimal has scale"},
    {"rule": "self.type == 'decimal' || !has(self.precision)", "message": "only type decimal has precision"}
]))]
pub struct ItemsSpec {
    /// Type of every item.
    #[serde(rename = "type")]
    pub item_type: ItemType,
    /// Whether an item may be `null`. Default: false.
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
    /// Fields of an item of type `object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Option<Vec<ItemFieldSpec>>,
}

/// One field of an array's objects.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'decimal') == has(self.scale)", "message": "type decimal needs scale, and only decimal has scale"},
    {"rule": "self.type == 'decimal' || !has(self.precision)", "message": "only type decimal has precision"}
]))]
pub struct ItemFieldSpec {
    /// Name of the member and, after `explode`, of the field.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Type of the value.
    #[serde(rename = "type")]
    pub field_type: ScalarType,
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

/// Type of an array's items.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ItemType {
    /// `true` or `false`.
    Boolean,
    /// Whole number from -2^63 to 2^63 - 1.
    Int64,
    /// Number as IEEE 754 double.
    Float64,
    /// Exact decimal number.
    Decimal,
    /// Text.
    String,
    /// Instant, as for fields.
    Timestamp,
    /// JSON object with the given `fields`.
    Object,
}

/// Type of a value that is neither list nor object.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ScalarType {
    /// `true` or `false`.
    Boolean,
    /// Whole number from -2^63 to 2^63 - 1.
    Int64,
    /// Number as IEEE 754 double.
    Float64,
    /// Exact decimal number.
    Decimal,
    /// Text.
    String,
    /// Instant, as for fields.
    Timestamp,
}
