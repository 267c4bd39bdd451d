//! Where records come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where records come from: exactly one of `kafka` and `pipeline`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.kafka) != has(self.pipeline)", "message": "set exactly one of kafka and pipeline"}
]))]
pub struct SourceSpec {
    /// Topics of a Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSourceSpec>,
    /// The output of another StreamPipeline or WindowAggregation in the same namespace. Brokers, topic, fields and
    /// record key are taken from it, so `schema` and `key` must be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineRef>,
}

/// Topics of one Kafka cluster. Sinks, dead letters and offsets go to the same cluster, because one Kafka transaction
/// holds all of them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSourceSpec {
    /// Brokers to ask for the cluster's layout, each as `host:port`. One reachable broker is enough.
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 3, max = 260), regex(pattern = r"^[^\s,:]+:[0-9]{1,5}$"))
    )]
    pub bootstrap_servers: Vec<String>,
    /// Topics to read. All of them hold records of the same schema.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$")), extend("x-kubernetes-list-type" = "set"))]
    pub topics: Vec<String>,
    /// Where to start a partition for which the group has no committed offset. Default: `earliest`.
    #[serde(default)]
    pub start: Start,
    /// Consumer group. Default: `millrace-` and the state id. A group belongs to one pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    pub group: Option<String>,
    /// Encryption and authentication. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<SecuritySpec>,
}

/// Where to start a partition for which the group has no committed offset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Start {
    /// At the oldest record that the topic still holds.
    #[default]
    Earliest,
    /// At the end: only records written after the first start.
    Latest,
}

/// The output of another pipeline.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    /// Name of the StreamPipeline or WindowAggregation, in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Which of its sinks to read. Default: its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub sink: Option<String>,
    /// Where to start a partition for which the group has no committed offset. Default: `earliest`.
    #[serde(default)]
    pub start: Start,
}

/// Encryption and authentication towards the brokers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecuritySpec {
    /// Encrypts the connection. Left out: plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Authenticates with a user name and a password. Left out: no SASL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslSpec>,
}

/// TLS towards the brokers. Certificates and host names are always verified.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.certificate) == has(self.key)", "message": "certificate and key go together"}
]))]
pub struct TlsSpec {
    /// PEM certificates of the authorities to trust. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretKeyRef>,
    /// PEM client certificate (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SecretKeyRef>,
    /// PEM private key of the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretKeyRef>,
}

/// SASL towards the brokers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SaslSpec {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user name.
    pub username: SecretKeyRef,
    /// The password.
    pub password: SecretKeyRef,
}

/// How the password is proved to the broker.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum SaslMechanism {
    /// RFC 7677 with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 5802's scheme with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// The password itself: only together with `tls`.
    #[serde(rename = "PLAIN")]
    Plain,
}

/// One key of a Secret in the namespace of the object. Runners read it as the file `<secrets-dir>/<name>/<key>`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9]$"))]
    pub key: String,
}

/// How a record's value is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// One JSON object a record (RFC 8259), in UTF-8.
    #[default]
    Json,
}
