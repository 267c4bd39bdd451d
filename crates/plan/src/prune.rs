//! Leaves out of a checked plan what nothing needs: fields that would be decoded or carried along for nobody.
//!
//! Expressions name fields, so they stay as they are; positions move. A computed column always stays, even if nothing
//! reads it: a record on which it fails is a bad record.

use crate::walk::visit_expressions;
use crate::{
    Column, Field, Fields, FlatMap, InputKey, Operator, OperatorKind, Plan, Projection, Repartition, TimeOrigin,
};

/// Which fields of one place are needed, by position.
type Needed = Vec<bool>;

/// The same plan on fewer fields. `plan` has all declared fields.
pub(crate) fn prune(mut plan: Plan) -> Plan {
    let mut needed = vec![!plan.passes_bytes_through(); plan.output().len()];
    let mut before: Vec<Needed> = Vec::new();
    for position in (0..plan.operators.len()).rev() {
        before.push(needed.clone());
        needed = needed_by(&plan.operators[position].kind, plan.fields_into(position), &needed);
        if let Some(cut) = plan.repartitions.iter_mut().find(|cut| cut.before == position) {
            cut.carried.retain(|field| needed[*field]);
        }
    }
    for position in plan.key.iter().flat_map(|key| &key.fields) {
        needed[*position] = true;
    }
    if let TimeOrigin::Field { position, .. } = plan.event_time.origin {
        needed[position] = true;
    }

    let mut moved = Moved::new(&needed);
    plan.input = kept(&plan.input, &needed);
    plan.key = plan.key.map(|key| InputKey {
        fields: moved.all(&key.fields),
    });
    if let TimeOrigin::Field { position, .. } = &mut plan.event_time.origin {
        *position = moved.to(*position);
    }
    for (position, operator) in plan.operators.iter_mut().enumerate() {
        if let Some(cut) = plan.repartitions.iter_mut().find(|cut| cut.before == position) {
            moved = move_cut(cut, &moved);
        }
        let wanted = before.pop().expect("every operator was visited");
        let there = move_operator(operator, &moved, &wanted);
        operator.output = kept(&operator.output, &there);
        moved = Moved::new(&there);
    }
    plan
}

/// Moves what is carried over a cut, which is all that is left behind it.
fn move_cut(cut: &mut Repartition, moved: &Moved) -> Moved {
    let crosses: Needed = (0..cut.fields.len())
        .map(|field| cut.carried.contains(&field))
        .collect();
    cut.fields = kept(&cut.fields, &crosses);
    cut.carried = moved.all(&cut.carried);
    Moved::new(&crosses)
}

/// What an operator needs of its input, if `wanted` of its output is needed.
fn needed_by(kind: &OperatorKind, input: &Fields, wanted: &Needed) -> Needed {
    let mut needed = match kind {
        OperatorKind::Filter(_) | OperatorKind::Deduplicate(_) => wanted.clone(),
        OperatorKind::Previous(_) => wanted[..input.len()].to_vec(),
        OperatorKind::Map(_)
        | OperatorKind::FlatMap(FlatMap::Split(_))
        | OperatorKind::Group(_)
        | OperatorKind::Window(_) => {
            vec![false; input.len()]
        }
        OperatorKind::FlatMap(FlatMap::Explode(explode)) => {
            let tail = input.len() - explode.array - 1;
            [&wanted[..explode.array], &[true], &wanted[wanted.len() - tail..]].concat()
        }
        OperatorKind::Join(_) => wanted[..input.len()].to_vec(),
    };
    let mut pass = |projections: &[&Projection]| {
        let left = columns_left(projections, wanted);
        for (column, left) in projections
            .iter()
            .flat_map(|projection| projection.columns.iter().zip(&left))
        {
            if let (Column::Input(position), true) = (column, left) {
                needed[*position] = true;
            }
        }
    };
    match kind {
        OperatorKind::Map(projection) => pass(&[projection]),
        OperatorKind::FlatMap(FlatMap::Split(outputs)) => {
            pass(&outputs.iter().map(|output| &output.projection).collect::<Vec<_>>());
        }
        OperatorKind::Group(group) => group.keys.iter().for_each(|position| needed[*position] = true),
        OperatorKind::Window(window) => window.keys.iter().for_each(|position| needed[*position] = true),
        OperatorKind::Join(join) => join.on.iter().for_each(|position| needed[*position] = true),
        OperatorKind::Deduplicate(deduplicate) => deduplicate.keys.iter().for_each(|position| needed[*position] = true),
        // All of them, even those that nobody wants: what state means must not change with the steps behind.
        OperatorKind::Previous(previous) => {
            previous
                .keys
                .iter()
                .chain(&previous.fields)
                .for_each(|position| needed[*position] = true);
        }
        OperatorKind::Filter(_) | OperatorKind::FlatMap(FlatMap::Explode(_)) => {}
    }
    visit_expressions(kind, &mut |expression| {
        for position in expression.fields().filter_map(|name| input.position(&name)) {
            needed[position] = true;
        }
    });
    needed
}

