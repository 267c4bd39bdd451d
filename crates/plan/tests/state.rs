//! What a changed spec means for state that is there.

use millrace_plan::{OperatorState, Plan, load, validate};

/// A plan over `{k: string, a: int64?, b: int64}` keyed by `k`.
fn plan(operators: &str, more: &str) -> Plan {
    let text = format!(
        "apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: changing}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema:
    fields:
      - {{name: k, type: string}}
      - {{name: a, type: int64, nullable: true}}
      - {{name: b, type: int64}}
  key: [k]
  operators: {operators}
  sinks: [{{name: out, kafka: {{topic: out}}}}]
{more}"
    );
    let manifests = load(&text).expect("the manifest loads");
    validate(&manifests[0], &[]).expect("the manifest is valid")
}

const HOURLY: &str = "[{name: hourly, window: {tumbling: {size: 1h}, keys: [k], aggregates: [
    {name: n, function: count}, {name: s, function: sum, expression: a}]}}]";

/// The states that the plan of `before` leaves, judged by the plan of `after`.
fn lost(before: &str, after: &str, more: &str) -> Vec<String> {
    let lost = plan(after, more).would_lose(&plan(before, "").states());
    lost.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plan_says_what_it_remembers_in_words_that_can_be_compared() {
    let words = |shape: &[&str]| shape.iter().map(|line| (*line).to_owned()).collect();
    let expected = OperatorState {
        operator: "hourly".to_owned(),
        kind: "window".to_owned(),
        shape: words(&[
            "window: tumbling, 3600000 ms, offset 0 ms",
            "key 1: k string",
            "aggregate 1: count(records) int64",
            "aggregate 2: sum(a int64) int64",
        ]),
    };
    assert_eq!(plan(HOURLY, "").states(), [expected]);
    assert_eq!(plan("[{name: f, filter: {where: b > 0}}]", "").states(), []);
}

#[test]
fn what_does_not_change_the_meaning_of_state_loses_nothing() {
    for after in [
        // Other steps around it.
        "[{name: f, filter: {where: b > 0}}, {name: hourly, window: {tumbling: {size: 1h}, keys: [k], aggregates: [
            {name: n, function: count}, {name: s, function: sum, expression: a}]}}, {name: m, map: {keep: [n]}}]",
        // Other names of results, and another lateness.
        "[{name: hourly, window: {tumbling: {size: 1h}, allowedLateness: 5m, keys: [k], aggregates: [
            {name: flights, function: count}, {name: total, function: sum, expression: a}]}}]",
    ] {
        assert_eq!(lost(HOURLY, after, ""), Vec::<String>::new(), "{after}");
    }
}

#[test]
fn what_changes_the_meaning_of_state_loses_it_and_says_why() {
    let window = |settings: &str, aggregates: &str| {
        format!("[{{name: hourly, window: {{tumbling: {{{settings}}}, keys: [k], aggregates: [{aggregates}]}}}}]")
    };
    let both = "{name: n, function: count}, {name: s, function: sum, expression: a}";
    for (after, why) in [
        ("[]".to_owned(), "the spec no longer has this operator"),
        (
            HOURLY.replace("hourly", "renamed"),
            "the spec no longer has this operator",
        ),
        (
            "[{name: hourly, filter: {where: b > 0}}]".to_owned(),
            "it was a window, now it remembers nothing",
        ),
        (
            format!("[{{name: hourly, groupBy: {{keys: [k], aggregates: [{both}]}}}}]"),
            "it was a window, now it is a groupBy",
        ),
        (
            window("size: 2h", both),
            "it was saved for `window: tumbling, 3600000 ms, offset 0 ms`, the plan has `window: tumbling, 7200000 ms, offset 0 ms`",
        ),
        (
            window("size: 1h", "{name: n, function: count}"),
            "it was saved for `aggregate 2: sum(a int64) int64`, the plan has nothing more",
        ),
        (
            window(
                "size: 1h",
                "{name: n, function: count}, {name: s, function: sum, expression: b}",
            ),
            "it was saved for `aggregate 2: sum(a int64) int64`, the plan has `aggregate 2: sum(b int64) int64`",
        ),
        (
            window(
                "size: 1h",
                "{name: n, function: count, where: b > 0}, {name: s, function: sum, expression: a}",
            ),
            "it was saved for `aggregate 1: count(records) int64`, the plan has `aggregate 1: count(records) int64 where b > 0`",
        ),
        (
            window(
                "size: 1h",
                "{name: n, function: count}, {name: s, function: sum, expression: a, distinct: true}",
            ),
            "it was saved for `aggregate 2: sum(a int64) int64`, the plan has `aggregate 2: sum(distinct a int64) int64`",
        ),
    ] {
        assert_eq!(
            lost(HOURLY, &after, ""),
            [format!("state of operator `hourly`: {why}")],
            "{after}"
        );
    }
}

