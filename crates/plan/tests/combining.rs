//! Which rows are combined before they change partitions, and why others are not.

use millrace_plan::{explain, load, validate};

/// Why rows before the step are not combined.
fn combines(operator: &str, more: &str) -> Result<(), String> {
    let text = format!(
        "apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: combined}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema:
    fields:
      - {{name: k, type: string}}
      - {{name: g, type: string}}
      - {{name: v, type: int64}}
      - {{name: f, type: float64}}
      - {{name: d, type: decimal, precision: 10, scale: 2}}
  key: [k]
  operators: [{{name: w, {operator}}}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
{more}"
    );
    let manifests = load(&text).expect("the manifest loads");
    let plan = validate(&manifests[0], &[]).expect("the manifest is valid");
    let combines = plan.combines(&plan.repartitions[0]);
    let said = match &combines {
        Ok(()) => "rows of a batch that have group and window in common cross as one".to_owned(),
        Err(why) => format!("rows cross one by one: {why}"),
    };
    assert!(explain(&plan).contains(&said), "{}", explain(&plan));
    combines
}

fn window(rest: &str, aggregates: &str) -> Result<(), String> {
    combines(
        &format!("window: {{{rest}, keys: [g], aggregates: [{aggregates}]}}"),
        "",
    )
}

#[test]
fn aligned_windows_of_event_time_combine_what_merges_exactly() {
    let exact = [
        "{name: a, function: count}, {name: b, function: count, where: v > 1}, {name: c, function: count, expression: v, distinct: true}",
        "{name: a, function: sum, expression: v}, {name: b, function: sum, expression: d}, {name: c, function: avg, expression: v}",
        "{name: a, function: avg, expression: d}, {name: b, function: min, expression: f}, {name: c, function: max, expression: k}",
        "{name: a, function: countDistinct, expression: k}, {name: b, function: approxCountDistinct, expression: k}",
        "{name: a, function: first, expression: k}, {name: b, function: topN, expression: k, by: f, limit: 3}",
        "{name: a, function: approxPercentile, expression: f, percentile: 0.5}",
    ];
    for aggregates in exact {
        for windows in [
            "tumbling: {size: 1m}",
            "sliding: {size: 1h, slide: 7m}",
            "tumbling: {size: 1m}, emit: {early: {every: 1s}}",
        ] {
            assert_eq!(window(windows, aggregates), Ok(()), "{windows} {aggregates}");
        }
    }
}

#[test]
fn others_need_every_row_by_itself() {
    let why = |why: &str| Err(why.to_owned());
    let tumbling = "tumbling: {size: 1m}";
    let count = "{name: n, function: count}";
    for (rest, expected) in [
        ("session: {gap: 1m}", "rows make the sessions"),
        (
            "tumbling: {size: 1m}, time: processing",
            "each row is of the time at which it is read",
        ),
        ("tumbling: {size: 1m}, emit: {onUpdate: {}}", "every row makes a result"),
        (
            "tumbling: {size: 1m}, allowedLateness: 1s",
            "every late row makes a result",
        ),
    ] {
        assert_eq!(window(rest, count), why(expected));
    }
    for (aggregate, expected) in [
        (
            "function: sum, expression: f",
            "`n` adds doubles, which depends on their order",
        ),
        (
            "function: avg, expression: f",
            "`n` adds doubles, which depends on their order",
        ),
        (
            "function: sum, expression: v, distinct: true",
            "`n` is over distinct values",
        ),
        (
            "function: stddev, expression: v",
            "`n` depends on the order of the rows in its last digits",
        ),
        (
            "function: collectList, expression: v, limit: 3",
            "`n` refuses single rows when it is full",
        ),
    ] {
        assert_eq!(window(tumbling, &format!("{{name: n, {aggregate}}}")), why(expected));
    }
    let group = format!("groupBy: {{keys: [g], aggregates: [{count}]}}");
    assert_eq!(combines(&group, ""), why("w needs every row by itself"));
    let late = "  lateRecords: {kafka: {topic: late}}\n";
    let counted = format!("window: {{{tumbling}, keys: [g], aggregates: [{count}]}}");
    assert_eq!(combines(&counted, late), why("late rows are written to their topic"));
}
