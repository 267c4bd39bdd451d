//! The steps of a plan, checked and typed.

use crate::{
    Aggregate, Deduplicate, Expression, Fields, Join, JoinedStreams, OperatorName, Previous, TimeDomain, Ttl, Window,
};

/// One step.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Unique in its pipeline.
    pub name: OperatorName,
    /// What it does.
    pub kind: OperatorKind,
    /// Fields of what comes out.
    pub output: Fields,
}

/// What a step does. Positions and expressions refer to the fields that come in.
#[derive(Clone, Debug)]
pub enum OperatorKind {
    /// Passes rows; fields stay as they are.
    Filter(Filter),
    /// One row out for every row in.
    Map(Projection),
    /// Any number of rows out for every row in.
    FlatMap(FlatMap),
    /// Running aggregates a key.
    Group(Group),
    /// Aggregates a key and window.
    Window(Window),
    /// Fields of a table for every row.
    Join(Join),
    /// Pairs with the rows of another stream; the first step of its stage.
    StreamJoin(JoinedStreams),
    /// One record of those that have a key in common within a time.
    Deduplicate(Deduplicate),
    /// Values of the record of the same key that came before.
    Previous(Previous),
}

/// Passes the rows for which the predicate is true.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of type boolean.
    pub predicate: Expression,
}

/// The columns of the output, in order.
#[derive(Clone, Debug)]
pub struct Projection {
    /// One for every output field.
    pub columns: Vec<Column>,
}

/// Where an output column comes from.
#[derive(Clone, Debug)]
pub enum Column {
    /// The input field at this position, as it is.
    Input(usize),
    /// A computed value.
    Computed(Expression),
}

/// Any number of rows out for every row in.
#[derive(Clone, Debug)]
pub enum FlatMap {
    /// One row for every item of a list.
    Explode(Explode),
    /// One row for every output whose predicate is true. All outputs have the same fields.
    Split(Vec<SplitOutput>),
}

/// One row for every item of a list. Output: the input's fields in order, where the array's field is replaced by the
/// position (if asked for) and then the item or the fields of the item object.
#[derive(Clone, Debug)]
pub struct Explode {
    /// The list among the input fields.
    pub array: usize,
    /// Whether the item's position (Int64, from 0) comes before the item.
    pub position: bool,
}

/// One of several outputs.
#[derive(Clone, Debug)]
pub struct SplitOutput {
    /// None: always.
    pub predicate: Option<Expression>,
    /// The columns.
    pub projection: Projection,
}

/// Running aggregates a key. Output: the key fields, then the aggregates.
#[derive(Clone, Debug)]
pub struct Group {
    /// Positions of the key fields. Never empty.
    pub keys: Vec<usize>,
    /// Never empty.
    pub aggregates: Vec<Aggregate>,
    /// How long a group is kept. None: for ever.
    pub ttl: Option<Ttl>,
}

impl OperatorKind {
    /// Whether results depend on the wall clock.
    pub(crate) fn needs_clock(&self) -> bool {
        let time = match self {
            Self::Filter(_) | Self::Map(_) | Self::FlatMap(_) | Self::Join(_) | Self::StreamJoin(_) => None,
            Self::Window(window) => Some(window.time),
            Self::Group(Group { ttl, .. }) | Self::Previous(Previous { ttl, .. }) => ttl.map(|ttl| ttl.time),
            Self::Deduplicate(deduplicate) => Some(deduplicate.time),
        };
        time == Some(TimeDomain::Processing)
    }
}
