//! Chains as a whole: manifests in, records in, effects out.

use std::sync::Arc;

use millrace_crds::manifest::Manifest;
use millrace_format::Record;
use proptest::prelude::*;

use super::*;
use crate::effects::{Bytes, Target};

/// A chain for a pipeline over `{k: string, a: int64?, f: float64?, ts: int64, list: array<int64>}` keyed by `k`.
fn chain(operators: &str) -> Chain {
    Chain::new(program(operators))
}

fn chain_with(event_time: &str, operators: &str) -> Chain {
    Chain::new(program_with(event_time, operators))
}

fn program(operators: &str) -> Arc<Program> {
    program_with("{field: ts, maxOutOfOrderness: 5ms}", operators)
}

fn program_with(event_time: &str, operators: &str) -> Arc<Program> {
    Arc::new(Program::compile(plan_with(event_time, operators)).unwrap())
}

fn plan(operators: &str) -> Arc<Plan> {
    plan_with("{field: ts, maxOutOfOrderness: 5ms}", operators)
}

fn plan_with(event_time: &str, operators: &str) -> Arc<Plan> {
    let yaml = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema:
    fields:
      - {{name: k, type: string}}
      - {{name: a, type: int64, nullable: true}}
      - {{name: f, type: float64, nullable: true}}
      - {{name: ts, type: int64}}
      - {{name: list, type: array, nullable: true, items: {{type: int64}}}}
  key: [k]
  eventTime: {event_time}
  operators: {operators}
  sinks: [{{name: out, kafka: {{topic: out}}}}]
"
    );
    let object = yaml_serde::from_str(&yaml).unwrap();
    Arc::new(millrace_plan::validate(&Manifest::StreamPipeline(Box::new(object)), &[]).unwrap())
}

/// What a step asked for, as text: `key=value@time` or `!reason/operator row: message`.
fn told(effects: &Effects, values: &[&str]) -> Vec<String> {
    let text = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |b| String::from_utf8(b.to_vec()).unwrap());
    let mut told = Vec::new();
    for emit in &effects.emits {
        let key = effects.resolve(emit.key, |at| Some(key_of(values[at as usize]).as_bytes()));
        let value = effects.resolve(emit.value, |at| Some(values[at as usize].as_bytes()));
        told.push(format!("{}={}@{}", text(key), text(value), emit.timestamp));
    }
    for rejected in &effects.rejected {
        let row = match rejected.row {
            Bytes::Null => format!("#{}", rejected.input.unwrap()),
            row => text(effects.resolve(row, |_| None)),
        };
        let to = if rejected.target == Target::LateRecords {
            "late"
        } else {
            "dead"
        };
        told.push(format!(
            "!{to} {}/{:?} {row}: {}",
            rejected.reason.as_str(),
            rejected.operator,
            rejected.message
        ));
    }
    told
}

fn key_of(value: &str) -> &str {
    let start = value.find("\"k\":\"").unwrap() + 5;
    &value[start..start + value[start..].find('"').unwrap()]
}

fn step(chain: &mut Chain, values: &[&str]) -> Vec<String> {
    let record = |(offset, value): (usize, &&'static str)| Record {
        offset: offset as i64,
        timestamp: 7000 + offset as i64,
        key: Some(key_of(value).as_bytes()),
        value: Some(value.as_bytes()),
    };
    // The values are literals of the tests or leaked by them, so that records may borrow them.
    let values: Vec<&'static str> = values.iter().map(|value| &*String::from(*value).leak()).collect();
    let records: Vec<Record<'_>> = values.iter().enumerate().map(record).collect();
    let mut effects = Effects::default();
    chain.step(Input::Records(&records), &mut effects);
    told(&effects, &values)
}

fn finish(chain: &mut Chain) -> Vec<String> {
    let mut effects = Effects::default();
    chain.step(Input::End, &mut effects);
    told(&effects, &[])
}

#[test]
fn filter_passes_bytes_key_and_timestamp_untouched() {
    let mut chain = chain("[{name: f, filter: {where: a > 1}}]");
    let odd = r#"{ "z":[1,{"y":null}], "a" : 2,"ts":1,"k":"x" }"#;
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","a":1,"ts":1}"#, odd, r#"{"k":"x","ts":1}"#]),
        [format!("x={odd}@7001")]
    );
}

