//! What becomes of combined rows that a window cannot take, and of those that a plan before has left in the topic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use millrace_engine::{Bytes, Chain, Effects, Input, Note, Program, Reason, Record, Target};
use millrace_plan::{load, validate};

const SUMS: &str = "{name: n, function: count}, {name: s, function: sum, expression: v}";

fn program(operator: &str, late: &str) -> Arc<Program> {
    let text = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema: {{fields: [{{name: k, type: string}}, {{name: g, type: string}}, {{name: v, type: int64}}, {{name: ts, type: int64}}]}}
  key: [k]
  eventTime: {{field: ts}}
  {late}
  operators: [{{name: w, {operator}}}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
"
    );
    let plan = validate(&load(&text).unwrap()[0], &[]).unwrap();
    Arc::new(Program::compile(Arc::new(plan)).unwrap())
}

fn window(rest: &str, aggregates: &str) -> Arc<Program> {
    let operator = format!("window: {{tumbling: {{size: 10ms}}, {rest} keys: [g], aggregates: [{aggregates}]}}");
    program(&operator, "")
}

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    timestamp: i64,
}

impl Stored {
    fn is_partial(&self) -> bool {
        self.value[0] == b'p'
    }
}

/// What one step of the first stage writes for these groups, values and times; and what it rejects.
fn cross(program: &Arc<Program>, rows: &[(&str, i64, i64)]) -> (Vec<Stored>, Vec<String>) {
    let value = |(g, v, ts): &(&str, i64, i64)| format!(r#"{{"k":"k","g":"{g}","v":{v},"ts":{ts}}}"#);
    let rows: Vec<Stored> = rows
        .iter()
        .map(|row| Stored {
            key: Some(b"k".to_vec()),
            value: value(row).into_bytes(),
            timestamp: 0,
        })
        .collect();
    let mut effects = Effects::default();
    let told = take(&mut Chain::new(Arc::clone(program)), &rows, &mut effects);
    let bytes = |bytes| effects.resolve(bytes, |_| None).unwrap().to_vec();
    let stored = effects.emits.iter().map(|emit| Stored {
        key: Some(bytes(emit.key)),
        value: bytes(emit.value),
        timestamp: emit.timestamp,
    });
    let rejected = told.into_iter().filter(|line| line.starts_with('!'));
    (stored.collect(), rejected.collect())
}

/// What the second stage tells of these records: results, and rejected rows.
fn behind(chain: &mut Chain, records: &[Stored]) -> Vec<String> {
    take(chain, records, &mut Effects::default())
}

fn take(chain: &mut Chain, stored: &[Stored], effects: &mut Effects) -> Vec<String> {
    let record = |stored: &'static Stored| Record {
        offset: 0,
        timestamp: stored.timestamp,
        key: stored.key.as_deref(),
        value: Some(&stored.value),
    };
    let stored: &'static [Stored] = stored.to_vec().leak();
    let records: Vec<Record<'_>> = stored.iter().map(record).collect();
    chain.step(Input::Records(&records), effects);
    let text =
        |bytes: Bytes| String::from_utf8_lossy(effects.resolve(bytes, |_| None).unwrap_or_default()).into_owned();
    let mut told: Vec<String> = effects.emits.iter().map(|emit| text(emit.value)).collect();
    told.extend(effects.rejected.iter().map(|rejected| {
        let late = rejected.target == Target::LateRecords;
        assert_eq!(late, rejected.reason == Reason::Late);
        let (at, rows) = (rejected.input.unwrap(), rejected.rows);
        let (reason, message) = (rejected.reason.as_str(), &rejected.message);
        format!("!{at} {reason} {rows}: {message} {}", text(rejected.row))
    }));
    told
}

fn told(watermark: i64) -> Stored {
    let note = Note {
        from: ("in".to_owned(), 0),
        of: 1,
        watermark: Some(watermark),
        idle: false,
    };
    Stored {
        key: None,
        value: note.encode(),
        timestamp: 0,
    }
}

fn second(program: &Arc<Program>) -> Chain {
    Chain::of_stage(Arc::clone(program), 1)
}

const ROWS: [(&str, i64, i64); 4] = [("a", 1, 1), ("a", 2, 3), ("a", 3, 2), ("a", 4, 9)];

