//! Cases as pipelines of `millrace run`: expressions with the same condition share one `map`, aggregates with the same
//! condition one `groupBy`. A case that fails takes its row away from all others, so those that should fail run alone, and
//! so do all of a pipeline that did not give every row.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::programs::millrace;
use crate::sql::shape::{Aggregate, Shape};
use crate::sql::{Answer, Case, Expected, File, Only};

/// Expressions in a pipeline; the most that a `groupBy` has.
const BATCH: usize = 64;

/// A file's table, as Millrace reads it.
pub struct Millrace {
    fields: Vec<Value>,
    rows: Vec<String>,
}

/// What a run has given.
struct Ran {
    /// Lines of the output, by field; None where it failed as a whole.
    output: Vec<BTreeMap<String, Box<RawValue>>>,
    /// What was said on stderr and about dead letters.
    said: String,
}

impl Millrace {
    /// The table of a file with these rows.
    pub fn new(file: &File, rows: Vec<String>) -> Result<Self> {
        let create = file
            .statements()
            .find(|statement| statement.starts_with("CREATE TABLE t ("));
        let columns = create.and_then(|create| create.split_once('(')?.1.strip_suffix(')'));
        let columns = columns.context("no CREATE TABLE t (…)")?;
        let fields = columns.split(", ").map(field).collect::<Result<_>>()?;
        Ok(Self { fields, rows })
    }

    /// Answers all cases of a file but those for PostgreSQL alone, which get an empty answer.
    pub fn answer(&self, file: &File) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = vec![None; file.cases.len()];
        let mut batches: BTreeMap<(Option<&str>, Option<&str>), Vec<usize>> = BTreeMap::new();
        for (at, case) in file.cases.iter().enumerate() {
            match (&case.expected, case.only) {
                (_, Only::Postgres) => answers[at] = Some(Answer::Rows(Vec::new())),
                (Expected::Error(_), _) => answers[at] = Some(self.alone(case)?),
                (Expected::Rows(_), _) => {
                    let shape = Shape::of(&case.sql)?;
                    batches.entry((shape.key, shape.condition)).or_default().push(at);
                }
            }
        }
        for positions in batches.values().flat_map(|positions| positions.chunks(BATCH)) {
            let cases: Vec<&Case> = positions.iter().map(|at| &file.cases[*at]).collect();
            let together = self.together(&cases)?;
            for (number, at) in positions.iter().enumerate() {
                answers[*at] = Some(match &together {
                    Some(answers) => answers[number].clone(),
                    None => self.alone(&file.cases[*at])?,
                });
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.context("a case was left out"))
            .collect()
    }

    fn alone(&self, case: &Case) -> Result<Answer> {
        let ran = self.run(&[case])?;
        match ran.said.is_empty() {
            true => Ok(Answer::Rows(column(&ran, case, 0)?)),
            false => Ok(Answer::Error(ran.said)),
        }
    }

    /// None if one of them failed on a row, or is refused.
    fn together(&self, cases: &[&Case]) -> Result<Option<Vec<Answer>>> {
        let ran = self.run(cases)?;
        if !ran.said.is_empty() {
            return Ok(None);
        }
        let answer = |(number, case): (usize, &&Case)| Ok(Answer::Rows(column(&ran, case, number)?));
        cases.iter().enumerate().map(answer).collect::<Result<_>>().map(Some)
    }

    fn run(&self, cases: &[&Case]) -> Result<Ran> {
        let folder = tempfile::tempdir()?;
        let [manifest, input, output, dead] = ["m.yaml", "in", "out", "dead"].map(|name| folder.path().join(name));
        fs::write(&manifest, serde_json::to_vec_pretty(&self.manifest(cases)?)?)?;
        fs::write(&input, self.rows.join("\n"))?;
        let mut arguments = vec!["run".into(), manifest];
        for (option, path) in [("--input", &input), ("--output", &output), ("--dead-letters", &dead)] {
            arguments.extend([option.into(), path.clone()]);
        }
        let run = millrace(arguments, Duration::from_secs(60))?;
        if run.status.code() == Some(101) {
            bail!("it panicked: {}", String::from_utf8_lossy(&run.stderr));
        }
        let mut said = String::new();
        if !run.status.success() {
            said = String::from_utf8_lossy(&run.stderr).into_owned();
        }
        for letter in fs::read_to_string(&dead).unwrap_or_default().lines() {
            let letter: Value = serde_json::from_str(letter)?;
            said.push_str(letter["error"].as_str().context("a dead letter has an error")?);
        }
        let lines = fs::read_to_string(&output).unwrap_or_default();
        let output = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Ran { output, said })
    }

    fn manifest(&self, cases: &[&Case]) -> Result<Value> {
        let first = Shape::of(&cases[0].sql)?;
        let mut operators = Vec::new();
        if let Some(condition) = first.condition {
            operators.push(json!({"name": "where", "filter": {"where": condition}}));
        }
        let shapes = cases
            .iter()
            .enumerate()
            .map(|(number, case)| Ok((number, Shape::of(&case.sql)?.value)));
        let shapes: Vec<(usize, &str)> = shapes.collect::<Result<_>>()?;
        operators.push(match first.key {
            None => {
                let set = |(number, value): &(usize, &str)| json!({"field": name(*number), "expression": value});
                let set: Vec<Value> = shapes.iter().map(set).collect();
                json!({"name": "select", "map": {"keep": ["id"], "set": set}})
            }
            Some(key) => {
                let aggregates = shapes.iter().map(|(number, value)| aggregate(*number, value));
                let aggregates: Vec<Value> = aggregates.collect::<Result<_>>()?;
                json!({"name": "select", "groupBy": {"keys": [key], "aggregates": aggregates}})
            }
        });
        Ok(json!({
            "apiVersion": "millrace.io/v1alpha1",
            "kind": "StreamPipeline",
            "metadata": {"name": "sql"},
            "spec": {
                "source": {"kafka": {"bootstrapServers": ["localhost:9092"], "topics": ["t"]}},
                "schema": {"fields": self.fields},
                "key": [first.key.unwrap_or("id")],
                "operators": operators,
                "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
            },
        }))
    }
}

