//! Every aggregate gives what Flink's SQL gives; where Flink means something else, that difference is what is asserted.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use millrace_e2e::peers::{Aggregates, COMPARED, Record, records};
use serde_json::{Value, json};

const SIZE: i64 = 1000;

fn value<'a>(values: &'a [Value], name: &str) -> &'a Value {
    let at = COMPARED.iter().position(|compared| compared.name == name);
    &values[at.unwrap_or_else(|| panic!("{name} is not compared"))]
}

/// The same, but for the last digits of doubles.
fn agree(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0),
        _ => ours == theirs,
    }
}

/// The numbers of a list of Flink's.
fn numbers(list: &Value) -> Vec<i64> {
    let numbers = list.as_array().into_iter().flatten();
    numbers.filter_map(Value::as_i64).collect()
}

#[test]
fn aggregates_of_records_in_order_are_those_of_flink() {
    let job = Aggregates {
        size: SIZE,
        grace: 0,
        records: records(41, 3000, 0),
    };
    let (ours, theirs) = (job.of_ours().unwrap(), job.of_flink().unwrap());
    assert!(ours.len() > 100, "{} windows are no test", ours.len());
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    let (mut medians, mut truncated, mut kept) = (0, 0, 0);
    for (window, ours) in &ours {
        let theirs = &theirs[window];
        for (compared, (ours, theirs)) in COMPARED.iter().zip(ours.iter().zip(theirs)) {
            let same = match compared.name {
                // Flink keeps the NULLs.
                "list" => {
                    kept += theirs
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(|value| value.is_null())
                        .count();
                    *ours == json!(numbers(theirs))
                }
                "top" => {
                    let mut largest = numbers(theirs);
                    largest.sort_by_key(|number| -number);
                    largest.truncate(3);
                    *ours == json!(largest)
                }
                // Flink's lies between the two values in the middle where their number is even.
                "median" => true,
                // Flink's mean of whole numbers is a whole number.
                "mean" => {
                    let mean = ours.as_f64().map(f64::trunc);
                    truncated += usize::from(mean != ours.as_f64());
                    mean == theirs.as_f64()
                }
                _ => agree(ours, theirs),
            };
            assert!(same, "{} of {window:?}: {ours}, in Flink {theirs}", compared.name);
        }
        if value(ours, "values").as_i64().unwrap() % 2 == 1 {
            let (ours, theirs) = (
                value(ours, "median").as_f64().unwrap(),
                value(theirs, "median").as_f64().unwrap(),
            );
            assert!(
                (ours - theirs).abs() <= theirs.abs() / 256.0,
                "median of {window:?}: {ours}, in Flink {theirs}"
            );
            medians += 1;
        }
    }
    assert!(
        medians > 30 && truncated > 30 && kept > 30,
        "{medians} medians, {truncated} truncated means and {kept} kept NULLs are no test"
    );
}

/// The value of the record with the least and the largest time, the earlier and the later of equals.
fn by_event_time(records: &[Record], (key, start): &(String, i64)) -> (Value, Value) {
    let is_in = |record: &&Record| record.key == *key && record.time.div_euclid(SIZE) * SIZE == *start;
    let mut known: Vec<_> = records
        .iter()
        .filter(is_in)
        .filter(|record| record.value.is_some())
        .collect();
    known.sort_by_key(|record| record.time);
    let value = |record: Option<&&Record>| json!(record.and_then(|record| record.value));
    (value(known.first()), value(known.last()))
}

#[test]
fn first_and_last_go_by_event_time_where_flink_goes_by_arrival() {
    let job = Aggregates {
        size: SIZE,
        grace: 200,
        records: records(42, 3000, 200),
    };
    let (ours, theirs) = (job.of_ours().unwrap(), job.of_flink().unwrap());
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    let mut differing = 0;
    for (window, ours) in &ours {
        let theirs = &theirs[window];
        let (first, last) = by_event_time(&job.records, window);
        assert_eq!(
            (value(ours, "first"), value(ours, "last")),
            (&first, &last),
            "{window:?}"
        );
        differing += usize::from(value(theirs, "first") != &first || value(theirs, "last") != &last);
        for name in ["records", "sum", "stddev", "countDistinct", "sumWhere"] {
            assert!(agree(value(ours, name), value(theirs, name)), "{name} of {window:?}");
        }
    }
    assert!(differing > 20, "{differing} windows are no test");
}
