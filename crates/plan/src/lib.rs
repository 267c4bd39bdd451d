//! Spec in, [`Plan`] or all [`Problem`]s out. No network, no disk, no clock: the CLI, the controller and the runner call
//! the same [`validate`], and what it returns is checked once and for all.
//!
//! Order of the modules = order of the YAML. Each is the checked twin of the file of the same name in `crds`.

mod aggregates;
mod combine;
mod explain;
mod expression;
mod fields;
mod join;
mod keyed_state;
mod load;
mod names;
mod operators;
mod problem;
mod prune;
mod sink;
mod source;
mod stage;
mod state;
mod suggest;
mod validate;
mod walk;
mod window;
mod workload;

pub use aggregates::{Aggregate, AggregateFunction, Percentile};
pub use explain::{count, explain};
pub use expression::Expression;
pub use fields::{ArrayItem, Field, FieldType, Fields, ItemKind};
pub use join::{Join, JoinSide, JoinedStreams, Matching, OtherStream, StreamJoin, Table, TableFormat, TableOrigin};
pub use keyed_state::{Deduplicate, Keep, Previous, TimeDomain, Ttl};
pub use load::load;
pub use names::{GroupId, OperatorName, StateId, TopicName};
pub use operators::{Column, Explode, Filter, FlatMap, Group, Operator, OperatorKind, Projection, SplitOutput};
pub use problem::Problem;
pub use sink::{Sink, Topic};
pub use source::{
    Connection, EventTime, InputKey, Sasl, SecretKey, Security, Source, Start, TimeOrigin, TimeUnit, Tls,
};
pub use stage::Repartition;
pub use state::{LostState, OperatorState, difference, shape};
pub use suggest::closest;
pub use validate::{parse_duration, validate};
pub use walk::visit_expressions;
pub use window::{Emit, Session, Sliding, Tumbling, Window, WindowKind};
pub use workload::{Resources, Scaling, ScalingTarget, Storage, Workload};

use std::time::Duration;

/// Everything that a runner needs to know, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `StreamPipeline` or `WindowAggregation`.
    pub kind: &'static str,
    /// Namespace of the object; `default` in a file that names none.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Owner of state, group and transactional ids.
    pub state_id: StateId,
    /// Where records come from.
    pub source: Source,
    /// The fields to decode from a record's value, in declared order: only those that something in the plan reads.
    pub input: Fields,
    /// What the record key must be, as positions in `input`. None: keys are passed on and mean nothing.
    pub key: Option<InputKey>,
    /// Which time a record happened at.
    pub event_time: EventTime,
    /// The steps, in order.
    pub operators: Vec<Operator>,
    /// Where the key changes, in order.
    pub repartitions: Vec<Repartition>,
    /// Where results go. Never empty.
    pub sinks: Vec<Sink>,
    /// Where bad records go.
    pub dead_letter: Topic,
    /// Where late records go. None: dropped and counted.
    pub late_records: Option<Topic>,
    /// Time between commits.
    pub checkpoint_interval: Duration,
    /// Checkpoint files to keep per partition.
    pub checkpoint_retain: u16,
    /// Operators whose state may be thrown away.
    pub droppable: Vec<OperatorName>,
    /// How it stands on a cluster; nothing for a runner.
    pub workload: Workload,
}

impl Plan {
    /// Fields of a result, in the order in which they are written.
    pub fn output(&self) -> &Fields {
        self.operators.last().map_or(&self.input, |operator| &operator.output)
    }

    /// Whether a result's value is the input's value, byte for byte: nothing but filters and the like, in one stage.
    pub fn passes_bytes_through(&self) -> bool {
        let mut operators = self.operators.iter();
        self.repartitions.is_empty()
            && operators.all(|operator| matches!(operator.kind, OperatorKind::Filter(_) | OperatorKind::Deduplicate(_)))
    }

    /// Whether something must be remembered between records.
    pub fn is_stateful(&self) -> bool {
        self.operators.iter().any(|operator| operator.kind.state().is_some())
    }

    /// Whether chains must be told the time, also while no records come.
    pub fn needs_clock(&self) -> bool {
        let mut streams = (0..self.all_stages()).map(|stage| self.event_time_of(stage));
        streams.any(|time| time.close_after_idle.is_some())
            || self.operators.iter().any(|operator| operator.kind.needs_clock())
    }
}
