//! Where a plan is cut into stages: before every operator whose groups the record key does not keep in one partition, and
//! before every join with another stream.

use super::key::RecordKey;
use super::problems::Problems;
use super::topics::Taken;
use crate::{Field, FieldType, Fields, ItemKind, Operator, OperatorKind, Plan, Repartition, StateId, Topic, TopicName};

/// The cuts, each with its internal topic.
pub(super) fn cut(
    key: RecordKey,
    input: &[Field],
    operators: &[Operator],
    state_id: Option<&StateId>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<Vec<Repartition>> {
    let mut key = key;
    let mut cuts = Vec::new();
    for (before, operator) in operators.iter().enumerate() {
        let arriving = before.checked_sub(1).map_or(input, |before| &operators[before].output);
        let fields = match &operator.kind {
            // It has its input from there, whatever the key.
            OperatorKind::StreamJoin(streams) => Some(streams.input.clone()),
            kind => {
                let leaves = kind.keys().is_some_and(|keys| !key.covers(keys));
                leaves.then(|| Fields::new(arriving.to_vec()))
            }
        };
        if let Some(fields) = fields {
            let topic = internal_topic(state_id?, operator, before, taken, problems)?;
            cuts.push(Repartition {
                before,
                topic,
                carried: (0..arriving.len()).collect(),
                fields,
            });
        }
        key = key.after(operator);
    }
    Some(cuts)
}

fn internal_topic(
    state_id: &StateId,
    operator: &Operator,
    at: usize,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<Topic> {
    let path = format!("spec.operators[{at}]");
    let name = TopicName::parse(&format!("millrace-{state_id}-{}", operator.name));
    let name = name.map_err(|_| {
        format!(
            "needs an internal topic, and `millrace-{state_id}-{}` is too long for its name: shorten the operator's name",
            operator.name
        )
    });
    let name = problems.take(&path, name)?;
    Some(Topic {
        name: taken.claim(name, &format!("{path} (its internal topic)"), problems)?,
        create: true,
        partitions: None,
        replication_factor: None,
        retention: Some(Topic::FOR_EVER),
    })
}

/// Rows go through an internal topic as JSON objects: lists of objects that something behind still needs cannot. `plan` is
/// pruned.
pub(super) fn check_rows(plan: &Plan, problems: &mut Problems) {
    for cut in &plan.repartitions {
        let fields = plan.fields_into(cut.before).iter();
        let is_of_objects = |field: &&Field| match &field.field_type {
            FieldType::Array(item) => matches!(item.kind, ItemKind::Object(_)),
            _ => false,
        };
        for field in fields.filter(is_of_objects) {
            let text = format!(
                "groups by another key than the record key, so rows change partitions, and array `{}` of objects cannot go along; \
                 explode it with flatMap before, or drop it in a map",
                field.name
            );
            problems.add(format!("spec.operators[{}]", cut.before), text);
        }
    }
}
