//! The topics that are tables, filled from files before a run without a broker.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use millrace_connect::Delivered;
use millrace_connect::memory::Broker;
use millrace_plan::{Plan, TableOrigin};

use super::keys::Keys;
use super::lines::Lines;

/// Makes the topic of each such table, with the lines of its file as records.
pub fn fill(broker: &Broker, plan: &Plan, files: &[(String, PathBuf)]) -> anyhow::Result<()> {
    let topics = || {
        plan.tables().filter_map(|(_, table)| match &table.origin {
            TableOrigin::Topic(topic) => Some((table, topic)),
            TableOrigin::File(_) | TableOrigin::ConfigMap { .. } => None,
        })
    };
    for (name, _) in files {
        ensure!(
            topics().any(|(table, _)| table.name == *name),
            "--table {name}: no join has a table of this name that is a topic"
        );
    }
    for (table, topic) in topics() {
        if broker.partitions(topic.as_str()).is_some() {
            continue;
        }
        let Some((_, path)) = files.iter().find(|(name, _)| *name == table.name) else {
            bail!(
                "table {name} is topic {topic}: name a file with its rows, one JSON object a line, with --table {name}=PATH",
                name = table.name
            );
        };
        broker.create_topic(topic.as_str(), 1);
        let (mut lines, mut keys) = (Lines::open(path)?, Keys::of_table(table));
        loop {
            let chunk = lines.chunk()?;
            if chunk.is_empty() {
                break;
            }
            for (line, key) in chunk.iter().zip(keys.of(&chunk)) {
                let record = Delivered {
                    key: key.as_deref(),
                    value: Some(line),
                    ..Delivered::default()
                };
                broker
                    .append(topic.as_str(), Some(0), record)
                    .context("cannot hand a row to the engine")?;
            }
        }
    }
    Ok(())
}