#[test]
fn map_writes_fields_in_order_with_the_event_time() {
    let mut chain =
        chain("[{name: m, map: {keep: [k], rename: [{from: a, to: b}], set: [{field: c, expression: a * 2}]}}]");
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","a":4,"ts":11}"#]),
        [r#"x={"k":"x","b":4,"c":8}@11"#]
    );
}

#[test]
fn a_join_adds_a_tables_fields_and_leaves_key_and_record_as_they_were() {
    let join = "{name: j, join: {table: {name: t, file: {path: t.csv}, schema: {fields: [{name: k, type: string}, \
                {name: per, type: int64}]}, key: [k]}, on: [{field: k}]}}";
    let plan = plan(&format!(
        "[{join}, {{name: m, map: {{keep: [k, a], set: [{{field: share, expression: a / per}}]}}}}]"
    ));
    let tables = |csv: &str| Tables::from([(0, csv.as_bytes().to_vec())]);
    let program = Program::with_tables(Arc::clone(&plan), &tables("per,k\n2,x\n0,y\n")).unwrap();
    let out = step(
        &mut Chain::new(Arc::new(program)),
        &[
            r#"{"k":"x","a":5,"ts":11}"#,
            r#"{"k":"z","a":5,"ts":12}"#,
            r#"{"k":"y","a":5,"ts":13}"#,
        ],
    );
    let expected = [
        r#"x={"k":"x","a":5,"share":2}@11"#,
        "!dead expression-failed/Some(1) #2: division by zero in `a / per`",
    ];
    assert_eq!(out, expected);
    let refused = Program::with_tables(Arc::clone(&plan), &tables("per,k\n2,x\n3,x\n")).unwrap_err();
    assert_eq!(refused, "table t (file t.csv): line 3: has the key of line 2");
    assert_eq!(Program::compile(plan).unwrap_err(), "table t was not read");
}

#[test]
fn a_row_on_which_an_expression_fails_is_dead_and_the_others_are_not() {
    let mut chain =
        chain("[{name: m, map: {keep: [k], set: [{field: q, expression: 100 / a}, {field: d, expression: a + a}]}}]");
    let values = [
        r#"{"k":"x","a":5,"ts":1}"#,
        r#"{"k":"x","a":0,"ts":2}"#,
        r#"{"k":"x","a":9223372036854775807,"ts":3}"#,
    ];
    assert_eq!(
        step(&mut chain, &values),
        [
            r#"x={"k":"x","q":20,"d":10}@1"#,
            "!dead expression-failed/Some(0) #1: division by zero in `100 / a`, `a + a`",
            "!dead expression-failed/Some(0) #2: arithmetic overflow in `100 / a`, `a + a`",
        ]
    );
}

#[test]
fn infinity_and_nan_are_failures_also_inside_a_predicate() {
    let mut chain = chain("[{name: f, filter: {where: 1.0 / f > 5.0 OR f IS NULL}}]");
    let values = [
        r#"{"k":"x","f":0.1,"ts":1}"#,
        r#"{"k":"x","f":0.0,"ts":2}"#,
        r#"{"k":"x","f":null,"ts":3}"#,
    ];
    let told = step(&mut chain, &values);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains("#1: result is not a finite number"), "{told:?}");
}

#[test]
fn a_guard_before_a_division_protects_each_row_by_itself() {
    let mut chain = chain("[{name: f, filter: {where: a <> 0 AND 10 / a > 1}}]");
    let values = [
        r#"{"k":"x","a":0,"ts":1}"#,
        r#"{"k":"x","a":2,"ts":1}"#,
        r#"{"k":"x","a":50,"ts":1}"#,
    ];
    assert_eq!(step(&mut chain, &values), [format!("x={}@7001", values[1])]);
}

