//! What an installation may do, for whom it works, and what its coming and going means for the rest of the cluster. One
//! installation after the other, on one cluster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "installations/rights.rs"]
mod rights;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_e2e::cluster::AuditEvent;
use millrace_e2e::compare::{outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::installation::{Installation, World, world};
use millrace_e2e::kubectl::{Kubectl, condition};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use rights::{Right, granted, used};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const SYSTEM: &str = "millrace-system";
const OPERATOR: &str = "deployment/millrace-operator";
const ACCOUNT: &str = "system:serviceaccount:millrace-system:millrace-operator";
const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";

/// Only one installation at a time serves external metrics, or owns the definitions.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A StreamPipeline in a namespace of its own that reads a topic of its own.
fn mapping(world: &World, name: &str) -> Manifest {
    let topic = format!("{name}-in");
    world.kubectl.restricted_namespace(name).unwrap();
    world.broker.client().create_topic(&topic, 2).unwrap();
    Manifest::example("01-filter-map/pipeline.yaml")
        .unwrap()
        .between(world.broker.bootstrap(), &topic, name)
}

fn suspended(kubectl: &Kubectl, (namespace, kind, name): (&str, &str, &str), should: bool) {
    let patch = json!({"spec": {"suspend": should}});
    kubectl.patch(namespace, kind, name, &patch).unwrap();
    until_suspended(kubectl, (namespace, kind, name), should);
}

fn until_suspended(kubectl: &Kubectl, at: (&str, &str, &str), should: bool) {
    let status = if should { "True" } else { "False" };
    let reached = |object: &Value| (condition(object, "Suspended")?.0 == status).then_some(());
    kubectl.until("suspended or not", PATIENCE, at, reached).unwrap();
}

// Namespaced.

#[test]
fn operator_of_one_namespace_runs_its_pipelines_and_touches_no_other() {
    let _alone = alone();
    let world = world();
    let (kubectl, client) = (&world.kubectl, world.broker.client());
    let manifests = ["watched", "unwatched"].map(|name| (name, mapping(world, name)));
    let before = world.cluster.calls().unwrap().len();
    let values = ["watchNamespaces={watched}", "rbac.aggregate=false"];
    let installation = Installation::install(world, SYSTEM, &values).unwrap();

    // The one in the other namespace was there first, so that whoever looked at it would have looked already.
    for (name, manifest) in manifests.iter().rev() {
        let lines = &flights::january().unwrap()[..3_000];
        let messages = lines.iter().map(|line| flights::message(line).unwrap());
        client.write(&format!("{name}-in"), messages).unwrap();
        kubectl.apply(name, &manifest.to_string()).unwrap();
    }
    eventually("everything is committed", PATIENCE, || {
        let committed: i64 = client.committed("watched", "watched-in")?.iter().sum();
        Ok((committed >= 3_000).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", installation.describe()));
    kubectl
        .wait_for("CaughtUp", ("watched", "StreamPipeline", "watched"))
        .unwrap();
    let input = client.read_committed("watched-in").unwrap();
    let found = outcomes(&client.read_committed("watched").unwrap());
    same_multiset(found, oracle::filter_map(&input).unwrap()).unwrap();
    assert_eq!(
        world.left_in("unwatched", Duration::ZERO).unwrap(),
        ["StreamPipeline/unwatched"]
    );
    let other = kubectl
        .get("unwatched", "StreamPipeline", "unwatched")
        .unwrap()
        .unwrap();
    assert_eq!(other.get("status"), None);

    let calls = world.cluster.calls().unwrap();
    let ours = || of_operator(&calls[before..]);
    let places: BTreeSet<&str> = ours().map(|call| call.namespace.as_str()).collect();
    assert_eq!(places, BTreeSet::from([SYSTEM, "watched"]));
    assert_eq!(refused(ours()), Vec::<&AuditEvent>::new());
    nothing_cluster_wide_is_bound(kubectl);
    a_right_that_is_missing_is_said(world, &installation);
    installation.uninstall().unwrap();
    for name in ["watched", "unwatched"] {
        kubectl.run(&["delete", "namespace", name, "--wait=false"]).unwrap();
    }
}

fn nothing_cluster_wide_is_bound(kubectl: &Kubectl) {
    let bindings = kubectl
        .run(&["get", "clusterroles,clusterrolebindings", "--output", "name"])
        .unwrap();
    assert!(!bindings.contains("millrace"), "{bindings}");
    for place in [["--all-namespaces"], ["--namespace=unwatched"]] {
        let who = format!("--as={ACCOUNT}");
        let asked = [&["get", "streampipelines,pods", &who], &place[..]].concat();
        let refusal = kubectl.refused(&asked, None).unwrap();
        assert!(refusal.contains("forbidden"), "{refusal}");
    }
}

/// As docs/kubernetes.md says: `Forbidden`, with what is forbidden; and it heals.
fn a_right_that_is_missing_is_said(world: &World, installation: &Installation) {
    let kubectl = &world.kubectl;
    let role = "millrace-system-millrace-operator";
    let whole = kubectl.get("watched", "role", role).unwrap().unwrap();
    let rules = whole["rules"].as_array().unwrap();
    let lacking: Vec<&Value> = rules
        .iter()
        .filter(|rule| rule["resources"] != json!(["poddisruptionbudgets"]))
        .collect();
    assert_eq!(lacking.len() + 1, rules.len(), "one rule is taken away");
    let restart = || {
        kubectl.run(&["rollout", "restart", OPERATOR, "-n", SYSTEM]).unwrap();
        kubectl
            .run(&["rollout", "status", OPERATOR, "-n", SYSTEM, "--timeout=120s"])
            .unwrap();
    };
    kubectl
        .patch("watched", "role", role, &json!({"rules": lacking}))
        .unwrap();
    restart();
    let at = ("watched", "StreamPipeline", "watched");
    let said = |object: &Value| {
        let (status, reason, message) = condition(object, "Degraded")?;
        (status == "True" && reason == "Forbidden").then(|| message.to_owned())
    };
    let message = kubectl
        .until("a missing right", PATIENCE, at, said)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", installation.describe()));
    assert!(message.contains("poddisruptionbudgets"), "{message}");

    kubectl
        .patch("watched", "role", role, &json!({"rules": rules}))
        .unwrap();
    let healed = |object: &Value| (condition(object, "Degraded")?.0 == "False").then_some(());
    kubectl.until("it heals", PATIENCE, at, healed).unwrap();
}

// The metrics API, of which every deletion of a namespace asks.

#[test]
fn namespaces_can_be_deleted_when_the_metrics_api_is_back_or_was_uninstalled() {
    let _alone = alone();
    let world = world();
    let kubectl = &world.kubectl;
    let installation = Installation::install(world, SYSTEM, &["externalMetrics.enabled=true"]).unwrap();
    let names = ["served", "away", "uninstalled"];
    for name in names {
        let manifest = mapping(world, name).with("spec.suspend", json!(true));
        kubectl.apply(name, &manifest.to_string()).unwrap();
    }
    for name in names {
        until_suspended(kubectl, (name, "StreamPipeline", name), true);
    }
    until_available(kubectl, true);
    // Without a fault.
    kubectl
        .run(&["delete", "namespace", "served", "--timeout=60s"])
        .unwrap();

    let scaled = |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        kubectl.run(&["scale", OPERATOR, "-n", SYSTEM, &replicas]).unwrap();
    };
    scaled("0");
    until_available(kubectl, false);
    kubectl.run(&["delete", "namespace", "away", "--wait=false"]).unwrap();
    let in_the_way = |object: &Value| {
        let (status, _, message) = condition(object, "NamespaceDeletionDiscoveryFailure")?;
        (status == "True" && message.contains("external.metrics.k8s.io")).then_some(())
    };
    kubectl
        .until(
            "it hangs for the missing API",
            PATIENCE,
            ("", "namespace", "away"),
            in_the_way,
        )
        .unwrap();
    scaled("1");
    until_available(kubectl, true);
    let back = Instant::now();
    kubectl
        .run(&["wait", "--for=delete", "namespace/away", "--timeout=60s"])
        .unwrap_or_else(|error| panic!("{error:#}\n{}", kubectl.run(&["describe", "ns", "away"]).unwrap()));
    assert!(back.elapsed() < Duration::from_secs(60), "{:?}", back.elapsed());

    installation.uninstall().unwrap();
    assert_eq!(kubectl.get("", "apiservice", EXTERNAL).unwrap(), None);
    kubectl
        .run(&["delete", "namespace", "uninstalled", "--timeout=60s"])
        .unwrap();
}

fn until_available(kubectl: &Kubectl, should: bool) {
    let status = if should { "True" } else { "False" };
    let at = ("", "apiservice", EXTERNAL);
    let reached = |object: &Value| (condition(object, "Available")?.0 == status).then_some(());
    kubectl
        .until("the metrics API is there or not", PATIENCE, at, reached)
        .unwrap();
}

// Rights.

/// What is granted and not used here, with the reason.
const SELDOM: [(&str, &str, &str); 2] = [
    // Asked for by the admission plugin OwnerReferencesPermissionEnforcement only, and then without a call.
    ("millrace.io", "streampipelines/finalizers", "update"),
    ("millrace.io", "windowaggregations/finalizers", "update"),
];

#[test]
fn every_right_of_the_operator_is_used_and_nothing_else_is_tried() {
    let _alone = alone();
    let world = world();
    let kubectl = &world.kubectl;
    let before = world.cluster.calls().unwrap().len();
    let values = ["externalMetrics.enabled=true", "webhook.enabled=true"];
    let installation = Installation::install(world, SYSTEM, &values).unwrap();
    through_a_life(world);

    let granted = granted(kubectl, "millrace-operator");
    let seldom: BTreeSet<Right> = SELDOM
        .iter()
        .map(|(group, resource, verb)| Right::new(group, resource, verb))
        .collect();
    assert!(seldom.is_subset(&granted), "{seldom:?}");
    let mut unused = Vec::new();
    let all_used = eventually("every right is used", Duration::from_secs(30), || {
        let calls = world.cluster.calls()?;
        let used = used(of_operator(&calls[before..]).filter(|call| call.code != 403));
        unused = granted.difference(&used).cloned().collect();
        Ok(unused.iter().all(|right| seldom.contains(right)).then_some(()))
    });
    all_used.unwrap_or_else(|error| panic!("{error:#}: {unused:?}"));
    assert_eq!(unused.len(), seldom.len(), "used after all: no exception any more");

    let calls = world.cluster.calls().unwrap();
    let ours = || of_operator(&calls[before..]);
    assert_eq!(refused(ours()), Vec::<&AuditEvent>::new());
    let more: Vec<_> = used(ours()).difference(&granted).cloned().collect();
    assert!(more.is_empty(), "not by the chart's roles: {more:?}");
    let foreign: Vec<_> = ours()
        .filter(|call| !call.allowed_by.contains("millrace-operator"))
        .collect();
    assert!(foreign.is_empty(), "not by the chart's bindings: {foreign:?}");
    assert!(ours().all(|call| !call.resource.starts_with("secrets")));
    installation.uninstall().unwrap();
    kubectl.run(&["delete", "namespace", "rights", "--wait=false"]).unwrap();
}

/// All that the operator does for a pipeline: makes, repairs, changes and removes children, and says so.
fn through_a_life(world: &World) {
    let (kubectl, name) = (&world.kubectl, "rights");
    // Amounts without quotes, as in a pod.
    let mapping = mapping(world, name)
        .with("spec.suspend", json!(true))
        .with("spec.resources", json!({"limits": {"cpu": 1, "memory": 536_870_912}}));
    let hourly = Manifest::example("02-tumbling-window/aggregation.yaml")
        .unwrap()
        .between(world.broker.bootstrap(), "rights-in", "rights-hourly")
        .with("spec.scaling", json!({"max": 2, "target": {"lagRecords": 1000}}));
    let mapped = (name, "StreamPipeline", name);
    let windowed = (name, "WindowAggregation", "rights-hourly");
    kubectl.apply(name, &mapping.to_string()).unwrap();
    kubectl.apply(name, &hourly.to_string()).unwrap();
    until_suspended(kubectl, mapped, true);
    kubectl.wait_for("Ready", windowed).unwrap();
    let deployment = kubectl.get(name, "Deployment", "rights-runners").unwrap().unwrap();
    let limits = &deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits, &json!({"cpu": "1", "memory": "536870912"}));
    let scaler = ("HorizontalPodAutoscaler", "rights-hourly-runners");
    assert!(kubectl.get(name, scaler.0, scaler.1).unwrap().is_some());

    // The same event twice is one that is counted up.
    suspended(kubectl, mapped, false);
    suspended(kubectl, mapped, true);
    kubectl
        .run(&["delete", "service", "rights-runners", "-n", name])
        .unwrap();
    eventually("a child is repaired", PATIENCE, || {
        kubectl.get(name, "Service", "rights-runners")
    })
    .unwrap();

    // Another plan, and nothing to scale it.
    let plans = || -> anyhow::Result<Vec<String>> {
        let maps = kubectl.list(name, "configmaps")?;
        let names = maps.iter().filter_map(|map| map["metadata"]["name"].as_str());
        Ok(names
            .filter(|name| name.starts_with("rights-hourly-plan-"))
            .map(str::to_owned)
            .collect())
    };
    let first = plans().unwrap();
    let change = json!({"spec": {"scaling": null, "checkpoint": {"interval": "300ms"}}});
    kubectl.patch(name, windowed.1, windowed.2, &change).unwrap();
    eventually("another plan takes the place of the first", PATIENCE, || {
        let plans = plans()?;
        let scaler = kubectl.get(name, scaler.0, scaler.1)?;
        Ok((plans.len() == 1 && plans != first && scaler.is_none()).then_some(()))
    })
    .unwrap();
    let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{name}/millrace_lag_records");
    let somebody = ["--as=somebody", "--as-group=system:authenticated"];
    kubectl
        .refused(&[&["get", "--raw", &path], &somebody[..]].concat(), None)
        .unwrap();
    for (_, kind, object) in [mapped, windowed] {
        kubectl.run(&["delete", kind, object, "-n", name]).unwrap();
    }
}

fn of_operator(calls: &[AuditEvent]) -> impl Iterator<Item = &AuditEvent> {
    // What is no object, such as the list of APIs, everybody may read.
    calls
        .iter()
        .filter(|call| call.user == ACCOUNT && !call.resource.is_empty())
}

fn refused<'a>(calls: impl Iterator<Item = &'a AuditEvent>) -> Vec<&'a AuditEvent> {
    calls.filter(|call| call.code == 403).collect()
}
