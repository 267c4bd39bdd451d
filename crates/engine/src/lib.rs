//! One input partition's logic: records in, effects out. No tokio, no Kafka, no disk, no clock; time and records come in
//! through [`Chain::step`] alone, so that the same input gives the same effects on any machine and after any crash.
//!
//! Order of the modules = way of a record.

mod expr;

mod batch;

mod operators;

mod watermark;

mod note;

mod partial;

mod aggregate;

mod state;

mod effects;

mod chain;

pub mod checkpoint;

pub use chain::{Chain, Input, Program, Tables};
pub use effects::{Bytes, Effects, Emit, Reason, Rejected, Target};
pub use millrace_format::{Record, Refused};
pub use note::Note;
pub use operators::StateSize;