#[test]
fn negating_the_smallest_integer_fails_instead_of_wrapping() {
    let mut chain = chain("[{name: m, map: {set: [{field: n, expression: -a}], keep: [k]}}]");
    let told = step(&mut chain, &[r#"{"k":"x","a":-9223372036854775808,"ts":1}"#]);
    assert!(told[0].contains("arithmetic overflow"), "{told:?}");
}

#[test]
fn where_guards_an_aggregate_from_records_that_take_no_part() {
    let mut chain = chain(
        "[{name: g, groupBy: {keys: [k], aggregates: [
            {name: n, function: count, where: a <> 0},
            {name: s, function: sum, expression: 100 / a, where: a <> 0},
            {name: top, function: topN, expression: f, by: 100 / a, where: a <> 0, limit: 2}]}}]",
    );
    let values = [
        r#"{"k":"x","a":50,"f":0.5,"ts":1}"#,
        r#"{"k":"x","a":0,"f":1.5,"ts":2}"#,
        r#"{"k":"x","f":2.5,"ts":3}"#,
        r#"{"k":"x","a":10,"f":3.5,"ts":4}"#,
    ];
    assert_eq!(
        step(&mut chain, &values),
        [
            r#"x={"k":"x","n":1,"s":2,"top":[0.5]}@1"#,
            r#"x={"k":"x","n":1,"s":2,"top":[0.5]}@2"#,
            r#"x={"k":"x","n":1,"s":2,"top":[0.5]}@3"#,
            r#"x={"k":"x","n":2,"s":12,"top":[3.5,0.5]}@4"#,
        ]
    );
}

#[test]
fn a_record_on_which_a_where_or_an_order_fails_is_dead() {
    for parameter in ["where: 1 / a > 0", "by: 1 / a"] {
        let mut chain = chain(&format!(
            "[{{name: g, groupBy: {{keys: [k], aggregates: [{{name: n, function: topN, limit: 1, expression: ts, {parameter}}}]}}}}]"
        ));
        let told = step(&mut chain, &[r#"{"k":"x","a":1,"ts":7}"#, r#"{"k":"x","a":0,"ts":8}"#]);
        assert_eq!(told[0], r#"x={"k":"x","n":[7]}@7"#);
        assert!(
            told[1].starts_with("!dead expression-failed/Some(0) #1: division by zero in `ts`, `1 / a"),
            "{told:?}"
        );
    }
}

#[test]
fn a_list_beyond_its_limit_is_a_dead_letter_and_leaves_no_trace() {
    let mut chain = chain(
        "[{name: g, groupBy: {keys: [k], aggregates: [
            {name: n, function: count}, {name: all, function: collectList, expression: a, limit: 2}]}}]",
    );
    let values = [
        r#"{"k":"x","a":1,"ts":1}"#,
        r#"{"k":"x","a":2,"ts":1}"#,
        r#"{"k":"x","a":3,"ts":1}"#,
        r#"{"k":"x","ts":1}"#,
        r#"{"k":"y","ts":1}"#,
    ];
    assert_eq!(
        step(&mut chain, &values),
        [
            r#"x={"k":"x","n":1,"all":[1]}@1"#,
            r#"x={"k":"x","n":2,"all":[1,2]}@1"#,
            r#"x={"k":"x","n":3,"all":[1,2]}@1"#,
            r#"y={"k":"y","n":1,"all":[]}@1"#,
            "!dead aggregate-overflow/Some(0) #2: with this record `all` would have more than 2 values",
        ]
    );
}

#[test]
fn arrays_that_an_aggregate_made_go_on_through_other_steps() {
    let mut chain = chain(
        "[{name: g, groupBy: {keys: [k], aggregates: [{name: all, function: collectList, expression: f, limit: 9}]}},
          {name: e, flatMap: {explode: {field: all, as: one, position: at}}}, {name: f, filter: {where: one > 1.0}}]",
    );
    let values = [
        r#"{"k":"x","f":0.5,"ts":1}"#,
        r#"{"k":"x","f":1.5,"ts":2}"#,
        r#"{"k":"x","ts":3}"#,
    ];
    assert_eq!(
        step(&mut chain, &values),
        [r#"x={"k":"x","at":1,"one":1.5}@2"#, r#"x={"k":"x","at":1,"one":1.5}@3"#]
    );
}