fn name(number: usize) -> String {
    format!("e{number}")
}

/// An aggregate as a manifest spells it.
fn aggregate(number: usize, value: &str) -> Result<Value> {
    let Aggregate {
        function,
        distinct,
        argument,
        condition,
    } = Aggregate::of(value)?;
    let (function, distinct) = match (function, distinct) {
        ("count", true) => ("countDistinct", false),
        ("stddev_samp", distinct) => ("stddev", distinct),
        ("stddev_pop", distinct) => ("stddevPop", distinct),
        ("variance" | "var_samp", distinct) => ("variance", distinct),
        ("var_pop", distinct) => ("variancePop", distinct),
        other => other,
    };
    let mut aggregate = json!({"name": name(number), "function": function});
    if let Some(argument) = argument {
        aggregate["expression"] = json!(argument);
    }
    if let Some(condition) = condition {
        aggregate["where"] = json!(condition);
    }
    if distinct {
        aggregate["distinct"] = json!(true);
    }
    Ok(aggregate)
}

/// A declared field out of a column of `CREATE TABLE`.
fn field(column: &str) -> Result<Value> {
    let (name, kind) = column.split_once(' ').context("a column has a name and a type")?;
    let mut field = json!({"name": name, "nullable": true});
    field["type"] = json!(match kind {
        "BIGINT" => "int64",
        "DOUBLE PRECISION" => "float64",
        "TEXT" => "string",
        "BOOLEAN" => "boolean",
        "TIMESTAMP" => "timestamp",
        other => {
            let digits = other
                .strip_prefix("DECIMAL(")
                .and_then(|digits| digits.strip_suffix(')'));
            let (precision, scale) = digits
                .and_then(|digits| digits.split_once(','))
                .with_context(|| format!("type {other}"))?;
            (field["precision"], field["scale"]) =
                (json!(precision.parse::<u8>()?), json!(scale.trim().parse::<u8>()?));
            "decimal"
        }
    });
    Ok(field)
}

/// One case's cells of a run. Of groups the last row of each counts, by key.
fn column(ran: &Ran, case: &Case, number: usize) -> Result<Vec<Vec<String>>> {
    let shape = Shape::of(&case.sql)?;
    let mut kinds = case.types.chars();
    let Some(key) = shape.key else {
        let kind = kinds.next().context("a type")?;
        let cells = ran.output.iter().map(|row| Ok(vec![cell(row, &name(number), kind)?]));
        return cells.collect();
    };
    let (key_kind, kind) = kinds.next().zip(kinds.next()).context("two types")?;
    // NULL is the last key, as PostgreSQL orders.
    let mut groups: BTreeMap<(bool, String), String> = BTreeMap::new();
    for row in &ran.output {
        let key = cell(row, key, key_kind)?;
        groups.insert((key == "NULL", key), cell(row, &name(number), kind)?);
    }
    Ok(groups.into_iter().map(|((_, key), value)| vec![key, value]).collect())
}

fn cell(row: &BTreeMap<String, Box<RawValue>>, name: &str, kind: char) -> Result<String> {
    let raw = row.get(name).with_context(|| format!("no {name}"))?.get();
    Ok(match (kind, raw) {
        (_, "null") => "NULL".to_owned(),
        (_, "\"\"") => "(empty)".to_owned(),
        ('M', millis) => instant(millis.parse()?),
        (_, text) if text.starts_with('"') => serde_json::from_str(text)?,
        (_, other) => other.to_owned(),
    })
}

/// Milliseconds since the epoch as `YYYY-MM-DDTHH:MM:SS.mmm`.
fn instant(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Howard Hinnant's civil_from_days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}",
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_postgresql_writes_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000"),
            (951_782_400_000, "2000-02-29T00:00:00.000"),
            (-1, "1969-12-31T23:59:59.999"),
            (1_357_034_400_123, "2013-01-01T10:00:00.123"),
        ] {
            assert_eq!(instant(millis), text);
        }
    }
}