/// Moves the positions of an operator. Returns which fields of its output are left.
fn move_operator(operator: &mut Operator, moved: &Moved, wanted: &Needed) -> Needed {
    match &mut operator.kind {
        OperatorKind::Filter(_) => moved.left(),
        OperatorKind::Map(projection) => {
            let left = columns_left(&[projection], wanted);
            move_projection(projection, moved, &left);
            left
        }
        OperatorKind::FlatMap(FlatMap::Split(outputs)) => {
            let projections: Vec<_> = outputs.iter().map(|output| &output.projection).collect();
            let left = columns_left(&projections, wanted);
            outputs
                .iter_mut()
                .for_each(|output| move_projection(&mut output.projection, moved, &left));
            left
        }
        OperatorKind::FlatMap(FlatMap::Explode(explode)) => {
            let input = moved.left();
            let added = operator.output.len() + 1 - input.len();
            let left = [&input[..explode.array], &vec![true; added], &input[explode.array + 1..]].concat();
            explode.array = moved.to(explode.array);
            left
        }
        OperatorKind::Group(group) => {
            group.keys = moved.all(&group.keys);
            vec![true; operator.output.len()]
        }
        OperatorKind::Window(window) => {
            window.keys = moved.all(&window.keys);
            vec![true; operator.output.len()]
        }
        OperatorKind::Join(join) => {
            join.on = moved.all(&join.on);
            let added = &wanted[moved.left().len()..];
            let mut left = added.iter();
            join.fields
                .retain(|_| *left.next().expect("one entry for every added field"));
            [&moved.left(), added].concat()
        }
        OperatorKind::Deduplicate(deduplicate) => {
            deduplicate.keys = moved.all(&deduplicate.keys);
            moved.left()
        }
        OperatorKind::Previous(previous) => {
            previous.keys = moved.all(&previous.keys);
            previous.fields = moved.all(&previous.fields);
            let added = vec![true; previous.fields.len()];
            [moved.left(), added].concat()
        }
    }
}

/// A column may go if it is not wanted and all it does is to pass a field, in each of the projections: one that computes it
/// keeps it for all of them.
fn columns_left(projections: &[&Projection], wanted: &Needed) -> Needed {
    let computed = |at: usize| {
        projections
            .iter()
            .any(|it| matches!(it.columns[at], Column::Computed(_)))
    };
    wanted
        .iter()
        .enumerate()
        .map(|(at, wanted)| *wanted || computed(at))
        .collect()
}

fn move_projection(projection: &mut Projection, moved: &Moved, left: &Needed) {
    let mut left = left.iter();
    projection
        .columns
        .retain(|_| *left.next().expect("one entry for every column"));
    for column in &mut projection.columns {
        if let Column::Input(position) = column {
            *position = moved.to(*position);
        }
    }
}

fn kept(fields: &Fields, needed: &Needed) -> Fields {
    let kept = fields
        .iter()
        .zip(needed)
        .filter(|(_, needed)| **needed)
        .map(|(field, _)| field);
    Fields::new(kept.cloned().collect::<Vec<Field>>())
}

/// Where fields stand after others went.
struct Moved(Vec<Option<usize>>);

impl Moved {
    fn new(left: &Needed) -> Self {
        let mut next = 0;
        let place = |left: &bool| {
            left.then(|| {
                next += 1;
                next - 1
            })
        };
        Self(left.iter().map(place).collect())
    }

    fn to(&self, position: usize) -> usize {
        self.0[position].expect("what is referred to is needed")
    }

    fn all(&self, positions: &[usize]) -> Vec<usize> {
        positions.iter().map(|position| self.to(*position)).collect()
    }

    fn left(&self) -> Needed {
        self.0.iter().map(Option::is_some).collect()
    }
}