#[test]
fn arrays_that_came_in_are_results_where_no_step_takes_them_away() {
    let mut chain = chain("[{name: m, map: {keep: [k, list]}}]");
    let values = [r#"{"k":"x","list":[ 1, 2 ],"ts":1}"#, r#"{"k":"x","ts":2}"#];
    assert_eq!(
        step(&mut chain, &values),
        [r#"x={"k":"x","list":[1,2]}@1"#, r#"x={"k":"x","list":null}@2"#]
    );
}

#[test]
fn a_negated_decimal_keeps_its_digits() {
    let mut chain = chain("[{name: m, map: {set: [{field: n, expression: '-CAST(a AS DECIMAL(5, 2))'}], keep: [k]}}]");
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","a":999,"ts":1}"#]),
        [r#"x={"k":"x","n":-999.00}@1"#]
    );
}

#[test]
fn explode_makes_a_row_an_item_and_a_failing_item_is_dead_alone() {
    let mut chain = chain(
        "[{name: e, flatMap: {explode: {field: list, as: item, position: at}}},
          {name: m, map: {keep: [k, at], set: [{field: q, expression: 6 / item}]}}]",
    );
    let values = [
        r#"{"k":"x","list":[3,0,2],"ts":1}"#,
        r#"{"k":"x","list":[],"ts":1}"#,
        r#"{"k":"x","ts":1}"#,
    ];
    assert_eq!(
        step(&mut chain, &values),
        [
            r#"x={"k":"x","at":0,"q":2}@1"#,
            r#"x={"k":"x","at":2,"q":3}@1"#,
            r#"!dead expression-failed/Some(1) {"k":"x","ts":1,"at":1,"item":0}: division by zero in `6 / item`"#,
        ]
    );
}

#[test]
fn several_outputs_stand_in_the_order_of_their_records_and_a_failed_record_makes_none() {
    let mut chain = chain(
        "[{name: s, flatMap: {outputs: [
            {set: [{field: k, expression: k}, {field: v, expression: a}]},
            {where: a > 1, set: [{field: k, expression: k}, {field: v, expression: 12 / (a - 3)}]}]}}]",
    );
    let values = [
        r#"{"k":"x","a":1,"ts":1}"#,
        r#"{"k":"y","a":3,"ts":1}"#,
        r#"{"k":"z","a":5,"ts":1}"#,
    ];
    let told = step(&mut chain, &values);
    assert_eq!(
        told[..3],
        [
            r#"x={"k":"x","v":1}@1"#,
            r#"z={"k":"z","v":5}@1"#,
            r#"z={"k":"z","v":6}@1"#
        ]
    );
    assert!(
        told[3].starts_with("!dead expression-failed/Some(0) #1: division by zero"),
        "{told:?}"
    );
    assert_eq!(told.len(), 4);
}

