//! Either kind, as one type: what a YAML document of ours holds.

use crate::{StreamPipeline, WindowAggregation};

/// One object of either kind.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// A `StreamPipeline`.
    StreamPipeline(Box<StreamPipeline>),
    /// A `WindowAggregation`.
    WindowAggregation(Box<WindowAggregation>),
}

impl Manifest {
    /// Kind as written in YAML.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StreamPipeline(_) => "StreamPipeline",
            Self::WindowAggregation(_) => "WindowAggregation",
        }
    }

    /// `metadata.name`, or the empty string.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, or `default`.
    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or("default")
    }

    /// `metadata.uid`: set by an API server, absent in a file.
    pub fn uid(&self) -> Option<&str> {
        self.metadata().uid.as_deref()
    }

    /// Names of the pipelines whose output it reads, as its source and as the streams of its joins, each with its path.
    pub fn references(&self) -> Vec<(String, &str)> {
        let (source, operators) = match self {
            Self::StreamPipeline(object) => (&object.spec.source, object.spec.operators.as_slice()),
            Self::WindowAggregation(object) => (&object.spec.source, &[] as &[_]),
        };
        let source = source.pipeline.as_ref().map(|reference| ("spec".to_owned(), reference));
        let streams = operators.iter().enumerate().filter_map(|(position, operator)| {
            let stream = operator.join.as_ref()?.stream.as_ref()?;
            let reference = stream.source.pipeline.as_ref()?;
            Some((format!("spec.operators[{position}].join.stream"), reference))
        });
        let all = source.into_iter().chain(streams);
        all.map(|(path, reference)| (format!("{path}.source.pipeline.name"), reference.name.as_str()))
            .collect()
    }

    /// Their names.
    pub fn reads(&self) -> Vec<&str> {
        self.references().into_iter().map(|(_, name)| name).collect()
    }

    fn metadata(&self) -> &kube::core::ObjectMeta {
        match self {
            Self::StreamPipeline(object) => &object.metadata,
            Self::WindowAggregation(object) => &object.metadata,
        }
    }
}
