//! Kafka, by librdkafka: batches from its queue, records handed over one by one with their partition already chosen.
//!
//! ```text
//! config        connection + secrets -> client settings
//! native        the only file that calls librdkafka itself; safe wrappers
//! client        what a client reports meanwhile: logs, errors, statistics, rebalances
//! topics, lag   what exists, what has to be created; how far behind
//! source        KafkaConsumer      assignment   what is ours, and in which state      fetch, records   batches
//! sink          KafkaProducer      transaction  how a commit ended
//! follower      KafkaFollower      whole topics, without a group
//! connector     makes them
//! inspect       Inspector          how far any group is behind, from outside
//! ```

mod assignment;
mod client;
mod config;
mod connector;
mod fetch;
mod follower;
mod inspect;
mod lag;
mod native;
mod records;
mod sink;
mod source;
mod topics;
mod transaction;
mod watchdog;

pub use config::Settings;
pub use connector::KafkaConnector;
pub use follower::KafkaFollower;
pub use inspect::{Extent, InspectError, Inspector, Place};
pub use records::{KafkaMembership, KafkaRecords};
pub use sink::KafkaProducer;
pub use source::KafkaConsumer;
