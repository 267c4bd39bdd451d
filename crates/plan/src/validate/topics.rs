//! `spec.sinks`, `spec.deadLetter` and `spec.lateRecords`: the topics that Millrace writes.

use millrace_crds::TopicSpec;

use super::declared::{Body, Declared};
use super::duration;
use super::problems::Problems;
use super::scope::Unique;
use crate::{Operator, OperatorKind, OtherStream, Sink, Source, Topic, TopicName};

/// All written topics.
pub(super) struct Topics {
    pub(super) sinks: Vec<Sink>,
    pub(super) dead_letter: Topic,
    pub(super) late_records: Option<Topic>,
}

/// Checks the topics; none may be read by the same pipeline, and none may be written for two purposes.
pub(super) fn check(
    declared: &Declared,
    source: Option<&Source>,
    operators: Option<&[Operator]>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<Topics> {
    for (index, topic) in source.into_iter().flat_map(|source| source.topics.iter().enumerate()) {
        let path = match declared.source.kafka {
            Some(_) => format!("spec.source.kafka.topics[{index}]"),
            None => "spec.source.pipeline".to_owned(),
        };
        taken.0.push((topic.clone(), path));
    }
    for (position, operator) in operators.unwrap_or_default().iter().enumerate() {
        if let OperatorKind::StreamJoin(streams) = &operator.kind {
            joined(position, &streams.other, taken, problems);
        }
    }
    for step in &declared.steps {
        if let Some((path, Body::Join(spec))) = &step.body
            && let Some(topic) = spec.table.as_ref().and_then(|table| table.topic.as_ref())
            && let Ok(name) = TopicName::parse(&topic.name)
        {
            taken.0.push((name, format!("{path}.table.topic.name")));
        }
    }
    let sinks = sinks(declared, taken, problems);
    let dead_letter = match declared.dead_letter {
        Some(spec) => topic("spec.deadLetter.kafka", &spec.kafka, taken, problems),
        None => default_dead_letter(declared, taken, problems),
    };
    let late_records = declared.late_records.map(|spec| {
        if !declared
            .steps
            .iter()
            .any(|step| can_be_late(step.body.as_ref().map(|(_, body)| *body)))
        {
            let text = "leave it out: without a window or a join with a stream no record is late";
            problems.add("spec.lateRecords", text);
        }
        topic("spec.lateRecords.kafka", &spec.kafka, taken, problems)
    });
    let late_records = match late_records {
        None => None,
        Some(topic) => Some(topic?),
    };
    Some(Topics {
        sinks: sinks?,
        dead_letter: dead_letter?,
        late_records,
    })
}

fn can_be_late(body: Option<Body>) -> bool {
    match body {
        Some(Body::Window(_)) => true,
        Some(Body::Join(join)) => join.stream.is_some(),
        _ => false,
    }
}

/// The topics of a joined stream. A group reads a topic once, and what stands in it once.
fn joined(position: usize, other: &OtherStream, taken: &mut Taken, problems: &mut Problems) {
    for topic in &other.topics {
        let path = format!("spec.operators[{position}].join.stream.source");
        if let Some(by) = taken.by(topic) {
            let text = format!(
                "topic `{topic}` is read at {by} already, and a pipeline reads a topic once: to join it with itself, let \
                 another pipeline copy it"
            );
            problems.add(path, text);
            continue;
        }
        taken.0.push((topic.clone(), path));
    }
}

fn sinks(declared: &Declared, taken: &mut Taken, problems: &mut Problems) -> Option<Vec<Sink>> {
    if declared.sinks.is_empty() {
        problems.add("spec.sinks", "needs at least one sink");
        return None;
    }
    let mut names = Unique::default();
    let mut sinks = Vec::new();
    for (index, spec) in declared.sinks.iter().enumerate() {
        let path = format!("spec.sinks[{index}]");
        names.insert("sink", &spec.name, &format!("{path}.name"), problems);
        let topic = topic(&format!("{path}.kafka"), &spec.kafka, taken, problems);
        sinks.extend(topic.map(|topic| Sink {
            name: spec.name.clone(),
            topic,
        }));
    }
    (sinks.len() == declared.sinks.len()).then_some(sinks)
}

fn default_dead_letter(declared: &Declared, taken: &mut Taken, problems: &mut Problems) -> Option<Topic> {
    // A missing or broken name is reported where it stands.
    let name = TopicName::parse(&format!("{}-dead-letters", declared.name)).ok();
    if name.is_none() && crate::names::is_dns_name(declared.name) {
        problems.add(
            "spec.deadLetter",
            "is missing, and the name is too long for the default topic; name a topic",
        );
    }
    let name = taken.claim(name?, "spec.deadLetter (by default)", problems)?;
    Some(Topic {
        name,
        create: true,
        partitions: None,
        replication_factor: None,
        retention: None,
    })
}

fn topic(path: &str, spec: &TopicSpec, taken: &mut Taken, problems: &mut Problems) -> Option<Topic> {
    let before = problems.len();
    let name_path = format!("{path}.topic");
    let name = problems.take(&name_path, TopicName::parse(&spec.topic));
    let name = name.and_then(|name| taken.claim(name, &name_path, problems));
    let create = spec.create.unwrap_or(true);
    let settings = [
        (
            "partitions",
            spec.partitions.is_some(),
            spec.partitions.is_none_or(|n| (1..=10_000).contains(&n)),
            "10000",
        ),
        (
            "replicationFactor",
            spec.replication_factor.is_some(),
            spec.replication_factor.is_none_or(|n| (1..=32).contains(&n)),
            "32",
        ),
        ("retention", spec.retention.is_some(), true, ""),
    ];
    for (setting, given, within, most) in settings {
        if given && !create {
            problems.add(
                format!("{path}.{setting}"),
                "is for topics that are created, and `create` is false",
            );
        } else if !within {
            problems.add(format!("{path}.{setting}"), format!("must be between 1 and {most}"));
        }
    }
    let retention = spec.retention.as_ref().and_then(|text| {
        let path = format!("{path}.retention");
        let retention = problems.take(&path, duration::parse(text))?;
        if retention.is_zero() {
            problems.add(path, "must be at least 1ms");
        }
        Some(retention)
    });
    let (partitions, replication_factor) = (spec.partitions, spec.replication_factor);
    (problems.len() == before).then_some(Topic {
        name: name?,
        create,
        partitions,
        replication_factor,
        retention,
    })
}

/// Topics in use, with the place that uses each.
#[derive(Default)]
pub(super) struct Taken(Vec<(TopicName, String)>);

impl Taken {
    fn by(&self, name: &TopicName) -> Option<&str> {
        let found = self.0.iter().find(|(taken, _)| taken == name);
        found.map(|(_, by)| by.as_str())
    }

    pub(super) fn claim(&mut self, name: TopicName, path: &str, problems: &mut Problems) -> Option<TopicName> {
        if let Some(by) = self.by(&name) {
            problems.add(path, format!("topic `{name}` is used at {by} already"));
            return None;
        }
        self.0.push((name.clone(), path.to_owned()));
        Some(name)
    }
}
