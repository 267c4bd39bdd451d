//! Every aggregate over tumbling windows a key, by `millrace run` and by Flink's SQL.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::peers::{Peer, Record, ours};

/// One aggregate of both.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Name in our results.
    pub name: &'static str,
    /// The aggregate as JSON, without its name.
    ours: &'static str,
    /// The same in Flink's SQL: `v` is the value or NULL, `d` the same as a double.
    flink: &'static str,
}

const fn compared(name: &'static str, ours: &'static str, flink: &'static str) -> Compared {
    Compared { name, ours, flink }
}

/// All of them.
pub const COMPARED: [Compared; 21] = [
    compared("records", r#"{"function": "count"}"#, "COUNT(*)"),
    compared("values", r#"{"function": "count", "expression": "value"}"#, "COUNT(v)"),
    compared("sum", r#"{"function": "sum", "expression": "value"}"#, "SUM(v)"),
    compared("min", r#"{"function": "min", "expression": "value"}"#, "MIN(v)"),
    compared("max", r#"{"function": "max", "expression": "value"}"#, "MAX(v)"),
    compared("avg", r#"{"function": "avg", "expression": "value"}"#, "AVG(d)"),
    compared(
        "stddev",
        r#"{"function": "stddev", "expression": "value"}"#,
        "STDDEV_SAMP(d)",
    ),
    compared(
        "stddevPop",
        r#"{"function": "stddevPop", "expression": "value"}"#,
        "STDDEV_POP(d)",
    ),
    compared(
        "variance",
        r#"{"function": "variance", "expression": "value"}"#,
        "VAR_SAMP(d)",
    ),
    compared(
        "variancePop",
        r#"{"function": "variancePop", "expression": "value"}"#,
        "VAR_POP(d)",
    ),
    compared(
        "first",
        r#"{"function": "first", "expression": "value"}"#,
        "FIRST_VALUE(v)",
    ),
    compared(
        "last",
        r#"{"function": "last", "expression": "value"}"#,
        "LAST_VALUE(v)",
    ),
    compared(
        "countDistinct",
        r#"{"function": "countDistinct", "expression": "value"}"#,
        "COUNT(DISTINCT v)",
    ),
    compared(
        "approxCountDistinct",
        r#"{"function": "approxCountDistinct", "expression": "value"}"#,
        "COUNT(DISTINCT v)",
    ),
    compared(
        "sumDistinct",
        r#"{"function": "sum", "expression": "value", "distinct": true}"#,
        "SUM(DISTINCT v)",
    ),
    compared(
        "countWhere",
        r#"{"function": "count", "where": "value > 0"}"#,
        "COUNT(*) FILTER (WHERE v > 0)",
    ),
    compared(
        "sumWhere",
        r#"{"function": "sum", "expression": "value", "where": "value > 0"}"#,
        "SUM(v) FILTER (WHERE v > 0)",
    ),
    compared(
        "list",
        r#"{"function": "collectList", "expression": "value", "limit": 1000}"#,
        "ARRAY_AGG(v)",
    ),
    compared(
        "top",
        r#"{"function": "topN", "expression": "value", "limit": 3}"#,
        "ARRAY_AGG(v)",
    ),
    compared(
        "median",
        r#"{"function": "approxPercentile", "expression": "value", "percentile": 0.5}"#,
        "PERCENTILE(v, 0.5)",
    ),
    // Of whole numbers.
    compared("mean", r#"{"function": "avg", "expression": "value"}"#, "AVG(v)"),
];

/// Results of all aggregates, in their order, by key and start of the window.
pub type Results = BTreeMap<(String, i64), Vec<Value>>;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Aggregates {
    /// Milliseconds of a window.
    pub size: i64,
    /// How far records may be out of order.
    pub grace: i64,
    /// The input.
    pub records: Vec<Record>,
}

impl Aggregates {
    /// By Flink.
    pub fn of_flink(&self) -> Result<Results> {
        let job = json!({
            "kind": "aggregates",
            "size": self.size,
            "grace": self.grace,
            "expressions": COMPARED.map(|compared| compared.flink),
            "records": self.records.iter().map(Record::json).collect::<Vec<_>>(),
        });
        let results = Peer::Flink.play(&[job])?;
        let row = |result: &Value| {
            let values = result["values"].as_array().context("no values")?.clone();
            Ok((place(result, "start")?, values))
        };
        results.iter().flatten().map(row).collect()
    }

    /// By this Millrace.
    pub fn of_ours(&self) -> Result<Results> {
        let folder = tempfile::tempdir()?;
        let results = ours::run(folder.path(), &self.manifest()?, self.records.iter(), Vec::new())?;
        let row = |mut result: Value| {
            let values = COMPARED.iter().map(|compared| result[compared.name].take()).collect();
            Ok((place(&result, "window_start")?, values))
        };
        results.into_iter().map(row).collect()
    }

    fn manifest(&self) -> Result<Value> {
        let aggregate = |compared: &Compared| {
            let mut aggregate: Value = serde_json::from_str(compared.ours)?;
            aggregate["name"] = json!(compared.name);
            Ok(aggregate)
        };
        let aggregates = COMPARED.iter().map(aggregate).collect::<Result<Vec<_>>>()?;
        let mut spec = ours::spec(self.grace);
        let tumbling = json!({"size": ours::millis(self.size)});
        spec["window"] = json!({"tumbling": tumbling, "keys": ["key"], "aggregates": aggregates});
        Ok(json!({
            "apiVersion": "millrace.io/v1alpha1",
            "kind": "WindowAggregation",
            "metadata": {"name": "aggregates"},
            "spec": spec,
        }))
    }
}

fn place(result: &Value, start: &str) -> Result<(String, i64)> {
    let key = result["key"].as_str().context("no key")?;
    Ok((key.to_owned(), result[start].as_i64().context("no start")?))
}
