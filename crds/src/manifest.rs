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

    fn metadata(&self) -> &kube::core::ObjectMeta {
        match self {
            Self::StreamPipeline(object) => &object.metadata,
            Self::WindowAggregation(object) => &object.metadata,
        }
    }
}
