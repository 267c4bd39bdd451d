//! What the example pipelines must give, computed a second time and naively: record by record from what really stands in
//! the input topic, with standard collections, without a line of Millrace.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use crate::client::Stored;
use crate::flights::Flight;

const HOUR: i64 = 3_600_000;
const OUT_OF_ORDERNESS: i64 = 4 * HOUR;

/// One result: record key and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// Record key.
    pub key: String,
    /// Record value.
    pub value: String,
}

/// What a windowed pipeline gives.
#[derive(Debug, Default)]
pub struct Windows {
    /// Results, in no particular order.
    pub results: Vec<Outcome>,
    /// Partition and offset of the records that came too late.
    pub late: Vec<(i32, i64)>,
}

/// `examples/01-filter-map` over `input`; results in the input's order.
pub fn filter_map(input: &[Stored]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for record in input {
        let f: Flight = serde_json::from_str(record.text())?;
        let Some(dep_delay) = f.dep_delay.filter(|delay| *delay > 60) else {
            continue;
        };
        let gain = f.arr_delay.map(|arr_delay| dep_delay - arr_delay);
        let mph = f
            .air_time
            .map(|air_time| (f.distance as f64 * 60.0 / air_time as f64 + 0.5).floor());
        outcomes.push(Outcome {
            value: format!(
                r#"{{"scheduled":{},"carrier":"{}","flight":{},"dep_delay":{dep_delay},"arr_delay":{},"route":"{}-{}","gain":{},"mph":{},"severity":"{}"}}"#,
                f.ts,
                f.carrier,
                f.flight,
                or_null(f.arr_delay),
                f.origin,
                f.dest,
                or_null(gain),
                double(mph),
                if dep_delay > 180 { "severe" } else { "late" },
            ),
            key: f.carrier,
        });
    }
    Ok(outcomes)
}

/// `examples/02-tumbling-window` over `input`, for every window that the watermark of its partition has passed.
pub fn hourly(input: &[Stored]) -> Result<Windows> {
    let mut all = Windows::default();
    let partitions: std::collections::BTreeSet<i32> = input.iter().map(|record| record.partition).collect();
    for partition in partitions {
        let mut newest = i64::MIN;
        let mut open: BTreeMap<(i64, String), Vec<Option<i64>>> = BTreeMap::new();
        for record in input.iter().filter(|record| record.partition == partition) {
            let f: Flight = serde_json::from_str(record.text())?;
            newest = newest.max(f.ts);
            let start = f.ts - f.ts.rem_euclid(HOUR);
            if is_over(start, newest) {
                all.late.push((partition, record.offset));
            } else {
                open.entry((start, f.carrier)).or_default().push(f.dep_delay);
            }
        }
        all.results.extend(
            open.into_iter()
                .filter(|((start, _), _)| is_over(*start, newest))
                .map(hourly_outcome),
        );
    }
    Ok(all)
}

/// `examples/08-by-another-key` over `input`, for every window that the watermarks of all partitions have passed.
pub fn destinations(input: &[Stored]) -> Result<Vec<Outcome>> {
    const DAY: i64 = 24 * HOUR;
    let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut windows: BTreeMap<(i64, String), Vec<i64>> = BTreeMap::new();
    for record in input {
        let f: Flight = serde_json::from_str(record.text())?;
        let newest = newest.entry(record.partition).or_insert(i64::MIN);
        *newest = f.ts.max(*newest);
        if let Some(delay) = f.dep_delay {
            windows
                .entry((f.ts - f.ts.rem_euclid(DAY), f.dest))
                .or_default()
                .push(delay);
        }
    }
    let slowest = newest.into_values().min().unwrap_or(i64::MIN);
    let closed = windows
        .into_iter()
        .filter(|((start, _), _)| start + DAY - 1 < slowest - DAY);
    Ok(closed
        .map(|((start, dest), delays)| Outcome {
            value: format!(
                r#"{{"dest":"{dest}","window_start":{start},"window_end":{},"is_final":true,"flights":{},"worst":{}}}"#,
                start + DAY,
                delays.len(),
                or_null(delays.iter().max().copied()),
            ),
            key: dest,
        })
        .collect())
}

