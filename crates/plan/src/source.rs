//! Where records come from, checked.

use std::time::Duration;

use crate::names::{GroupId, TopicName};

/// Topics of one Kafka cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How to reach the cluster.
    pub connection: Connection,
    /// Topics to read. Never empty, no topic twice.
    pub topics: Vec<TopicName>,
    /// Where to start a partition without a committed offset.
    pub start: Start,
    /// Consumer group.
    pub group: GroupId,
}

/// How to reach a Kafka cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// `host:port` each.
    pub bootstrap_servers: Vec<String>,
    /// Encryption and authentication.
    pub security: Security,
}

/// Encryption and authentication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Security {
    /// None: plain text.
    pub tls: Option<Tls>,
    /// None: no authentication.
    pub sasl: Option<Sasl>,
}

/// TLS; certificates and host names are always verified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// Authorities to trust. None: those of the system.
    pub ca: Option<SecretKey>,
    /// Client certificate and its key.
    pub client: Option<(SecretKey, SecretKey)>,
}

/// SASL.
#[derive(Clone, Debug, PartialEq)]
pub struct Sasl {
    /// As librdkafka spells it: `SCRAM-SHA-256`, `SCRAM-SHA-512` or `PLAIN`.
    pub mechanism: &'static str,
    /// The user name.
    pub username: SecretKey,
    /// The password.
    pub password: SecretKey,
}

/// One key of a Secret, found as the file `<secrets-dir>/<name>/<key>`. Neither part can leave that directory.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: String,
    /// Key within it.
    pub key: String,
}

/// Where to start a partition without a committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The oldest record held.
    #[default]
    Earliest,
    /// The end.
    Latest,
}

/// What the record key must be: positions in `Plan::input`, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputKey {
    /// Never empty.
    pub fields: Vec<usize>,
}

/// Which time a record happened at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// Where the time stands.
    pub origin: TimeOrigin,
    /// Milliseconds by which a record may be older than its partition's newest without being late.
    pub max_out_of_orderness: i64,
    /// Milliseconds without a record, at least 1000, after which event time goes on with the clock. None: never.
    pub close_after_idle: Option<i64>,
    /// How long a partition has no record before the next stage no longer waits for it.
    pub idle_timeout: Duration,
    /// Milliseconds, at least 1000, by which a partition of the source may be ahead of the slowest of its runner. None: any.
    pub max_drift: Option<i64>,
}

impl Default for EventTime {
    fn default() -> Self {
        Self {
            origin: TimeOrigin::Record,
            max_out_of_orderness: 0,
            close_after_idle: None,
            idle_timeout: Self::IDLE_TIMEOUT,
            max_drift: None,
        }
    }
}

impl EventTime {
    /// The idle time-out where the spec names none.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
}

/// Where the event time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeOrigin {
    /// The Kafka record's timestamp.
    Record,
    /// A field of `Plan::input`, `Int64` or `Timestamp` (then the unit is milliseconds).
    Field {
        /// Position in `Plan::input`.
        position: usize,
        /// What the number counts.
        unit: TimeUnit,
    },
}

/// What a number counts since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Thousandths.
    Milliseconds,
    /// Millionths.
    Microseconds,
    /// Billionths.
    Nanoseconds,
}