#[test]
fn what_follows_a_window_sees_its_results_and_keeps_the_group_key() {
    let mut chain = chain(
        "[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}},
          {name: many, filter: {where: n > 1}},
          {name: shape, map: {keep: [n, window_end]}}]",
    );
    let values = [
        r#"{"k":"x","ts":1}"#,
        r#"{"k":"y","ts":2}"#,
        r#"{"k":"x","ts":3}"#,
        r#"{"k":"x","ts":16}"#,
    ];
    assert_eq!(step(&mut chain, &values), [r#"x={"n":2,"window_end":10}@9"#]);
    assert_eq!(finish(&mut chain), Vec::<String>::new());
}

#[test]
fn a_record_behind_the_watermark_goes_to_the_late_records() {
    let mut chain =
        chain("[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}}]");
    let values = [
        r#"{"k":"x","ts":14}"#,
        r#"{"k":"x","ts":9}"#,
        r#"{"k":"x","ts":15}"#,
        r#"{"k":"x","ts":8}"#,
    ];
    let told = step(&mut chain, &values);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains(r#""window_start":0,"window_end":10,"is_final":true,"n":1"#),
        "{told:?}"
    );
    assert!(told[1].starts_with("!late late/Some(0) #3"), "{told:?}");
}

/// A chain for `after` that goes on from what a chain for `before` remembers after `values`.
fn changed(before: &str, values: &[&str], after: &str) -> Result<(Chain, Vec<String>), String> {
    let mut chain = chain(before);
    step(&mut chain, values);
    let mut next = Chain::new(program(after));
    let dropped = next.load(chain.newest_event_time(), &chain.save())?;
    Ok((next, dropped.iter().map(ToString::to_string).collect()))
}

const WINDOW: &str =
    "[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}}]";

#[test]
fn an_operator_that_stays_keeps_its_state_whatever_changes_around_it() {
    let group = |settings: &str, name: &str| {
        format!("{{name: g, groupBy: {{keys: [k], aggregates: [{{name: {name}, function: count}}]}}}}{settings}")
    };
    let values = [r#"{"k":"x","a":1,"ts":1}"#, r#"{"k":"x","a":1,"ts":2}"#];
    for (after, expected) in [
        (format!("[{}]", group("", "n")), r#"x={"k":"x","n":3}@3"#),
        (format!("[{}]", group("", "total")), r#"x={"k":"x","total":3}@3"#),
        (
            format!("[{{name: f, filter: {{where: a > 0}}}}, {}]", group("", "n")),
            r#"x={"k":"x","n":3}@3"#,
        ),
        (
            format!(
                "[{{name: m, map: {{drop: [list]}}}}, {}]",
                group(", {name: double, map: {set: [{field: n, expression: n * 2}]}}", "n")
            ),
            r#"x={"k":"x","n":6}@3"#,
        ),
    ] {
        let before = format!("[{{name: old, filter: {{where: a < 5}}}}, {}]", group("", "n"));
        let (mut chain, dropped) = changed(&before, &values, &after).unwrap();
        assert_eq!(dropped, Vec::<String>::new());
        assert_eq!(step(&mut chain, &[r#"{"k":"x","a":1,"ts":3}"#]), [expected], "{after}");
    }
}

#[test]
fn a_window_keeps_its_rows_when_only_its_lateness_changes() {
    let after = WINDOW.replace("keys:", "allowedLateness: 20ms, keys:");
    let (mut chain, _) = changed(WINDOW, &[r#"{"k":"x","ts":1}"#, r#"{"k":"x","ts":2}"#], &after).unwrap();
    let told = step(&mut chain, &[r#"{"k":"x","ts":15}"#, r#"{"k":"x","ts":3}"#]);
    let counts: Vec<bool> = told
        .iter()
        .zip([2, 3])
        .map(|(line, n)| line.contains(&format!(r#""n":{n}"#)))
        .collect();
    assert_eq!(
        counts,
        [true, true],
        "first when the window is over, then again for the late record: {told:?}"
    );
}

#[test]
fn a_new_operator_begins_empty_where_event_time_stands() {
    let (mut chain, dropped) = changed("[]", &[r#"{"k":"x","ts":40}"#], WINDOW).unwrap();
    assert_eq!(dropped, Vec::<String>::new());
    let told = step(&mut chain, &[r#"{"k":"x","ts":3}"#, r#"{"k":"x","ts":56}"#]);
    assert!(
        told.iter().all(|line| !line.contains(r#""window_start":0"#)),
        "{told:?}"
    );
    assert!(told[0].starts_with("!late late/Some(0) #0"), "{told:?}");
}

#[test]
fn state_is_dropped_for_operators_that_the_spec_names_and_event_time_stays() {
    let values = [r#"{"k":"x","ts":40}"#];
    let refused = changed(WINDOW, &values, "[]").unwrap_err();
    assert!(refused.contains("onStateChange: {drop: [w]}"), "{refused}");
    let refused = changed(WINDOW, &values, "[]\n  onStateChange: {drop: [other]}").unwrap_err();
    assert!(
        refused.starts_with("state of operator `w`: the spec no longer has this operator"),
        "{refused}"
    );

    let (chain, dropped) = changed(WINDOW, &values, "[]\n  onStateChange: {drop: [w]}").unwrap();
    assert_eq!(dropped, ["state of operator `w`: the spec no longer has this operator"]);
    assert_eq!((chain.newest_event_time(), chain.save().len()), (Some(40), 0));

    let longer = format!("{}\n  onStateChange: {{drop: [w]}}", WINDOW.replace("10ms", "20ms"));
    let (mut chain, dropped) = changed(WINDOW, &values, &longer).unwrap();
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert!(dropped[0].contains("window: tumbling, 10 ms"), "{dropped:?}");
    let told = step(&mut chain, &[r#"{"k":"x","ts":41}"#, r#"{"k":"x","ts":66}"#]);
    assert!(
        told[0].contains(r#""window_start":40,"window_end":60,"is_final":true,"n":1"#),
        "{told:?}"
    );
}

#[test]
fn a_checkpoint_of_another_operator_is_refused_by_name() {
    let mut window =
        chain("[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}}]");
    step(&mut window, &[r#"{"k":"x","ts":14}"#]);
    let mut other = chain("[{name: g, groupBy: {keys: [k], aggregates: [{name: n, function: count}]}}]");
    let refused = other.load(window.newest_event_time(), &window.save()).unwrap_err();
    assert!(
        refused.starts_with("state of operator `w`: the spec no longer has this operator"),
        "{refused}"
    );
}

/// A count per 10 ms with more settings, then `between`, then the most per 60 ms and how many there were.
fn chained(settings: &str, between: &str) -> String {
    format!(
        "[{{name: small, window: {{tumbling: {{size: 10ms}}, {settings} keys: [k], aggregates: [{{name: n, function: count}}]}}}},
          {between}
          {{name: large, window: {{tumbling: {{size: 60ms}}, keys: [k], aggregates: [
            {{name: most, function: max, expression: n}}, {{name: times, function: count}}]}}}}]"
    )
}

const FINAL: &str = "{name: final, filter: {where: is_final}},";

#[test]
fn a_window_behind_a_window_gets_its_results_in_time() {
    let mut chain = chain(&chained("", ""));
    let values = [
        r#"{"k":"x","ts":48}"#,
        r#"{"k":"x","ts":51}"#,
        r#"{"k":"x","ts":55}"#,
        // At 65 the window from 50 to 60 is over, and with its result the one from 0 to 60.
        r#"{"k":"x","ts":65}"#,
        r#"{"k":"x","ts":71}"#,
    ];
    assert_eq!(step(&mut chain, &values[..3]), Vec::<String>::new());
    let told = step(&mut chain, &values[3..]);
    assert_eq!(
        told,
        [r#"x={"k":"x","window_start":0,"window_end":60,"is_final":true,"most":2,"times":2}@59"#]
    );
    assert_eq!(
        finish(&mut chain),
        [r#"x={"k":"x","window_start":60,"window_end":120,"is_final":true,"most":1,"times":2}@119"#]
    );
}

#[test]
fn windows_by_the_clock_close_when_the_chain_is_told_the_time() {
    let mut chain = chain(
        "[{name: w, window: {tumbling: {size: 10s}, time: processing, keys: [k], aggregates: [{name: n, function: count}]}},
          {name: behind, window: {tumbling: {size: 1m}, keys: [k], aggregates: [{name: s, function: sum, expression: n}]}}]",
    );
    let tick = |chain: &mut Chain, clock| {
        let mut effects = Effects::default();
        chain.step(Input::Clock(clock), &mut effects);
        told(&effects, &[])
    };
    assert_eq!(tick(&mut chain, 1_000_000), Vec::<String>::new());
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","ts":5}"#, r#"{"k":"x","ts":1}"#]),
        Vec::<String>::new()
    );
    assert_eq!(tick(&mut chain, 1_015_000), Vec::<String>::new());
    assert_eq!(step(&mut chain, &[r#"{"k":"x","ts":9}"#]), Vec::<String>::new());
    assert_eq!(tick(&mut chain, 1_019_999), Vec::<String>::new());
    assert_eq!(
        tick(&mut chain, 1_020_000),
        [r#"x={"k":"x","window_start":960000,"window_end":1020000,"is_final":true,"s":3}@1019999"#]
    );
    assert_eq!(
        tick(&mut chain, 5),
        Vec::<String>::new(),
        "a clock that goes back stands still"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn chained_windows_aggregate_what_was_not_late(values in prop::collection::vec(value(), 1..40), which in 0usize..5) {
        let (settings, between) = [
            ("", ""),
            ("allowedLateness: 25ms,", FINAL),
            ("emit: {onUpdate: {}},", FINAL),
            ("emit: {early: {every: 3ms}}, allowedLateness: 7ms,", FINAL),
            ("emit: {early: {every: 4ms}},", FINAL),
        ][which];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut chain = chain(&chained(settings, between));
        let mut told = step(&mut chain, &values);
        told.extend(finish(&mut chain));
        let is_late = |at: usize| told.iter().any(|line| line.starts_with(&format!("!late late/Some(0) #{at}:")));
        let mut small = std::collections::BTreeMap::new();
        for (at, value) in values.iter().enumerate().filter(|(at, _)| !is_late(*at)) {
            let start = value.find("\"ts\":").unwrap() + 5;
            let time: i64 = value[start..].split(',').next().unwrap().parse().unwrap();
            *small.entry((key_of(values[at]), time / 10)).or_insert(0) += 1;
        }
        let mut large = std::collections::BTreeMap::new();
        for ((key, window), count) in small {
            let (most, times) = large.entry((key, window / 6)).or_insert((0, 0));
            (*most, *times) = (count.max(*most), *times + 1);
        }
        let line = |((key, window), (most, times)): ((&str, i64), (i32, i32))| {
            let (start, end) = (window * 60, window * 60 + 60);
            format!(
                "{key}={{\"k\":\"{key}\",\"window_start\":{start},\"window_end\":{end},\"is_final\":true,\"most\":{most},\
                 \"times\":{times}}}@{}",
                end - 1
            )
        };
        let mut expected: Vec<String> = large.into_iter().map(line).collect();
        let mut found: Vec<String> = told.into_iter().filter(|line| !line.starts_with("!late late/Some(0)")).collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}

const CHAINS: [&str; 9] = [
    "[{name: f, filter: {where: a % 3 <> 0}}, {name: m, map: {drop: [list], set: [{field: q, expression: 100 / (a - 4)}]}}]",
    "[{name: e, flatMap: {explode: {field: list}}}, {name: g, groupBy: {keys: [k], aggregates: [
        {name: n, function: count}, {name: s, function: sum, expression: list}, {name: d, function: stddev, expression: a}]}}]",
    "[{name: w, window: {tumbling: {size: 20ms}, keys: [k], aggregates: [
        {name: n, function: count}, {name: m, function: max, expression: 10 / a}]}}]",
    "[{name: w, window: {tumbling: {size: 20ms}, allowedLateness: 30ms, keys: [k], aggregates: [
        {name: n, function: count}, {name: s, function: sum, expression: a}]}}]",    "[{name: w, window: {sliding: {size: 30ms, slide: 7ms}, allowedLateness: 30ms, keys: [k], aggregates: [
        {name: n, function: count}, {name: s, function: sum, expression: a}]}}]",
    "[{name: w, window: {session: {gap: 6ms}, emit: {onUpdate: {}}, keys: [k], aggregates: [{name: n, function: count}]}}]",
    "[{name: g, groupBy: {keys: [k, a], aggregates: [{name: n, function: count}]}},
      {name: w, window: {tumbling: {size: 20ms}, keys: [k, a], aggregates: [{name: m, function: max, expression: n}]}}]",
    "[{name: s, window: {session: {gap: 6ms}, allowedLateness: 9ms, keys: [k], aggregates: [{name: n, function: count}]}},
      {name: w, window: {sliding: {size: 50ms, slide: 10ms}, emit: {early: {every: 5ms}}, keys: [k], aggregates: [
        {name: m, function: max, expression: n}, {name: t, function: count}]}},
      {name: g, groupBy: {keys: [k], aggregates: [{name: n, function: count}]}}]",
    "[{name: w, window: {tumbling: {size: 7ms}, keys: [k, a], aggregates: [{name: n, function: count}]}},
      {name: m, map: {set: [{field: q, expression: 12 / (n - 1)}]}},
      {name: v, window: {tumbling: {size: 21ms}, emit: {onUpdate: {}}, keys: [a, k], aggregates: [{name: m, function: max, expression: q}]}}]",
];

prop_compose! {
    fn value()(k in 0..3, a in prop::option::of(0i64..9), ts in 0i64..200, list in prop::collection::vec(0i64..9, 0..3)) -> String {
        let a = a.map_or("null".to_owned(), |a| a.to_string());
        format!(r#"{{"k":"k{k}","a":{a},"ts":{ts},"list":{list:?}}}"#)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Results of one key come in the same order and with the same values, however the input is cut and wherever the
    /// state goes through a checkpoint.
    #[test]
    fn effects_do_not_depend_on_steps_or_restarts(
        values in prop::collection::vec(value(), 1..40),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6),
        which in 0..CHAINS.len(),
    ) {
        let program = program(CHAINS[which]);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut whole = Chain::new(program.clone());
        let mut expected = step(&mut whole, &values);
        expected.extend(finish(&mut whole));

        let mut cuts: Vec<(usize, bool)> = cuts.iter().map(|(at, restart)| (at.index(values.len()), *restart)).collect();
        cuts.sort_unstable();
        cuts.push((values.len(), false));
        let (mut chain, mut from, mut found) = (Chain::new(program.clone()), 0, Vec::new());
        for (to, restart) in cuts {
            found.extend(step(&mut chain, &values[from..to]));
            from = to;
            if restart {
                let mut next = Chain::new(program.clone());
                prop_assert_eq!(next.load(chain.newest_event_time(), &chain.save()), Ok(Vec::new()));
                prop_assert_eq!(next.save(), chain.save());
                chain = next;
            }
        }
        found.extend(finish(&mut chain));
        // Positions of rejected records count from the start of their step, and their order among results is free.
        let comparable = |told: Vec<String>| {
            let mut told: Vec<String> = told.iter().map(|line| line.split(" #").next().unwrap().to_owned()).collect();
            told.sort_by_key(|line| line.split('=').next().unwrap_or_default().to_owned());
            told
        };
        prop_assert_eq!(comparable(found), comparable(expected));
    }
}

#[test]
fn what_passes_a_deduplicate_keeps_its_bytes_and_its_key() {
    let mut chain =
        chain("[{name: d, deduplicate: {keys: [k, a], within: 1m}}, {name: f, filter: {where: a IS NULL OR a > 0}}]");
    let odd = r#"{ "a" : 2,"z":1,"ts":1,"k":"x" }"#;
    let values = [odd, r#"{"k":"x","a":2,"ts":2}"#, r#"{"k":"y","a":2,"ts":3}"#];
    assert_eq!(
        step(&mut chain, &values),
        [format!("x={odd}@7000"), format!("y={}@7002", values[2])]
    );
    assert_eq!(step(&mut chain, &[odd]), [""; 0]);
}

#[test]
fn a_difference_to_the_record_before_is_a_map_behind_a_previous() {
    let mut chain = chain(
        "[{name: p, previous: {keys: [k], fields: [{field: a, as: before}]}},
          {name: m, map: {keep: [k], set: [{field: d, expression: a - before}, {field: q, expression: 10 / a}]}}]",
    );
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","a":5,"ts":1}"#, r#"{"k":"x","a":0,"ts":2}"#]),
        [
            r#"x={"k":"x","d":null,"q":2}@1"#,
            "!dead expression-failed/Some(1) #1: division by zero in `a - before`, `10 / a`",
        ]
    );
    assert_eq!(
        step(&mut chain, &[r#"{"k":"x","a":2,"ts":3}"#]),
        [r#"x={"k":"x","d":2,"q":5}@3"#],
        "a record that fails behind it was here"
    );
}

#[test]
fn rows_that_a_window_makes_at_the_end_go_through_the_steps_behind() {
    let mut chain = chain(
        "[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}},
          {name: p, previous: {keys: [k], fields: [{field: n, as: before}]}},
          {name: d, deduplicate: {keys: [k], within: 10ms}},
          {name: m, map: {keep: [k, n, before]}}]",
    );
    let values = [
        r#"{"k":"x","ts":1}"#,
        r#"{"k":"x","ts":2}"#,
        r#"{"k":"y","ts":3}"#,
        r#"{"k":"x","ts":12}"#,
    ];
    assert_eq!(step(&mut chain, &values), [""; 0]);
    assert_eq!(
        finish(&mut chain),
        [
            r#"x={"k":"x","n":2,"before":null}@9"#,
            r#"y={"k":"y","n":1,"before":null}@9"#,
            r#"x={"k":"x","n":1,"before":2}@19"#,
        ]
    );
}

#[test]
fn only_a_clock_that_makes_rows_asks_for_a_commit() {
    let mut chain = chain_with(
        "{field: ts, closeAfterIdle: 1s}",
        "[{name: w, window: {tumbling: {size: 10ms}, keys: [k], aggregates: [{name: n, function: count}]}}]",
    );
    let mut effects = Effects::default();
    chain.step(Input::Clock(1_000_000), &mut effects);
    step(&mut chain, &[r#"{"k":"x","ts":1}"#]);
    for (clock, changed) in [(1_000_999, false), (1_001_000, true), (1_002_000, false)] {
        effects.clear();
        chain.step(Input::Clock(clock), &mut effects);
        assert_eq!(
            (effects.changed, effects.emits.len()),
            (changed, usize::from(changed)),
            "at {clock}"
        );
    }
    assert_eq!(chain.newest_event_time(), Some(2_001));
}
