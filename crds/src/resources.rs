//! What a runner may use.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// What a runner's container asks for and may use. CPU is best left without a limit: a throttled runner falls behind.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesSpec {
    /// What is set aside for each runner. Default: `cpu: 100m`, `memory: 128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What a runner may use at most. Default: `memory: 1Gi`, CPU without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory, as Kubernetes quantities.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Cores, such as `500m` or `2`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text_or_number"
    )]
    #[schemars(schema_with = "cpu")]
    pub cpu: Option<String>,
    /// Bytes, such as `512Mi` or `2Gi`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text_or_number"
    )]
    #[schemars(schema_with = "memory")]
    pub memory: Option<String>,
}

/// A quantity without a unit may be written without quotes, as in a pod.
fn quantity(pattern: &str, most: u64) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 20,
        "pattern": pattern,
        "minimum": 0,
        "maximum": most,
    })
}

fn cpu(_: &mut SchemaGenerator) -> Schema {
    quantity(r"^([0-9]{1,6}m|[0-9]{1,4}(\.[0-9]{1,3})?)$", 9_999)
}

fn memory(_: &mut SchemaGenerator) -> Schema {
    quantity(r"^[0-9]{1,12}(Ki|Mi|Gi|Ti|k|M|G|T)?$", 999_999_999_999)
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Quantity {
        Text(String),
        Number(u64),
    }
    let quantity = Option::<Quantity>::deserialize(deserializer)?;
    Ok(quantity.map(|quantity| match quantity {
        Quantity::Text(text) => text,
        Quantity::Number(number) => number.to_string(),
    }))
}
