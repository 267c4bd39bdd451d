//! What a user may write: the two kinds of group `millrace.io`, version `v1alpha1`.
//!
//! These types are the raw side: they say what YAML is accepted, document it for `kubectl explain`, and check nothing
//! beyond what the schema can express. The checked twin of each type lives in `millrace-plan` under the same file name.
//!
//! Order of the modules = order of the YAML.

mod stream_pipeline;
mod window_aggregation;

mod source;

mod schema;

mod event_time;

mod operators;

mod window;

mod join;

mod aggregates;

mod keyed_state;

mod sink;

mod checkpoint;

mod scaling;

mod resources;

mod status;

pub mod crd;

pub mod manifest;

pub use aggregates::{AggregateFunction, AggregateSpec};
pub use checkpoint::{AccessMode, CheckpointSpec, Delivery, OnStateChange, Reclaim, StorageSpec};
pub use event_time::{EventTimeSpec, TimeUnit};
pub use join::{
    ConfigMapTableSpec, FileTableSpec, JoinFieldSpec, JoinOnSpec, JoinSpec, JoinType, JoinWindowSpec, StreamSchemaSpec,
    StreamSourceSpec, StreamSpec, StreamTopicsSpec, TableAsOf, TableFieldSpec, TableFormat, TableSchemaSpec, TableSpec,
    TopicTableSpec, WithinSpec,
};
pub use keyed_state::{DeduplicateSpec, Keep, PreviousFieldSpec, PreviousSpec, TimeDomain, TtlSpec};
pub use operators::{
    ExplodeSpec, FilterSpec, FlatMapOutputSpec, FlatMapSpec, GroupBySpec, MapSpec, OperatorSpec, RenameSpec, SetSpec,
};
pub use resources::{ResourceAmounts, ResourcesSpec};
pub use scaling::{ScalingSpec, ScalingTarget};
pub use schema::{FieldSpec, FieldType, ItemFieldSpec, ItemType, ItemsSpec, ScalarType, SchemaSpec};
pub use sink::{DeadLetterSpec, LateRecordsSpec, SinkSpec, TopicSpec};
pub use source::{
    Format, KafkaSourceSpec, PipelineRef, SaslMechanism, SaslSpec, SecretKeyRef, SecuritySpec, SourceSpec, Start,
    TlsSpec,
};
pub use status::{CheckpointStatus, ConditionType, LagStatus, PartitionStatus, PipelineStatus, ThroughputStatus};
pub use stream_pipeline::{StreamPipeline, StreamPipelineSpec};
pub use window::{
    EmitEarlySpec, EmitOnCloseSpec, EmitOnUpdateSpec, EmitSpec, SessionSpec, SlidingSpec, TumblingSpec, WindowSpec,
};
pub use window_aggregation::{WindowAggregation, WindowAggregationSpec};

/// API group of both kinds.
pub const GROUP: &str = "millrace.io";
/// API version of both kinds.
pub const VERSION: &str = "v1alpha1";
