//! Stages: the parts of a plan between two changes of key. Each runs on the partitions of its own topic; all but the first
//! read an internal topic that the stage before writes.

use std::ops::Range;

use crate::{Field, Fields, OperatorKind, Plan, Topic, TopicName};

/// Where rows go on under another key: the stage before writes them to an internal topic, the next one reads it.
#[derive(Clone, Debug)]
pub struct Repartition {
    /// Position of the operator that needs the key; the first one of its stage.
    pub before: usize,
    /// The internal topic.
    pub topic: Topic,
    /// Which fields cross, by position among those that come out of the step before. Ascending.
    pub carried: Vec<usize>,
    /// The same fields: what comes into the operator.
    pub fields: Fields,
}

impl Plan {
    /// Number of stages, at least one.
    pub fn stages(&self) -> usize {
        self.repartitions.len() + 1
    }

    /// Positions of the operators of a stage.
    pub fn operators_of(&self, stage: usize) -> Range<usize> {
        let start = stage.checked_sub(1).map_or(0, |cut| self.repartitions[cut].before);
        let end = self
            .repartitions
            .get(stage)
            .map_or(self.operators.len(), |cut| cut.before);
        start..end
    }

    /// All topics that are read: those of the source, then the internal one of each further stage.
    pub fn topics(&self) -> Vec<TopicName> {
        let internal = self.repartitions.iter().map(|cut| cut.topic.name.clone());
        self.source.topics.iter().cloned().chain(internal).collect()
    }

    /// The stage that reads the topic at this position of [`Plan::topics`].
    pub fn stage_reading(&self, topic: u16) -> usize {
        (usize::from(topic) + 1).saturating_sub(self.source.topics.len())
    }

    /// What a stage reads, as it stands in its topic.
    pub fn input_of(&self, stage: usize) -> Fields {
        match stage.checked_sub(1) {
            None => self.input.clone(),
            Some(cut) => {
                let fields = self.fields_into(self.repartitions[cut].before).iter();
                let written = |field: &Field| Field::computed(&field.name, field.field_type.clone(), field.nullable);
                Fields::new(fields.map(written).collect())
            }
        }
    }

    /// Whether a stage must remember something between records.
    pub fn remembers(&self, stage: usize) -> bool {
        let mut operators = self.operators[self.operators_of(stage)].iter();
        stage > 0 || operators.any(|operator| operator.kind.state().is_some())
    }
}

impl OperatorKind {
    /// Positions of the fields by which it tells groups apart: all rows of a group must stand in one partition.
    pub fn keys(&self) -> Option<&[usize]> {
        match self {
            Self::Group(group) => Some(&group.keys),
            Self::Window(window) => Some(&window.keys),
            Self::Deduplicate(deduplicate) => Some(&deduplicate.keys),
            Self::Previous(previous) => Some(&previous.keys),
            Self::Filter(_) | Self::Map(_) | Self::FlatMap(_) | Self::Join(_) => None,
        }
    }
}
