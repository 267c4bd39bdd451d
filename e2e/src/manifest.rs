//! The manifests of `examples/`, changed in what a test must choose: broker, topics, group, checkpoint interval. What a
//! test checks is thereby what a reader of the examples gets.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    object: Value,
}

/// The folder `examples` of the checkout.
pub fn examples() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("examples")
}

impl Manifest {
    /// The manifest at `path` below `examples/`.
    pub fn example(path: &str) -> Result<Self> {
        let path = examples().join(path);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self {
            object: yaml_serde::from_str(&text).with_context(|| path.display().to_string())?,
        })
    }

    /// Sets the value at a path of member names such as `spec.checkpoint.interval`; missing objects on the way are made.
    pub fn with(mut self, path: &str, value: Value) -> Self {
        let place = path
            .split('.')
            .fold(&mut self.object, |object, member| &mut object[member]);
        *place = value;
        self
    }

    /// Reads `topic` from the broker at `bootstrap` and writes to topics called `<name>`, `<name>-dead` and
    /// `<name>-late`, as the group and state id `<name>`, committing every 200 ms.
    pub fn between(self, bootstrap: &str, topic: &str, name: &str) -> Self {
        self.with("metadata.name", json!(name))
            .with("spec.stateId", json!(name))
            .with("spec.source.kafka.bootstrapServers", json!([bootstrap]))
            .with("spec.source.kafka.topics", json!([topic]))
            .with("spec.source.kafka.group", json!(name))
            .with("spec.sinks", json!([{ "name": "out", "kafka": { "topic": name } }]))
            .with("spec.deadLetter.kafka.topic", json!(format!("{name}-dead")))
            .with("spec.checkpoint.interval", json!("200ms"))
            .with_late(name)
    }

    fn with_late(self, name: &str) -> Self {
        if self.object["spec"].get("lateRecords").is_none() {
            return self;
        }
        self.with("spec.lateRecords.kafka.topic", json!(format!("{name}-late")))
    }

    /// Writes the manifest to `path`, as JSON, which is YAML too.
    pub fn save(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_vec_pretty(&self.object)?).with_context(|| path.display().to_string())
    }
}

/// As JSON, which is YAML too.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_test_chooses_changes() {
        let before = Manifest::example("02-tumbling-window/pipeline.yaml").unwrap();
        let after = before.clone().between("127.0.0.1:1", "in", "name");
        assert_eq!(after.object["spec"]["source"]["kafka"]["topics"], json!(["in"]));
        assert_eq!(after.object["spec"]["lateRecords"]["kafka"]["topic"], "name-late");
        assert_eq!(after.object["spec"]["operators"], before.object["spec"]["operators"]);
        assert_eq!(after.object["spec"]["schema"], before.object["spec"]["schema"]);
    }
}
