//! What a platform engineer does: `helm install`, `kubectl apply`, look, break something, delete. On a real cluster and a
//! real broker, judged by a reader of committed records against an independent computation.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::time::Duration;

use millrace_e2e::compare::{origins, outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::installation::{Installation, world};
use millrace_e2e::kubectl::{Kubectl, condition};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use serde_json::{Value, json};

const PARTITIONS: i32 = 4;
/// Debug builds on two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);
const NAMESPACE: &str = "flights";

fn lag(object: &Value) -> Option<i64> {
    object["status"]["lag"]["records"].as_i64()
}

#[test]
fn both_kinds_run_from_helm_install_to_kubectl_delete() {
    let world = world();
    let kubectl = &world.kubectl;
    let installation = Installation::install(world, "millrace-system", &[]).unwrap();
    kubectl
        .helm(&["test", "millrace", "--namespace", "millrace-system", "--timeout", "2m"])
        .unwrap_or_else(|error| {
            panic!(
                "{error:#}\n{}",
                kubectl
                    .run(&["logs", "millrace-check", "-n", "millrace-system"])
                    .unwrap()
            )
        });

    let client = world.broker.client();
    client.create_topic("flights", PARTITIONS).unwrap();
    let messages: Vec<_> = flights::january()
        .unwrap()
        .iter()
        .map(|line| flights::message(line).unwrap())
        .collect();
    let (first, rest) = messages.split_at(9_000);
    client.write("flights", first.iter().cloned()).unwrap();

    // Suspended at first: nothing runs, and the lag is known all the same.
    kubectl.restricted_namespace(NAMESPACE).unwrap();
    let objects = [
        ("StreamPipeline", "late-departures", "01-filter-map/pipeline.yaml"),
        (
            "WindowAggregation",
            "hourly-delays",
            "02-tumbling-window/aggregation.yaml",
        ),
    ];
    for (_, name, example) in objects {
        let manifest = Manifest::example(example)
            .unwrap()
            .between(world.broker.bootstrap(), "flights", name)
            .with("spec.suspend", json!(true));
        kubectl.apply(NAMESPACE, &manifest.to_string()).unwrap();
    }
    for (kind, name, _) in objects {
        let at = (NAMESPACE, kind, name);
        kubectl
            .until("suspended, with the whole lag", PATIENCE, at, |object| {
                let suspended = condition(object, "Suspended").is_some_and(|(status, ..)| status == "True");
                (suspended && lag(object) == Some(9_000) && object["status"]["replicas"] == 0).then_some(())
            })
            .unwrap();
    }

    // At work, while a runner and the operator are killed.
    for (kind, name, _) in objects {
        kubectl
            .patch(
                NAMESPACE,
                kind,
                name,
                &json!({"spec": {"suspend": false, "replicas": 2}}),
            )
            .unwrap();
    }
    for (kind, name, _) in objects {
        let at = (NAMESPACE, kind, name);
        kubectl
            .until("caught up by two runners", PATIENCE, at, |object| {
                (lag(object) == Some(0) && object["status"]["readyReplicas"] == 2).then_some(())
            })
            .unwrap();
    }
    let (second, rest) = rest.split_at(6_000);
    client.write("flights", second.iter().cloned()).unwrap();
    for (kind, name, _) in objects {
        let at = (NAMESPACE, kind, name);
        let rate = |object: &Value| object["status"]["throughput"]["inPerSecond"].as_i64();
        kubectl
            .until("a rate", PATIENCE, at, |object| rate(object).filter(|rate| *rate > 0))
            .unwrap();
    }
    let (third, rest) = rest.split_at(6_000);
    client.write("flights", third.iter().cloned()).unwrap();
    let pods = kubectl.list(NAMESPACE, "pods").unwrap();
    assert_eq!(pods.len(), 4, "two runners of two objects");
    let victim = pods[0]["metadata"]["name"].as_str().unwrap();
    kubectl
        .run(&["delete", "pod", victim, "-n", NAMESPACE, "--force", "--grace-period=0"])
        .unwrap();
    let operator = installation.operator_pod().unwrap();
    kubectl
        .run(&[
            "delete",
            "pod",
            &operator,
            "-n",
            "millrace-system",
            "--force",
            "--grace-period=0",
        ])
        .unwrap();
    client.write("flights", rest.iter().cloned()).unwrap();
    client.write("flights", flights::closing(PARTITIONS)).unwrap();

    // What the conditions say now may be of before the last records.
    let written = messages.len() as i64 + i64::from(PARTITIONS);
    for (_, name, _) in objects {
        eventually("everything is committed", PATIENCE, || {
            let committed: i64 = client.committed(name, "flights")?.iter().sum();
            Ok((committed >= written).then_some(()))
        })
        .unwrap();
    }
    for (kind, name, _) in objects {
        kubectl.wait_for("CaughtUp", (NAMESPACE, kind, name)).unwrap();
        kubectl.wait_for("Ready", (NAMESPACE, kind, name)).unwrap();
    }
    assert_ne!(
        installation.operator_pod().unwrap(),
        operator,
        "the operator was replaced"
    );
    let table = kubectl.run(&["get", "millrace", "-n", NAMESPACE]).unwrap();
    for column in ["READY", "REPLICAS", "LAG", "IN/S", "OUT/S", "CHECKPOINT", "AGE"] {
        assert!(table.contains(column), "{table}");
    }

    // Exact, once each.
    let input = client.read_committed("flights").unwrap();
    assert_eq!(input.len(), messages.len() + PARTITIONS as usize);
    let mapped = outcomes(&client.read_committed("late-departures").unwrap());
    same_multiset(mapped, oracle::filter_map(&input).unwrap()).unwrap();
    let expected = oracle::hourly(&input).unwrap();
    assert!(expected.results.len() > 5000, "the oracle has work");
    let found = outcomes(&client.read_committed("hourly-delays").unwrap());
    same_multiset(found, expected.results).unwrap();
    assert_eq!(
        origins(&client.read_committed("hourly-delays-late").unwrap()),
        expected.late
    );

    the_plugin_shows_and_does_the_rest(&world.kubectl);

    // Gone, but for the claim of the one that remembers something.
    for (kind, name, _) in objects {
        kubectl.run(&["delete", kind, name, "-n", NAMESPACE]).unwrap();
    }
    assert_eq!(
        world.left_in(NAMESPACE, PATIENCE).unwrap(),
        ["PersistentVolumeClaim/hourly-delays-state"]
    );
    installation.uninstall().unwrap();
}

/// `kubectl millrace` on the caught-up window.
fn the_plugin_shows_and_does_the_rest(kubectl: &Kubectl) {
    let name = ["hourly-delays", "--namespace", NAMESPACE];
    let plugin = |verb: &str, more: &[&str]| kubectl.plugin(&[&[verb], &name[..], more].concat()).unwrap();
    let status = plugin("status", &[]);
    let partitions = status.lines().filter(|line| line.starts_with("flights ")).count();
    assert_eq!(partitions, PARTITIONS as usize, "{status}");
    assert!(
        status.contains("SourceReachable") && status.contains("0 records"),
        "{status}"
    );
    let explained = plugin("explain", &[]);
    assert!(explained.contains("topic `flights`"), "{explained}");
    let logs = plugin("logs", &["--tail", "5"]);
    assert!(
        logs.lines().any(|line| line.contains("hourly-delays-runners")),
        "{logs}"
    );
    for (verb, replicas) in [("suspend", 0), ("resume", 2)] {
        plugin(verb, &["--wait"]);
        let at = (NAMESPACE, "WindowAggregation", "hourly-delays");
        let ready = |object: &Value| (object["status"]["readyReplicas"] == replicas).then_some(());
        kubectl.until(verb, PATIENCE, at, ready).unwrap();
    }
}
