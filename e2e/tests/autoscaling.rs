//! The real HorizontalPodAutoscaler scales a keyed, windowed pipeline on its lag: up when more comes in than one runner's
//! CPU limit can do, down again when it is over, and no result is lost or doubled meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::time::{Duration, Instant};

use millrace_e2e::compare::{outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::installation::{Installation, World, world};
use millrace_e2e::load::{self, Load};
use serde_json::{Value, json};

const PARTITIONS: i32 = 6;
const NAMESPACE: &str = "scaling";
const NAME: &str = "per-user";
/// Events a second: more than one runner does with its CPU limit, less than six do.
const RATE: u64 = 40_000;
/// Records behind that are less than a second's worth: commits take their time, so it is never none.
const A_SECOND: i64 = RATE as i64;
/// A runner's CPU limit.
const CPU: &str = "100m";
/// Records behind for each runner.
const TARGET: i64 = 30_000;
const WINDOW: i64 = 5_000;
/// For how long events keep coming, at least.
const SUSTAINED: Duration = Duration::from_secs(100);
/// Longer than it takes to work the lag off: else there would be fewer runners while events still keep coming.
const SCALE_DOWN_AFTER: Duration = Duration::from_secs(90);

fn aggregation(world: &World) -> Value {
    json!({
        "apiVersion": "millrace.io/v1alpha1",
        "kind": "WindowAggregation",
        "metadata": {"name": NAME},
        "spec": {
            "source": {"kafka": {"bootstrapServers": [world.broker.bootstrap()], "topics": ["events"]}},
            "schema": {"fields": [
                {"name": "ts", "type": "timestamp"},
                {"name": "user", "type": "string"},
                {"name": "amount", "type": "int64"},
            ]},
            "eventTime": {"field": "ts"},
            // True for all, and dear enough that a fraction of a core is soon too little.
            "where": "regexp_like(\"user\", '^[a-z]+[0-9]+$')",
            "window": {
                "tumbling": {"size": format!("{WINDOW}ms")},
                "keys": ["user"],
                "aggregates": [
                    {"name": "n", "function": "count"},
                    {"name": "total", "function": "sum", "expression": "amount"},
                ],
            },
            "sinks": [{"name": "out", "kafka": {"topic": "per-user"}}],
            "checkpoint": {"interval": "200ms"},
            "resources": {"limits": {"cpu": CPU}, "requests": {"cpu": "10m"}},
            "scaling": {
                "min": 1,
                "max": 12,
                "target": {"lagRecords": TARGET},
                "scaleDownAfter": format!("{}s", SCALE_DOWN_AFTER.as_secs()),
            },
        },
    })
}

/// What was seen of the object.
#[derive(Clone, Copy, Debug)]
struct Sight {
    replicas: i64,
    lag: Option<i64>,
}

fn look(world: &World) -> Sight {
    let object = world
        .kubectl
        .get(NAMESPACE, "WindowAggregation", NAME)
        .unwrap()
        .unwrap();
    Sight {
        replicas: object["spec"]["replicas"].as_i64().unwrap(),
        lag: object["status"]["lag"]["records"].as_i64(),
    }
}

#[test]
fn runners_follow_the_lag_up_and_down_and_every_result_is_exact() {
    let world = world();
    let installation = Installation::install(world, "millrace-system", &["externalMetrics.enabled=true"]).unwrap();
    let client = world.broker.client();
    client.create_topic("events", PARTITIONS).unwrap();
    world.kubectl.restricted_namespace(NAMESPACE).unwrap();
    world.kubectl.apply(NAMESPACE, &aggregation(world).to_string()).unwrap();
    world
        .kubectl
        .wait_for("Ready", (NAMESPACE, "WindowAggregation", NAME))
        .unwrap();
    assert_eq!(look(world).replicas, 1);

    let load = Load::start(&client, "events", RATE).unwrap();
    let started = Instant::now();
    let mut changes = Vec::new();
    let mut last = 1;
    let mut watch = |what: &str, within: Duration, done: &mut dyn FnMut(Sight) -> bool| {
        eventually(what, within, || {
            let sight = look(world);
            if sight.replicas != last {
                changes.push((started.elapsed(), sight));
                last = sight.replicas;
            }
            Ok(done(sight).then_some(started.elapsed()))
        })
        .unwrap_or_else(|error| panic!("{error:#}\nchanges: {changes:?}\n{}", installation.describe()))
    };
    let mut highest = 0;
    let behind = watch("more than one runner's lag", Duration::from_secs(120), &mut |sight| {
        sight.lag.is_some_and(|lag| lag > TARGET)
    });
    let grown = watch("more runners", Duration::from_secs(60), &mut |sight| sight.replicas > 1);
    assert!(grown - behind < Duration::from_secs(60), "{changes:?}");
    watch(
        "the lag is worked off while events keep coming",
        Duration::from_secs(300),
        &mut |sight| {
            highest = highest.max(sight.replicas);
            sight.lag.is_some_and(|lag| lag < A_SECOND) && started.elapsed() > SUSTAINED
        },
    );
    let written = load.stop().unwrap();
    watch("nothing is left", Duration::from_secs(120), &mut |sight| {
        sight.lag == Some(0)
    });
    watch(
        "one runner again",
        SCALE_DOWN_AFTER + Duration::from_secs(180),
        &mut |sight| sight.replicas == 1,
    );
    assert!(changes.len() <= 6, "{changes:?}");
    assert!(
        changes.iter().all(|(_, sight)| sight.replicas <= i64::from(PARTITIONS)),
        "{changes:?}"
    );

    // The last windows of a partition stay open: no event of it is past their end.
    let expected = load::windows(&client, "events", WINDOW).unwrap();
    assert!(
        written > 100_000 && expected.len() > 1_000,
        "{written} events, {} windows",
        expected.len()
    );
    same_multiset(outcomes(&client.read_committed("per-user").unwrap()), expected).unwrap();
    installation.uninstall().unwrap();
}
