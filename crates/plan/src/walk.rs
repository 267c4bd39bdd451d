//! Ways to look at a plan from outside: the fields between operators, and all expressions of one.

use crate::{
    Aggregate, Column, Expression, Fields, FlatMap, JoinedStreams, Operator, OperatorKind, Plan, Projection, Table,
    TableOrigin, TopicName,
};

impl Plan {
    /// Fields that come into the operator at `position`. What a join with another stream takes is made of both.
    pub fn fields_into(&self, position: usize) -> &Fields {
        match self.repartitions.iter().find(|cut| cut.before == position) {
            Some(cut) => &cut.fields,
            None => self.fields_before(position),
        }
    }

    /// Fields that come out of what stands before the operator at `position`, whether or not they go on to it.
    pub fn fields_before(&self, position: usize) -> &Fields {
        match position.checked_sub(1) {
            None => &self.input,
            Some(before) => &self.operators[before].output,
        }
    }

    /// The tables that must be read before the first record, each with the position of the operator that joins it.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Table)> {
        fn table((position, operator): (usize, &Operator)) -> Option<(usize, &Table)> {
            match &operator.kind {
                OperatorKind::Join(join) => Some((position, &join.table)),
                _ => None,
            }
        }
        self.operators.iter().enumerate().filter_map(table)
    }

    /// The topics that are tables, with the positions of the joins that they are for.
    pub fn table_topics(&self) -> impl Iterator<Item = (usize, &TopicName)> {
        self.tables().filter_map(|(position, table)| match &table.origin {
            TableOrigin::Topic(name) => Some((position, name)),
            TableOrigin::File(_) | TableOrigin::ConfigMap { .. } => None,
        })
    }

    /// The streams that are read beside the source, each with the position of its join.
    pub fn joined_streams(&self) -> impl Iterator<Item = (usize, &JoinedStreams)> {
        fn streams((position, operator): (usize, &Operator)) -> Option<(usize, &JoinedStreams)> {
            match &operator.kind {
                OperatorKind::StreamJoin(streams) => Some((position, streams)),
                _ => None,
            }
        }
        self.operators.iter().enumerate().filter_map(streams)
    }

    /// Fields that come out of the operator at `position`.
    pub fn fields_out_of(&self, position: usize) -> &Fields {
        &self.operators[position].output
    }
}

/// Calls `visit` with every expression of an operator, in the order of the spec.
pub fn visit_expressions<'a>(kind: &'a OperatorKind, visit: &mut dyn FnMut(&'a Expression)) {
    match kind {
        OperatorKind::Filter(filter) => visit(&filter.predicate),
        OperatorKind::Map(projection) => visit_projection(projection, visit),
        OperatorKind::FlatMap(FlatMap::Explode(_))
        | OperatorKind::Deduplicate(_)
        | OperatorKind::Previous(_)
        | OperatorKind::Join(_)
        | OperatorKind::StreamJoin(_) => {}
        OperatorKind::FlatMap(FlatMap::Split(outputs)) => {
            for output in outputs {
                output.predicate.iter().for_each(&mut *visit);
                visit_projection(&output.projection, visit);
            }
        }
        OperatorKind::Group(group) => group.aggregates.iter().flat_map(Aggregate::expressions).for_each(visit),
        OperatorKind::Window(window) => window
            .aggregates
            .iter()
            .flat_map(Aggregate::expressions)
            .for_each(visit),
    }
}

fn visit_projection<'a>(projection: &'a Projection, visit: &mut dyn FnMut(&'a Expression)) {
    for column in &projection.columns {
        if let Column::Computed(expression) = column {
            visit(expression);
        }
    }
}
