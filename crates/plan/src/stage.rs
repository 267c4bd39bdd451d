//! Stages: the parts of a plan between two changes of key. Each runs on the partitions of its own topics; all but the first
//! read an internal topic that the stage before writes. A stream that a join reads beside the source has a stage of its own,
//! without operators: it writes into the internal topic of the join. Such stages are numbered behind the others.

use std::ops::Range;

use crate::{EventTime, Field, Fields, JoinedStreams, OperatorKind, Plan, Start, Topic, TopicName};

/// Where rows go on under another key: the stage before writes them to an internal topic, the next one reads it.
#[derive(Clone, Debug)]
pub struct Repartition {
    /// Position of the operator that needs the key; the first one of its stage.
    pub before: usize,
    /// The internal topic.
    pub topic: Topic,
    /// Which fields cross, by position among those that come out of the step before. Ascending.
    pub carried: Vec<usize>,
    /// What comes into the operator: the same fields, and for a join those of both streams.
    pub fields: Fields,
}

impl Plan {
    /// Number of stages with operators, at least one: the last of them writes the results.
    pub fn stages(&self) -> usize {
        self.repartitions.len() + 1
    }

    /// Number of all stages, with those of joined streams.
    pub fn all_stages(&self) -> usize {
        self.stages() + self.joined_streams().count()
    }

    /// The joined stream that a stage reads, with the position of its join; None for stages with operators.
    pub fn stream_of(&self, stage: usize) -> Option<(usize, &JoinedStreams)> {
        self.joined_streams().nth(stage.checked_sub(self.stages())?)
    }

    /// Positions of the operators of a stage.
    pub fn operators_of(&self, stage: usize) -> Range<usize> {
        if stage >= self.stages() {
            return self.operators.len()..self.operators.len();
        }
        let start = self.cut_before(stage).map_or(0, |cut| self.repartitions[cut].before);
        let end = self
            .repartitions
            .get(stage)
            .map_or(self.operators.len(), |cut| cut.before);
        start..end
    }

    /// The cut whose internal topic a stage reads, as position in `repartitions`; None for one that reads what others write.
    pub fn cut_before(&self, stage: usize) -> Option<usize> {
        stage.checked_sub(1).filter(|cut| *cut < self.repartitions.len())
    }

    /// The cut that a stage writes its rows to, as position in `repartitions`; None for the last stage, which writes results.
    pub fn cut_behind(&self, stage: usize) -> Option<usize> {
        match self.stream_of(stage) {
            Some((join, _)) => self.repartitions.iter().position(|cut| cut.before == join),
            None => (stage < self.repartitions.len()).then_some(stage),
        }
    }

    /// All topics that are read: those of the source, then the internal one of each further stage, then those of joined
    /// streams.
    pub fn topics(&self) -> Vec<TopicName> {
        let internal = self.repartitions.iter().map(|cut| cut.topic.name.clone());
        let joined = self.joined_streams().flat_map(|(_, streams)| &streams.other.topics);
        let source = self.source.topics.iter().cloned();
        source.chain(internal).chain(joined.cloned()).collect()
    }

    /// The topics among them that others write: those of the source and of joined streams.
    pub fn source_topics(&self) -> Vec<TopicName> {
        let topics = (0..).zip(self.topics());
        let others = topics.filter(|(topic, _)| !self.is_internal(*topic));
        others.map(|(_, name)| name).collect()
    }

    /// The position in [`Plan::topics`] of the internal topic of a cut.
    pub fn topic_of(&self, cut: usize) -> usize {
        self.source.topics.len() + cut
    }

    /// The stage that reads the topic at this position of [`Plan::topics`].
    pub fn stage_reading(&self, topic: u16) -> usize {
        let Some(behind) = usize::from(topic).checked_sub(self.source.topics.len()) else {
            return 0;
        };
        let Some(mut joined) = behind.checked_sub(self.repartitions.len()) else {
            return behind + 1;
        };
        let mut stage = self.stages();
        for (_, streams) in self.joined_streams() {
            match joined.checked_sub(streams.other.topics.len()) {
                Some(further) => joined = further,
                None => break,
            }
            stage += 1;
        }
        stage
    }

    /// Whether the topic at this position of [`Plan::topics`] is one between two stages, which nobody else reads.
    pub fn is_internal(&self, topic: u16) -> bool {
        self.is_told(self.stage_reading(topic))
    }

    /// Where to start a partition of this topic for which nothing was committed.
    pub fn start_of(&self, topic: u16) -> Start {
        match self.stream_of(self.stage_reading(topic)) {
            Some((_, streams)) => streams.other.start,
            // Everything in an internal topic was written for this group.
            None if self.is_internal(topic) => Start::Earliest,
            None => self.source.start,
        }
    }

    /// What a stage reads, as it stands in its topic.
    pub fn input_of(&self, stage: usize) -> Fields {
        if let Some((_, streams)) = self.stream_of(stage) {
            return streams.other.fields.clone();
        }
        match self.cut_before(stage) {
            None => self.input.clone(),
            Some(cut) => {
                let fields = self.fields_into(self.repartitions[cut].before).iter();
                let written = |field: &Field| Field::computed(&field.name, field.field_type.clone(), field.nullable);
                Fields::new(fields.map(written).collect())
            }
        }
    }

    /// Which time the records that a stage reads happened at, where it is not told so by the stage before.
    pub fn event_time_of(&self, stage: usize) -> EventTime {
        let streams = self.stream_of(stage);
        streams.map_or(self.event_time, |(_, streams)| streams.other.event_time)
    }

    /// Whether a stage reads an internal topic, from which it is told of event time.
    pub fn is_told(&self, stage: usize) -> bool {
        self.cut_before(stage).is_some()
    }

    /// Whether a stage must remember something between records.
    pub fn remembers(&self, stage: usize) -> bool {
        let mut operators = self.operators[self.operators_of(stage)].iter();
        self.is_told(stage) || operators.any(|operator| operator.kind.state().is_some())
    }
}

impl OperatorKind {
    /// Positions of the fields by which it tells groups apart: all rows of a group must stand in one partition. For a join
    /// with another stream those of the left side.
    pub fn keys(&self) -> Option<&[usize]> {
        match self {
            Self::Group(group) => Some(&group.keys),
            Self::Window(window) => Some(&window.keys),
            Self::Deduplicate(deduplicate) => Some(&deduplicate.keys),
            Self::Previous(previous) => Some(&previous.keys),
            Self::StreamJoin(streams) => Some(&streams.join.left.key),
            Self::Filter(_) | Self::Map(_) | Self::FlatMap(_) | Self::Join(_) => None,
        }
    }
}
