//! Where records go, checked.

use std::time::Duration;

use crate::names::TopicName;

/// One place for results.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// Name within the pipeline.
    pub name: String,
    /// The topic to write.
    pub topic: Topic,
}

/// A topic that Millrace writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Name of the topic.
    pub name: TopicName,
    /// Whether to create it where it does not exist.
    pub create: bool,
    /// Partitions of a created topic. None: as many as the first source topic has.
    pub partitions: Option<u16>,
    /// Replicas of a created topic. None: the broker's default.
    pub replication_factor: Option<u16>,
    /// Retention of a created topic. None: the broker's default.
    pub retention: Option<Duration>,
}

impl Topic {
    /// The longest retention that Kafka takes.
    pub const FOR_EVER: Duration = Duration::from_millis(i64::MAX as u64);
}