#[test]
fn rows_of_a_batch_cross_as_one_under_their_group_key_and_first_time() {
    let (stored, _) = cross(&window("", SUMS), &ROWS);
    assert_eq!(stored.len(), 1);
    assert!(stored[0].is_partial());
    assert_eq!((stored[0].key.as_deref(), stored[0].timestamp), (Some(&b"a"[..]), 1));
    let mut chain = second(&window("", SUMS));
    assert_eq!(
        behind(&mut chain, &[stored[0].clone(), told(9)]),
        [r#"{"g":"a","window_start":0,"window_end":10,"is_final":true,"n":4,"s":10}"#]
    );
}

#[test]
fn a_late_partial_is_as_many_late_records_and_is_shown_as_their_result() {
    let (stored, _) = cross(&window("", SUMS), &ROWS);
    let aggregates = format!("window: {{tumbling: {{size: 10ms}}, keys: [g], aggregates: [{SUMS}]}}");
    let with_topic = program(&aggregates, "lateRecords: {kafka: {topic: late}}");
    assert_eq!(
        behind(&mut second(&with_topic), &[told(9), stored[0].clone()]),
        [
            "!1 late 4: the record came after its window was closed (4 records that were combined) \
             {\"g\":\"a\",\"window_start\":0,\"window_end\":10,\"is_final\":false,\"n\":4,\"s\":10}"
        ]
    );
}

#[test]
fn a_partial_that_would_overflow_is_refused_whole_and_leaves_no_trace() {
    let third = i64::MAX / 3 - 1;
    for rest in ["", "emit: {early: {every: 3ms}},"] {
        let program = window(rest, SUMS);
        let (large, _) = cross(&program, &[("a", third, 1); 3]);
        let (small, _) = cross(&program, &ROWS);
        assert!(large[0].is_partial() && small[0].is_partial());
        let mut chain = second(&program);
        assert_eq!(behind(&mut chain, &large), [""; 0]);
        assert_eq!(
            behind(&mut chain, &small),
            [
                "!0 aggregate-overflow 4: with this record `s` would leave the range of int64 (4 records that were combined) \
                 {\"g\":\"a\",\"window_start\":0,\"window_end\":10,\"is_final\":false,\"n\":4,\"s\":10}"
            ]
        );
        let results = behind(&mut chain, &[told(9)]);
        let last = r#"{"g":"a","window_start":0,"window_end":10,"is_final":true,"n":3,"s":9223372036854775803}"#;
        assert_eq!(results.last().map(String::as_str), Some(last));
    }
}

#[test]
fn rows_whose_sum_is_too_large_cross_one_by_one_and_are_refused_one_by_one() {
    let program = window("", SUMS);
    let (stored, rejected) = cross(&program, &[("a", i64::MAX, 1), ("a", 1, 1), ("a", 0, 1)]);
    assert!(stored.len() == 3 && rejected.is_empty() && !stored.iter().any(Stored::is_partial));
    let told = behind(&mut second(&program), &stored);
    assert!(
        told.len() == 1 && told[0].starts_with("!1 aggregate-overflow 1: "),
        "{told:?}"
    );
}

#[test]
fn a_row_that_fails_does_so_before_it_crosses() {
    let program = window("", "{name: q, function: sum, expression: 12 / v}");
    let (stored, rejected) = cross(&program, &[("a", 1, 1), ("a", 0, 2), ("a", 2, 3), ("a", 3, 4)]);
    assert_eq!(rejected, ["!1 expression-failed 1: division by zero in `12 / v` "]);
    assert_eq!(
        behind(&mut second(&program), &[stored[0].clone(), told(9)]),
        [r#"{"g":"a","window_start":0,"window_end":10,"is_final":true,"q":22}"#]
    );
}

#[test]
fn partials_that_are_too_long_stay_rows() {
    let long: Vec<String> = (0..40).map(|at| format!("{at}{}", "x".repeat(2_000))).collect();
    let rows: Vec<_> = long.iter().map(|text| (text.as_str(), 1, 1)).collect();
    let operator =
        "window: {tumbling: {size: 10ms}, keys: [v], aggregates: [{name: n, function: countDistinct, expression: g}]}";
    let program = program(operator, "");
    let (stored, _) = cross(&program, &rows);
    assert!(stored.len() == 40 && !stored.iter().any(Stored::is_partial));
    let (stored, _) = cross(&program, &rows[..20]);
    assert!(stored.len() == 1 && stored[0].is_partial());
}

#[test]
fn what_an_older_plan_has_left_is_read_by_a_newer_one_of_the_same_window() {
    let (stored, _) = cross(&window("", SUMS), &ROWS);
    let (rows, _) = cross(&window("emit: {onUpdate: {}},", SUMS), &[("a", 5, 4)]);
    assert!(!rows[0].is_partial());
    let line = |is_final, n, s| {
        format!(r#"{{"g":"a","window_start":0,"window_end":10,"is_final":{is_final},"n":{n},"s":{s}}}"#)
    };
    let mixed = [rows[0].clone(), stored[0].clone(), rows[0].clone(), told(9)];
    for (rest, expected) in [
        ("", vec![line(true, 6, 20)]),
        (
            "emit: {onUpdate: {}},",
            vec![
                line(false, 1, 5),
                line(false, 5, 15),
                line(false, 6, 20),
                line(true, 6, 20),
            ],
        ),
        ("allowedLateness: 5ms,", vec![line(false, 6, 20)]),
    ] {
        assert_eq!(behind(&mut second(&window(rest, SUMS)), &mixed), expected, "{rest}");
    }
    let mut chain = second(&window("allowedLateness: 5ms,", SUMS));
    let over = [told(9), rows[0].clone(), stored[0].clone()];
    assert_eq!(behind(&mut chain, &over), [line(false, 1, 5), line(false, 5, 15)]);
}

#[test]
fn partials_of_another_window_and_broken_ones_are_dead_letters_and_stop_nothing() {
    let (other, _) = cross(&window("", "{name: n, function: count}"), &ROWS);
    let (good, _) = cross(&window("", SUMS), &ROWS);
    let broken = Stored {
        value: good[0].value[..good[0].value.len() - 1].to_vec(),
        ..good[0].clone()
    };
    let records = [other[0].clone(), good[0].clone(), broken, told(9)];
    let told = behind(&mut second(&window("", SUMS)), &records);
    assert_eq!(
        told,
        [
            r#"{"g":"a","window_start":0,"window_end":10,"is_final":true,"n":4,"s":10}"#,
            "!0 undecodable 1: it was combined for a window of another shape ",
            "!2 undecodable 4: it ends too early (4 records that were combined) ",
        ]
    );
    for operator in [
        "groupBy: {keys: [g], aggregates: [{name: n, function: count}]}",
        "window: {session: {gap: 5ms}, keys: [g], aggregates: [{name: n, function: count}]}",
        "window: {tumbling: {size: 10ms}, time: processing, keys: [g], aggregates: [{name: n, function: count}]}",
    ] {
        let told = behind(&mut second(&program(operator, "")), &good);
        assert!(told.len() == 1 && told[0].starts_with("!0 undecodable 1: "), "{told:?}");
    }
}