#[test]
fn parameters_of_aggregates_are_part_of_what_state_means() {
    let shape = |aggregate: &str| {
        let operators = format!("[{{name: g, groupBy: {{keys: [k], aggregates: [{{name: n, {aggregate}}}]}}}}]");
        plan(&operators, "").states().remove(0).shape.remove(1)
    };
    for (aggregate, line) in [
        ("function: stddevSamp, expression: a", "stddev(a int64) float64"),
        (
            "function: collectList, expression: k, limit: 7",
            "collectList(k string, limit 7) array",
        ),
        (
            "function: topN, expression: k, by: a + b, limit: 3, where: a > 1",
            "topN(k string, by a + b int64, limit 3) array where a > 1",
        ),
        (
            "function: approxPercentile, expression: b, percentile: 0.95",
            "approxPercentile(b int64, percentile 0.95) float64",
        ),
        (
            "function: count, expression: a, distinct: true",
            "count(distinct a int64) int64",
        ),
    ] {
        assert_eq!(shape(aggregate), format!("aggregate 1: {line}"));
    }
}

#[test]
fn state_is_dropped_for_the_operators_that_the_spec_names_and_for_no_other() {
    let named = |name: &str| format!("  onStateChange: {{drop: [{name}]}}\n");
    assert_eq!(lost(HOURLY, "[]", &named("hourly")), Vec::<String>::new());
    assert_eq!(lost(HOURLY, "[]", &named("hour")).len(), 1);
}

#[test]
fn naming_an_operator_does_not_drop_state_that_it_can_go_on_from() {
    let again = plan(HOURLY, "  onStateChange: {drop: [hourly]}\n");
    let states = again.states();
    assert_eq!(again.has_no_use_for(&states[0]), None);
}

#[test]
fn state_of_keys_goes_on_under_other_lengths_and_names_but_not_under_another_time() {
    let previous = |alias: &str, ttl: &str| {
        format!("[{{name: p, previous: {{keys: [k], fields: [{{field: a, as: {alias}}}], {ttl}}}}}]")
    };
    let before = previous("x", "ttl: {after: 1h}");
    let none: [String; 0] = [];
    assert_eq!(lost(&before, &previous("y", "ttl: {after: 2h, time: event}"), ""), none);
    assert_eq!(
        lost(&before, &previous("x", "ttl: {after: 1h, time: processing}"), ""),
        ["state of operator `p`: it was saved for `kept by event time`, the plan has `kept by processing time`"]
    );
    assert_eq!(
        lost(&before, &previous("x", ""), ""),
        ["state of operator `p`: it was saved for `kept by event time`, the plan has nothing more"]
    );
    let deduplicate = |how: &str| format!("[{{name: p, deduplicate: {{keys: [k], {how}}}}}]");
    assert_eq!(lost(&deduplicate("within: 1h"), &deduplicate("within: 2h"), ""), none);
    assert_eq!(
        lost(&deduplicate("within: 1h"), &deduplicate("within: 1h, keep: last"), ""),
        ["state of operator `p`: it was saved for `first kept by event time`, the plan has `last kept by event time`"]
    );
}
