//! The record key, and which fields still equal it further down the pipeline.

use super::declared::Declared;
use super::problems::Problems;
use super::reference::Upstream;
use super::scope::Scope;
use crate::{Column, Deduplicate, FlatMap, InputKey, Operator, OperatorKind, Plan, Previous, Projection};

/// What is known about the key of the records at one place.
#[derive(Clone, Debug)]
pub(super) enum RecordKey {
    /// Nothing: keys are passed on and mean nothing.
    None,
    /// Broken, and reported.
    Broken,
    /// It is made of these fields.
    Of(KeyFields),
}

#[derive(Clone, Debug)]
pub(super) struct KeyFields {
    /// Names of the members, in key order.
    names: Vec<String>,
    /// For every field at this place, which of `names` it equals.
    origins: Vec<Option<usize>>,
}

impl KeyFields {
    fn new(names: Vec<String>, positions: &[usize], fields: usize) -> Self {
        let mut origins = vec![None; fields];
        for (index, position) in positions.iter().enumerate() {
            origins[*position] = Some(index);
        }
        Self { names, origins }
    }

    /// Whether all fields of the key are among those at `positions`.
    fn is_within(&self, positions: &[usize]) -> bool {
        let there = |index| positions.iter().any(|position| self.origins[*position] == Some(index));
        (0..self.names.len()).all(there)
    }

    /// What a column of a projection equals.
    fn passed(&self, projection: &Projection, at: usize) -> Option<usize> {
        match projection.columns[at] {
            Column::Input(position) => self.origins[position],
            Column::Computed(_) => None,
        }
    }

    /// Positions of fields from which the key can be written again: one for each member, and where there are several
    /// members, under the same names.
    fn positions(&self, name_of: impl Fn(usize) -> String) -> Option<Vec<usize>> {
        let single = self.names.len() == 1;
        let find = |(index, name): (usize, &String)| {
            let equal = |at: &usize| self.origins[*at] == Some(index) && (single || name_of(*at) == *name);
            (0..self.origins.len()).find(equal)
        };
        self.names.iter().enumerate().map(find).collect()
    }
}

impl RecordKey {
    /// Whether all records that agree in the fields at `positions` stand in one partition.
    pub(super) fn covers(&self, positions: &[usize]) -> bool {
        match self {
            Self::None => false,
            Self::Broken => true,
            Self::Of(key) => key.is_within(positions),
        }
    }

    /// What is known behind an operator, before which the plan may be cut.
    pub(super) fn after(&self, operator: &Operator) -> Self {
        match &operator.kind {
            OperatorKind::Filter(_) => self.clone(),
            OperatorKind::Map(map) => self.with_origins(|key| {
                let columns = 0..map.columns.len();
                columns.map(|at| key.passed(map, at)).collect()
            }),
            OperatorKind::FlatMap(FlatMap::Explode(explode)) => self.with_origins(|key| {
                let added = operator.output.len() + 1 - key.origins.len();
                let (before, after) = key.origins.split_at(explode.array);
                [before, &vec![None; added], &after[1..]].concat()
            }),
            OperatorKind::FlatMap(FlatMap::Split(outputs)) => self.with_origins(|key| {
                let of_all = |at| {
                    let first = key.passed(&outputs[0].projection, at);
                    let mut others = outputs.iter().map(|output| key.passed(&output.projection, at));
                    first.filter(|_| others.all(|other| other == first))
                };
                (0..operator.output.len()).map(of_all).collect()
            }),
            OperatorKind::Join(_) => self.with_added(operator),
            OperatorKind::Group(group) => Self::of_group(&group.keys, operator),
            OperatorKind::Window(window) => Self::of_group(&window.keys, operator),
            OperatorKind::StreamJoin(streams) => Self::of_group(&streams.join.left.key, operator),
            OperatorKind::Deduplicate(Deduplicate { keys, .. }) | OperatorKind::Previous(Previous { keys, .. }) => {
                match self.covers(keys) {
                    true => self.with_added(operator),
                    false => Self::of_cut(keys, operator),
                }
            }
        }
    }

