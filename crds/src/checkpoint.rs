//! How often work is made permanent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often work is made permanent and how much of the past is kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSpec {
    /// Time between commits, `10ms` to `10m`: state, results and offsets become permanent together, and readers of
    /// committed records see results this much later. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub interval: Option<String>,
    /// Checkpoint files to keep per partition, the newest included, 2 to 100. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 100))]
    pub retain: Option<u16>,
}

/// What happens to a record's effects when something breaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// Every input record affects state and committed results exactly once.
    #[default]
    ExactlyOnce,
}
