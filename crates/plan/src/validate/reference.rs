//! `source.pipeline`, of a spec or of a joined stream: another pipeline's output as a source.

use millrace_crds::PipelineRef;
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

/// Finds the pipeline that `reference`, which stands at `path`, means, and checks it too. `trail` holds the names on the way
/// here.
pub(super) fn resolve(
    at: &str,
    reference: &PipelineRef,
    declared: &Declared,
    others: &[Manifest],
    trail: &[&str],
    problems: &mut Problems,
) -> Option<Upstream> {
    let path = format!("{at}.name");
    let path = path.as_str();
    if let Some(circle) = circle(declared, &reference.name, others) {
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
    upstream(at, plan.ok()?, reference.sink.as_deref(), problems)
}

/// The names on a way from a pipeline, by way of one that it reads, back to itself.
fn circle<'a>(declared: &Declared<'a>, first: &'a str, others: &'a [Manifest]) -> Option<Vec<&'a str>> {
    fn follow<'a>(way: Vec<&'a str>, declared: &Declared, others: &'a [Manifest]) -> Option<Vec<&'a str>> {
        let last = *way.last()?;
        if last == declared.name {
            return Some(way);
        }
        // Another circle, in which this pipeline does not stand: it is found from its own members.
        if way[..way.len() - 1].contains(&last) {
            return None;
        }
        let reads = find(declared, last, others).ok()?.reads();
        let mut further = reads.into_iter().map(|next| [way.as_slice(), &[next]].concat());
        further.find_map(|further| follow(further, declared, others))
    }
    follow(vec![first], declared, others).map(|way| [vec![declared.name], way].concat())
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

fn upstream(at: &str, plan: Plan, sink: Option<&str>, problems: &mut Problems) -> Option<Upstream> {
    let chosen = match sink {
        None => plan.sinks.first(),
        Some(name) => plan.sinks.iter().find(|sink| sink.name == name),
    };
    let Some(chosen) = chosen else {
        let names = plan.sinks.iter().map(|sink| sink.name.as_str());
        let unknown = suggest::unknown("sink", sink.unwrap_or_default(), names);
        problems.add(
            format!("{at}.sink"),
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