    /// The same key, behind an operator that adds fields at the end.
    fn with_added(&self, operator: &Operator) -> Self {
        self.with_origins(|key| {
            let mut origins = key.origins.clone();
            origins.resize(operator.output.len(), None);
            origins
        })
    }

    /// The same key, where other fields equal its members.
    fn with_origins(&self, origins: impl FnOnce(&KeyFields) -> Vec<Option<usize>>) -> Self {
        match self {
            Self::None | Self::Broken => self.clone(),
            Self::Of(key) => Self::Of(KeyFields {
                names: key.names.clone(),
                origins: origins(key),
            }),
        }
    }

    /// Rows that changed partitions before a step that passes them on carry its key.
    fn of_cut(keys: &[usize], operator: &Operator) -> Self {
        let names = keys
            .iter()
            .map(|position| operator.output[*position].name.clone())
            .collect();
        Self::Of(KeyFields::new(names, keys, operator.output.len()))
    }

    /// Results of a group carry its key, whose fields stand first.
    fn of_group(keys: &[usize], operator: &Operator) -> Self {
        let names = operator.output[..keys.len()]
            .iter()
            .map(|field| field.name.clone())
            .collect();
        let positions: Vec<_> = (0..keys.len()).collect();
        Self::Of(KeyFields::new(names, &positions, operator.output.len()))
    }

    /// The key as the plan wants it. Call on what [`declared`] returned.
    pub(super) fn into_input_key(self) -> Option<InputKey> {
        let Self::Of(key) = self else { return None };
        let position = |index| key.origins.iter().position(|origin| *origin == Some(index));
        let fields: Option<Vec<_>> = (0..key.names.len()).map(position).collect();
        fields.map(|fields| InputKey { fields })
    }
}

/// The record key that the spec declares.
pub(super) fn declared(
    declared: &Declared,
    upstream: Option<&Upstream>,
    input: Option<&Scope>,
    problems: &mut Problems,
) -> RecordKey {
    if declared.reads_pipeline() {
        if declared.key.is_some() {
            problems.add(
                "spec.key",
                "leave it out: the record key comes from the referenced pipeline",
            );
        }
        return match upstream.map(|upstream| (&upstream.key, &upstream.fields)) {
            None => RecordKey::Broken,
            Some((None, _)) => RecordKey::None,
            Some((Some(positions), fields)) => {
                let names = positions
                    .iter()
                    .map(|position| fields[*position].name.clone())
                    .collect();
                RecordKey::Of(KeyFields::new(names, positions, fields.len()))
            }
        };
    }
    let given = declared.key.map(|names| ("spec.key", names));
    let Some((path, names)) = given.or(declared.default_key) else {
        return RecordKey::None;
    };
    let Some(input) = input else { return RecordKey::Broken };
    match input.key(path, names, problems) {
        Some(positions) => RecordKey::Of(KeyFields::new(names.to_vec(), &positions, input.fields.len())),
        None => RecordKey::Broken,
    }
}

/// Positions in the plan's output from which the key of a result can be read, if all of it is there. `plan` has all
/// declared fields.
pub(super) fn of_results(plan: &Plan) -> Option<Vec<usize>> {
    let input = match &plan.key {
        Some(key) => {
            let names = key
                .fields
                .iter()
                .map(|position| plan.input[*position].name.clone())
                .collect();
            RecordKey::Of(KeyFields::new(names, &key.fields, plan.input.len()))
        }
        None => RecordKey::None,
    };
    match plan.operators.iter().fold(input, |key, operator| key.after(operator)) {
        RecordKey::Of(key) => key.positions(|at| plan.output()[at].name.clone()),
        RecordKey::None | RecordKey::Broken => None,
    }
}
