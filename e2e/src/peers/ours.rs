//! The same jobs as manifests of `millrace run`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::peers::{Job, Pair, Question, Record, Side, Totals, Windows};
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
    let [late, table, other] = ["late", "table.csv", "other"].map(|name| folder.path().join(name));
    let manifest = manifest(job.question, job.grace).context("there is no manifest for this")?;
    let right = || job.records.iter().filter(|record| record.right);
    fs::write(&other, lines(right()))?;
    let rows = right().map(|record| {
        format!(
            "{},{}\n",
            record.key,
            record.value.map_or(String::new(), |value| value.to_string())
        )
    });
    fs::write(&table, format!("key,right\n{}", rows.collect::<String>()))?;
    let mut more: Vec<OsString> = vec!["--late".into(), late.clone().into()];
    if matches!(job.question, Question::Join { .. } | Question::WindowJoin { .. }) {
        more.extend(["--input".into(), format!("other={}", other.display()).into()]);
    }
    let left = job.records.iter().filter(|record| !record.right);
    let mut ours = Ours::default();
    for result in run(folder.path(), &manifest, left, more)? {
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

/// The results of a manifest over these records of its source, in `folder`.
pub(super) fn run<'a>(
    folder: &Path,
    manifest: &Value,
    records: impl Iterator<Item = &'a Record>,
    more: Vec<OsString>,
) -> Result<Vec<Value>> {
    let [path, input, output] = ["m.yaml", "in", "out"].map(|name| folder.join(name));
    fs::write(&path, manifest.to_string())?;
    fs::write(&input, lines(records))?;
    let options = ["--input".into(), input.into(), "--output".into(), output.clone().into()];
    let arguments = ["run".into(), path.into()].into_iter().chain(options).chain(more);
    let run = millrace(arguments, Duration::from_secs(120))?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    read(&output)
}

fn lines<'a>(records: impl Iterator<Item = &'a Record>) -> String {
    let lines: Vec<String> = records.map(|record| record.json().to_string()).collect();
    lines.join("\n")
}

fn read(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// What the specs of all manifests begin with: where the records are, and their fields.
pub(super) fn spec(grace: i64) -> Value {
    json!({
        "source": {"kafka": {"bootstrapServers": ["localhost:9092"], "topics": ["in"]}},
        "schema": {"fields": [
            {"name": "key", "type": "string"},
            {"name": "time", "type": "int64"},
            {"name": "value", "type": "int64", "nullable": true},
        ]},
        "key": ["key"],
        "eventTime": {"field": "time", "maxOutOfOrderness": millis(grace)},
        "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
    })
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
    let mut spec = spec(grace);
    spec["operators"] = operators;
    if matches!(question, Question::Windows { .. }) {
        spec["lateRecords"] = json!({"kafka": {"topic": "late"}});
    }
    Some(json!({
        "apiVersion": "millrace.io/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": {"name": "peer"},
        "spec": spec,
    }))
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

pub(super) fn millis(millis: i64) -> String {
    format!("{millis}ms")
}
