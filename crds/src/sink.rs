//! Where results, bad records and late records go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place for results. Every result goes to every sink.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SinkSpec {
    /// Name within the pipeline.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A topic of the source's Kafka cluster, written in the transaction that commits the source's offsets.
    pub kafka: TopicSpec,
}

/// Where bad records go: undecodable ones, ones that do not fit the schema or the record key, and ones on which an
/// expression fails. They keep key, value and headers, and get headers `millrace.error`, `millrace.reason`,
/// `millrace.operator`, `millrace.topic`, `millrace.partition`, `millrace.offset` and `millrace.timestamp`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSpec {
    /// A topic of the source's Kafka cluster, written in the same transaction as the results.
    pub kafka: TopicSpec,
}

/// Where records go that come after their window is closed for good, with the headers of dead letters.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LateRecordsSpec {
    /// A topic of the source's Kafka cluster, written in the same transaction as the results.
    pub kafka: TopicSpec,
}

/// A topic that Millrace writes, and creates where it does not exist.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.create) || self.create || !(has(self.partitions) || has(self.replicationFactor) || has(self.retention))", "message": "partitions, replicationFactor and retention are for topics that are created"}
]))]
pub struct TopicSpec {
    /// Name of the topic.
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    pub topic: String,
    /// Whether to create the topic where it does not exist. Default: true. A topic that exists is never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// Partitions of a created topic. Default: as many as the first source topic has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: Option<u16>,
    /// Replicas of a created topic. Default: the broker's `default.replication.factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub replication_factor: Option<u16>,
    /// How long a created topic keeps records. Default: the broker's `log.retention.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]{1,10}(ms|s|m|h|d)$"))]
    pub retention: Option<String>,
}
