//! `spec.source.pipeline`: another pipeline's output as a source.

use millrace_crds::manifest::Manifest;

use super::declared::Declared;
use super::problems::Problems;
use super::{key, whole};
use crate::{Connection, Field, Plan, TopicName, suggest};

/// What a pipeline needs to know about the one whose output it reads.
pub(super) struct Upstream {
    pub(super) connection: Connection,
    pub(super) topic: TopicName,
    /// The fields of a result, where they stand in its JSON object.
    pub(super) fields: Vec<Field>,
    /// The record key, as positions in `fields`. None: its records have no key that is known.
    pub(super) key: Option<Vec<usize>>,
}

/// Finds the referenced pipeline and checks it too. `trail` holds the names on the way here.
pub(super) fn resolve(
    declared: &Declared,
    others: &[Manifest],
    trail: &[&str],
    problems: &mut Problems,
) -> Option<Upstream> {
    let reference = declared
        .source
        .pipeline
        .as_ref()
        .filter(|_| declared.reads_pipeline())?;
    let path = "spec.source.pipeline.name";
    if let Some(circle) = circle(declared, others) {
        problems.add(
            path,
            format!("pipelines read each other in a circle: {}", circle.join(" reads ")),
        );
        return None;
    }
    if trail.contains(&declared.name) {
        problems.add(path, "is part of a circle of pipelines that read each other");
        return None;
    }
    let trail = [trail, &[declared.name]].concat();
    let found = find(declared, &reference.name, others)
        .map_err(|message| problems.add(path, message))
        .ok()?;
    let plan = whole(found, others, &trail).map_err(|theirs| {
        let first = theirs.first().map(ToString::to_string).unwrap_or_default();
        let more = if theirs.len() > 1 {
            format!(" (and {} more)", theirs.len() - 1)
        } else {
            String::new()
        };
        problems.add(
            path,
            format!("{} `{}` is invalid itself: {first}{more}", found.kind(), reference.name),
        );
    });
    upstream(plan.ok()?, reference.sink.as_deref(), problems)
}

/// The names on the way from a pipeline back to itself.
fn circle<'a>(declared: &'a Declared, others: &'a [Manifest]) -> Option<Vec<&'a str>> {
    let mut way = vec![declared.name];
    let mut next = declared.source.pipeline.as_ref()?.name.as_str();
    while !way.contains(&next) {
        way.push(next);
        next = Declared::from(find(declared, next, others).ok()?)
            .source
            .pipeline
            .as_ref()?
            .name
            .as_str();
    }
    way.push(next);
    (next == declared.name).then_some(way)
}

fn find<'a>(declared: &Declared, name: &str, others: &'a [Manifest]) -> Result<&'a Manifest, String> {
    let here = || others.iter().filter(|other| other.namespace() == declared.namespace);
    let mut found = here().filter(|other| other.name() == name);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) if one.kind() != other.kind() => Err(format!(
            "`{name}` is the name of a {} and of a {}: rename one",
            one.kind(),
            other.kind()
        )),
        (Some(one), Some(_)) => Ok(one),
        (None, _) => Err(format!(
            "no StreamPipeline or WindowAggregation `{name}` in namespace `{}`{}",
            declared.namespace,
            suggest::hint(name, here().map(Manifest::name))
        )),
    }
}

fn upstream(plan: Plan, sink: Option<&str>, problems: &mut Problems) -> Option<Upstream> {
    let chosen = match sink {
        None => plan.sinks.first(),
        Some(name) => plan.sinks.iter().find(|sink| sink.name == name),
    };
    let Some(chosen) = chosen else {
        let names = plan.sinks.iter().map(|sink| sink.name.as_str());
        let unknown = suggest::unknown("sink", sink.unwrap_or_default(), names);
        problems.add(
            "spec.source.pipeline.sink",
            format!("{unknown} of {} `{}`", plan.kind, plan.name),
        );
        return None;
    };
    Some(Upstream {
        connection: plan.source.connection.clone(),
        topic: chosen.topic.name.clone(),
        fields: plan.output().to_vec(),
        key: key::of_results(&plan),
    })
}
