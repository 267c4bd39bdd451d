//! What the validator knows of: what it does not know yet is not tried. So an operator can stand here before it stands there.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// Name and the smallest operator that uses it, over the fields `k` (string, the record key) and `a` (int64).
const PROBES: &[(&str, &str)] = &[
    (
        "join",
        "join: {table: {name: t, file: {path: /t.csv}, schema: {fields: [{name: k, type: string}, {name: v, type: int64}]}, \
         key: [k]}, match: [{field: k}]}",
    ),
    (
        "stream",
        "join: {stream: {name: s, source: {kafka: {topics: [s]}}, schema: {fields: [{name: k, type: string}]}}, \
         match: [{field: k}], ttl: 10ms}",
    ),
    (
        "sliding",
        "window: {sliding: {size: 10ms, slide: 5ms}, keys: [k], aggregates: [{name: c, function: count}]}",
    ),
    (
        "session",
        "window: {session: {gap: 10ms}, keys: [k], aggregates: [{name: c, function: count}]}",
    ),
    (
        "emit",
        "window: {tumbling: {size: 10ms}, emit: {onUpdate: {}}, keys: [k], aggregates: [{name: c, function: count}]}",
    ),
    (
        "processing",
        "window: {tumbling: {size: 10ms}, time: processing, keys: [k], aggregates: [{name: c, function: count}]}",
    ),
    ("deduplicate", "deduplicate: {keys: [k], within: 10ms}"),
    ("previous", "previous: {keys: [k], fields: [{field: a, as: b}]}"),
    (
        "ttl",
        "groupBy: {keys: [k], ttl: {after: 10ms}, aggregates: [{name: c, function: count}]}",
    ),
    (
        "where",
        "groupBy: {keys: [k], aggregates: [{name: c, function: count, where: a > 0}]}",
    ),
    (
        "distinct",
        "groupBy: {keys: [k], aggregates: [{name: c, function: sum, expression: a, distinct: true}]}",
    ),
    (
        "stddevSamp",
        "groupBy: {keys: [k], aggregates: [{name: c, function: stddevSamp, expression: a}]}",
    ),
    (
        "first",
        "groupBy: {keys: [k], aggregates: [{name: c, function: first, expression: a}]}",
    ),
    (
        "countDistinct",
        "groupBy: {keys: [k], aggregates: [{name: c, function: countDistinct, expression: a}]}",
    ),
    (
        "approxPercentile",
        "groupBy: {keys: [k], aggregates: [{name: c, function: approxPercentile, expression: a, percentile: 0.5}]}",
    ),
    (
        "topN",
        "groupBy: {keys: [k], aggregates: [{name: c, function: topN, expression: a, limit: 2}]}",
    ),
];

static KNOWN: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let known = |(name, operator): &(&'static str, &str)| {
        let operator: Value = yaml_serde::from_str(&format!("{{name: x, {operator}}}")).expect("probes are YAML");
        let spec = json!({
            "source": {"kafka": {"bootstrapServers": ["sim:9092"], "topics": ["in"]}},
            "schema": {"fields": [{"name": "k", "type": "string"}, {"name": "a", "type": "int64"}]},
            "key": ["k"],
            "operators": [operator],
            "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
        });
        crate::manifest::checked(&spec).is_ok().then_some(*name)
    };
    PROBES.iter().filter_map(known).collect()
});

/// Whether the validator knows it. What has no probe is known.
pub(crate) fn known(name: &str) -> bool {
    KNOWN.contains(name) || PROBES.iter().all(|(probe, _)| *probe != name)
}

/// What is not tried because the validator does not know it.
pub(crate) fn unknown() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|(name, _)| *name).filter(|name| !known(name))
}
