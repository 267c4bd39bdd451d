//! Either kind as one list of parts, each with its path in the YAML. After this nothing asks for the kind.

use millrace_crds::manifest::Manifest;
use millrace_crds::{
    CheckpointSpec, DeadLetterSpec, DeduplicateSpec, EventTimeSpec, FlatMapSpec, GroupBySpec, JoinSpec,
    LateRecordsSpec, MapSpec, OnStateChange, OperatorSpec, PreviousSpec, ResourcesSpec, ScalingSpec, SchemaSpec,
    SinkSpec, SourceSpec, StreamPipeline, WindowAggregation, WindowSpec,
};

pub(super) struct Declared<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) uid: Option<&'a str>,
    pub(super) source: &'a SourceSpec,
    pub(super) schema: Option<&'a SchemaSpec>,
    pub(super) key: Option<&'a [String]>,
    /// The record key where none is given, and the path of the fields it is taken from.
    pub(super) default_key: Option<(&'static str, &'a [String])>,
    pub(super) event_time: Option<&'a EventTimeSpec>,
    pub(super) steps: Vec<Step<'a>>,
    pub(super) sinks: &'a [SinkSpec],
    pub(super) dead_letter: Option<&'a DeadLetterSpec>,
    pub(super) late_records: Option<&'a LateRecordsSpec>,
    pub(super) checkpoint: Option<&'a CheckpointSpec>,
    pub(super) state_id: Option<&'a str>,
    pub(super) on_state_change: Option<&'a OnStateChange>,
    pub(super) workload: WorkloadSpec<'a>,
}

/// What only the controller asks for.
pub(super) struct WorkloadSpec<'a> {
    pub(super) replicas: u16,
    pub(super) scaling: Option<&'a ScalingSpec>,
    pub(super) resources: Option<&'a ResourcesSpec>,
    pub(super) suspend: bool,
}

/// One operator.
pub(super) struct Step<'a> {
    pub(super) name: &'a str,
    /// Where the operator stands.
    pub(super) path: String,
    /// None: not exactly one body.
    pub(super) body: Option<(String, Body<'a>)>,
}

/// What an operator does.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Filter(&'a str),
    Map(&'a MapSpec),
    FlatMap(&'a FlatMapSpec),
    GroupBy(&'a GroupBySpec),
    Window(&'a WindowSpec),
    Join(&'a JoinSpec),
    Deduplicate(&'a DeduplicateSpec),
    Previous(&'a PreviousSpec),
}

impl Declared<'_> {
    /// Whether the source is another pipeline's output, and nothing else.
    pub(super) fn reads_pipeline(&self) -> bool {
        self.source.pipeline.is_some() && self.source.kafka.is_none()
    }

    /// Whether anything is remembered between records.
    pub(super) fn is_stateful(&self) -> bool {
        let remembers = |step: &Step| match &step.body {
            Some((_, Body::GroupBy(_) | Body::Window(_) | Body::Deduplicate(_) | Body::Previous(_))) => true,
            Some((_, Body::Join(join))) => join.stream.is_some(),
            _ => false,
        };
        self.steps.iter().any(remembers)
    }

    /// Operators whose state may be thrown away.
    pub(super) fn droppable(&self) -> &[String] {
        self.on_state_change.map_or(&[], |change| &change.drop)
    }

    /// Whether both are the same object.
    pub(super) fn is(&self, other: &Declared) -> bool {
        self.kind == other.kind && self.namespace == other.namespace && self.name == other.name
    }
}

impl<'a> From<&'a Manifest> for Declared<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        match manifest {
            Manifest::StreamPipeline(object) => stream_pipeline(manifest, object),
            Manifest::WindowAggregation(object) => window_aggregation(manifest, object),
        }
    }
}

fn stream_pipeline<'a>(manifest: &'a Manifest, object: &'a StreamPipeline) -> Declared<'a> {
    let spec = &object.spec;
    Declared {
        kind: manifest.kind(),
        name: manifest.name(),
        namespace: manifest.namespace(),
        uid: manifest.uid(),
        source: &spec.source,
        schema: spec.schema.as_ref(),
        key: spec.key.as_deref(),
        default_key: None,
        event_time: spec.event_time.as_ref(),
        steps: spec
            .operators
            .iter()
            .enumerate()
            .map(|(position, operator)| step(position, operator))
            .collect(),
        sinks: &spec.sinks,
        dead_letter: spec.dead_letter.as_ref(),
        late_records: spec.late_records.as_ref(),
        checkpoint: spec.checkpoint.as_ref(),
        state_id: spec.state_id.as_deref(),
        on_state_change: spec.on_state_change.as_ref(),
        workload: WorkloadSpec {
            replicas: spec.replicas,
            scaling: spec.scaling.as_ref(),
            resources: spec.resources.as_ref(),
            suspend: spec.suspend,
        },
    }
}

fn step(position: usize, operator: &OperatorSpec) -> Step<'_> {
    let path = format!("spec.operators[{position}]");
    let bodies = [
        operator
            .filter
            .as_ref()
            .map(|filter| ("filter.where", Body::Filter(&filter.predicate))),
        operator.map.as_ref().map(|map| ("map", Body::Map(map))),
        operator
            .flat_map
            .as_ref()
            .map(|flat_map| ("flatMap", Body::FlatMap(flat_map))),
        operator
            .group_by
            .as_ref()
            .map(|group_by| ("groupBy", Body::GroupBy(group_by))),
        operator.window.as_ref().map(|window| ("window", Body::Window(window))),
        operator.join.as_ref().map(|join| ("join", Body::Join(join))),
        operator
            .deduplicate
            .as_ref()
            .map(|deduplicate| ("deduplicate", Body::Deduplicate(deduplicate))),
        operator
            .previous
            .as_ref()
            .map(|previous| ("previous", Body::Previous(previous))),
    ];
    let mut bodies = bodies.into_iter().flatten();
    let body = match (bodies.next(), bodies.next()) {
        (Some((field, body)), None) => Some((format!("{path}.{field}"), body)),
        _ => None,
    };
    Step {
        name: &operator.name,
        path,
        body,
    }
}

fn window_aggregation<'a>(manifest: &'a Manifest, object: &'a WindowAggregation) -> Declared<'a> {
    let spec = &object.spec;
    let path = || "spec".to_owned();
    let filter = spec.predicate.as_deref().map(|predicate| Step {
        name: "where",
        path: path(),
        body: Some(("spec.where".to_owned(), Body::Filter(predicate))),
    });
    let window = Step {
        name: "window",
        path: path(),
        body: Some(("spec.window".to_owned(), Body::Window(&spec.window))),
    };
    Declared {
        kind: manifest.kind(),
        name: manifest.name(),
        namespace: manifest.namespace(),
        uid: manifest.uid(),
        source: &spec.source,
        schema: spec.schema.as_ref(),
        key: spec.key.as_deref(),
        default_key: Some(("spec.window.keys", &spec.window.keys)),
        event_time: spec.event_time.as_ref(),
        steps: filter.into_iter().chain([window]).collect(),
        sinks: &spec.sinks,
        dead_letter: spec.dead_letter.as_ref(),
        late_records: spec.late_records.as_ref(),
        checkpoint: spec.checkpoint.as_ref(),
        state_id: spec.state_id.as_deref(),
        on_state_change: spec.on_state_change.as_ref(),
        workload: WorkloadSpec {
            replicas: spec.replicas,
            scaling: spec.scaling.as_ref(),
            resources: spec.resources.as_ref(),
            suspend: spec.suspend,
        },
    }
}
