//! The same jobs as manifests of `millrace run`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::peers::{Job, Pair, Question, Side, Totals, Windows};
use crate::programs::millrace;

/// What a run has given.
#[derive(Clone, Debug, Default)]
pub struct Ours {
    /// Results of windows, in order, and whether each is final.
    pub totals: Vec<(Totals, bool)>,
    /// Pairs of joins, in order.
    pub pairs: Vec<Pair>,
    /// Keys and times of the late records, sorted.
    pub late: Vec<(String, i64)>,
}

/// Plays a job.
pub fn ours(job: &Job) -> Result<Ours> {
    let folder = tempfile::tempdir()?;
    let [path, input, output, late, table, other] =
        ["m.yaml", "in", "out", "late", "table.csv", "other"].map(|name| folder.path().join(name));
    let manifest = manifest(job.question, job.grace).context("there is no manifest for this")?;
    fs::write(&path, manifest.to_string())?;
    let line =
        |(key, time, value): (&str, i64, Option<i64>)| json!({"key": key, "time": time, "value": value}).to_string();
    let left = job.records.iter().filter(|record| !record.right);
    let lines: Vec<String> = left
        .map(|record| line((&record.key, record.time, record.value)))
        .collect();
    fs::write(&input, lines.join("\n"))?;
    let right = || job.records.iter().filter(|record| record.right);
    let lines: Vec<String> = right()
        .map(|record| line((&record.key, record.time, record.value)))
        .collect();
    fs::write(&other, lines.join("\n"))?;
    let rows = right().map(|record| {
        format!(
            "{},{}\n",
            record.key,
            record.value.map_or(String::new(), |value| value.to_string())
        )
    });
    fs::write(&table, format!("key,right\n{}", rows.collect::<String>()))?;
    let mut arguments = vec!["run".into(), path];
    for (option, path) in [("--input", &input), ("--output", &output), ("--late", &late)] {
        arguments.extend([option.into(), path.clone()]);
    }
    if matches!(job.question, Question::Join { .. } | Question::WindowJoin { .. }) {
        arguments.extend(["--input".into(), format!("other={}", other.display()).into()]);
    }
    let run = millrace(arguments, Duration::from_secs(120))?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let read = |path| -> Result<Vec<Value>> {
        let text = fs::read_to_string(path).unwrap_or_default();
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    };
    let mut ours = Ours::default();
    for result in read(&output)? {
        match job.question {
            Question::Windows { .. } => ours
                .totals
                .push((Totals::of(&result)?, result["is_final"] == json!(true))),
            _ => ours.pairs.extend(Pair::all(std::slice::from_ref(&result))?),
        }
    }
    for record in read(&late)? {
        let key = record["key"].as_str().context("no key")?.to_owned();
        ours.late.push((key, record["time"].as_i64().context("no time")?));
    }
    ours.late.sort();
    Ok(ours)
}

/// None for what has no place in a manifest.
fn manifest(question: Question, grace: i64) -> Option<Value> {
    let operators = match question {
        Question::Windows { windows, lateness } => {
            let (kind, spec) = match windows {
                Windows::Tumbling(size) => ("tumbling", json!({"size": millis(size)})),
                Windows::Sliding(size, slide) => ("sliding", json!({"size": millis(size), "slide": millis(slide)})),
                Windows::Session(gap) => ("session", json!({"gap": millis(gap)})),
                Windows::RecordAligned(_) => return None,
            };
            let aggregate = |name: &str| json!({"name": name, "function": name, "expression": "value"});
            let aggregates =
                json!([{"name": "count", "function": "count"}, aggregate("sum"), aggregate("min"), aggregate("max")]);
            let window =
                json!({kind: spec, "allowedLateness": millis(lateness), "keys": ["key"], "aggregates": aggregates});
            let rename = json!([{"from": "window_start", "to": "start"}, {"from": "window_end", "to": "end"}]);
            json!([{"name": "window", "window": window}, {"name": "names", "map": {"rename": rename, "keep": NAMES}}])
        }
        Question::Table { side } if side != Side::Outer => {
            let schema = json!({"fields": [{"name": "key", "type": "string"}, {"name": "right", "type": "int64", "nullable": true}]});
            let table = json!({"name": "right", "file": {"path": "table.csv"}, "schema": schema, "key": ["key"]});
            let join = json!({"table": table, "match": [{"field": "key"}], "type": side.name()});
            let rename = json!([{"from": "value", "to": "left"}]);
            json!([{"name": "join", "join": join}, {"name": "names", "map": {"rename": rename}}])
        }
        Question::Table { .. } => return None,
        Question::Join { before, after, side } => stream_join(
            side,
            grace,
            "within",
            json!({"before": millis(before), "after": millis(after)}),
        ),
        Question::WindowJoin { size, side } => {
            stream_join(side, grace, "window", json!({"tumbling": {"size": millis(size)}}))
        }
    };
    let mut manifest = json!({
        "apiVersion": "millrace.io/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": {"name": "peer"},
        "spec": {
            "source": {"kafka": {"bootstrapServers": ["localhost:9092"], "topics": ["in"]}},
            "schema": {"fields": [
                {"name": "key", "type": "string"},
                {"name": "time", "type": "int64"},
                {"name": "value", "type": "int64", "nullable": true},
            ]},
            "key": ["key"],
            "eventTime": {"field": "time", "maxOutOfOrderness": millis(grace)},
            "operators": operators,
            "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
        },
    });
    if matches!(question, Question::Windows { .. }) {
        manifest["spec"]["lateRecords"] = json!({"kafka": {"topic": "late"}});
    }
    Some(manifest)
}

/// A join with the records of the right side as a stream of their own.
fn stream_join(side: Side, grace: i64, matching: &str, spec: Value) -> Value {
    let schema = json!({"fields": [
        {"name": "key", "type": "string"},
        {"name": "time", "type": "int64"},
        {"name": "right", "type": "int64", "path": "value", "nullable": true},
    ]});
    let stream = json!({
        "name": "other",
        "source": {"kafka": {"topics": ["other"]}},
        "schema": schema,
        "eventTime": {"field": "time", "maxOutOfOrderness": millis(grace)},
    });
    let join = json!({
        "stream": stream,
        "match": [{"field": "key"}],
        "type": side.name(),
        "fields": [{"field": "right"}],
        matching: spec,
    });
    let rename = json!([{"from": "value", "to": "left"}]);
    json!([{"name": "join", "join": join}, {"name": "names", "map": {"rename": rename, "keep": ["key", "right"]}}])
}

const NAMES: [&str; 6] = ["key", "is_final", "count", "sum", "min", "max"];

fn millis(millis: i64) -> String {
    format!("{millis}ms")
}
