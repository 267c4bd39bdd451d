//! Everything that leaves the process, one folder per system: Kafka, memory, files.
//!
//! The runner knows a broker only by the traits of [`stream`]; `kafka` and `memory` implement them, so the same loop runs
//! on a cluster, on a laptop without one, and in tests that crash it at every step.

pub mod stream;

pub mod kafka;

pub mod memory;

pub mod store;

mod partitioner;

pub use stream::{
    CommitError, Committed, Connector, Consumer, Delivered, Error, Event, Fault, Follower, Header, Partition, Position,
    Producer, RecordView, Records, SendError, Start,
};