/// Last result per carrier of `examples/03-group-by` over `input`, without `spread`: number of flights, of departures,
/// sum, least and greatest delay, mean.
pub fn per_carrier(input: &[Stored]) -> Result<BTreeMap<String, String>> {
    let mut delays: HashMap<String, Vec<Option<i64>>> = HashMap::new();
    for record in input {
        let f: Flight = serde_json::from_str(record.text())?;
        delays.entry(f.carrier).or_default().push(f.dep_delay);
    }
    let row = |carrier: String, delays: Vec<Option<i64>>| {
        let known: Vec<i64> = delays.iter().copied().flatten().collect();
        let value = format!(
            r#"{{"carrier":"{carrier}","flights":{},"departed":{},"minutes":{},"earliest":{},"latest":{},"mean":{}"#,
            delays.len(),
            known.len(),
            or_null((!known.is_empty()).then(|| known.iter().sum::<i64>())),
            or_null(known.iter().min().copied()),
            or_null(known.iter().max().copied()),
            double(mean(&known)),
        );
        (carrier, value)
    };
    Ok(delays
        .into_iter()
        .map(|(carrier, delays)| row(carrier, delays))
        .collect())
}

fn is_over(start: i64, newest: i64) -> bool {
    let watermark = newest - OUT_OF_ORDERNESS - 1;
    let last = start + HOUR - 1;
    last <= watermark
}

fn hourly_outcome(((start, carrier), delays): ((i64, String), Vec<Option<i64>>)) -> Outcome {
    let known: Vec<i64> = delays.iter().copied().flatten().collect();
    Outcome {
        value: format!(
            r#"{{"carrier":"{carrier}","window_start":{start},"window_end":{},"is_final":true,"flights":{},"avg_delay":{}}}"#,
            start + HOUR,
            delays.len(),
            double(mean(&known)),
        ),
        key: carrier,
    }
}

fn mean(known: &[i64]) -> Option<f64> {
    (!known.is_empty()).then(|| known.iter().sum::<i64>() as f64 / known.len() as f64)
}

fn or_null(value: Option<i64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

/// As JSON with a point, so that it reads as a double.
fn double(value: Option<f64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| format!("{value:?}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::manifest::examples;

    /// The lines of an example's input as one partition.
    fn stored(example: &str) -> Vec<Stored> {
        let text = fs::read_to_string(examples().join(example).join("input.jsonl")).unwrap();
        let record = |(at, line): (usize, &str)| Stored {
            partition: 0,
            offset: at as i64,
            timestamp: 0,
            key: None,
            value: Some(line.as_bytes().to_vec()),
            headers: Vec::new(),
        };
        text.lines().enumerate().map(record).collect()
    }

    fn expected(example: &str, file: &str) -> Vec<String> {
        let text = fs::read_to_string(examples().join(example).join(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn filter_map_agrees_with_the_script_of_the_examples() {
        let outcomes = filter_map(&stored("01-filter-map")).unwrap();
        let values: Vec<String> = outcomes.into_iter().map(|outcome| outcome.value).collect();
        assert_eq!(values, expected("01-filter-map", "expected.jsonl"));
    }

    #[test]
    fn hourly_windows_and_late_records_agree_with_the_script_of_the_examples() {
        let mut input = stored("02-tumbling-window");
        let windows = hourly(&input).unwrap();
        let late: Vec<&str> = windows
            .late
            .iter()
            .map(|(_, offset)| input[*offset as usize].text())
            .collect();
        assert_eq!(late, expected("02-tumbling-window", "expected-late.jsonl"));

        // The script closes all windows at the end of the input; here a later record does.
        let mut closing = input[0].clone();
        closing.value = crate::flights::closing(1).remove(0).value;
        input.push(closing);
        let mut values: Vec<String> = hourly(&input)
            .unwrap()
            .results
            .into_iter()
            .map(|outcome| outcome.value)
            .collect();
        let mut expected = expected("02-tumbling-window", "expected.jsonl");
        values.sort();
        expected.sort();
        assert_eq!(values, expected);
    }

    #[test]
    fn last_rows_per_carrier_agree_with_the_script_of_the_examples() {
        let rows = per_carrier(&stored("03-group-by")).unwrap();
        let mut last = BTreeMap::new();
        for line in expected("03-group-by", "expected.jsonl") {
            let (rest, _spread) = line.split_once(r#","spread""#).unwrap();
            let carrier = rest.split('"').nth(3).unwrap().to_owned();
            last.insert(carrier, rest.to_owned());
        }
        assert_eq!(rows, last);
    }
}
