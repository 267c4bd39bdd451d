//! What happens to an installation over its life: specs change, the API server goes away, many pipelines come, the lag is
//! asked for by others, rights are used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "operations/questions.rs"]
mod questions;

use std::collections::BTreeSet;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use millrace_e2e::client::Client;
use millrace_e2e::cluster::Component;
use millrace_e2e::compare::{outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::installation::{Installation, World, world};
use millrace_e2e::kubectl::condition;
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use millrace_e2e::programs::program;
use serde_json::{Value, json};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);
const KIND: &str = "WindowAggregation";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

/// Held for reading by every test that needs the API server all the time, for writing by the one that takes it away.
static SERVED: RwLock<()> = RwLock::new(());

/// The installation that the tests of this file share, with every option on.
fn installed() -> &'static Installation<'static> {
    static INSTALLED: OnceLock<Installation<'static>> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let values = [
            "externalMetrics.enabled=true",
            "webhook.enabled=true",
            "operator.replicas=2",
            "serving.certificateLifetime=20s",
        ];
        Installation::install(world(), "millrace-system", &values).unwrap()
    })
}

/// A topic of its own, a namespace of its own, and hourly windows over it.
fn hourly(name: &str) -> Manifest {
    let world = world();
    installed();
    world.kubectl.restricted_namespace(name).unwrap();
    world
        .broker
        .client()
        .create_topic(&format!("{name}-in"), PARTITIONS)
        .unwrap();
    Manifest::example("02-tumbling-window/aggregation.yaml")
        .unwrap()
        .between(world.broker.bootstrap(), &format!("{name}-in"), name)
}

fn write(client: &Client, topic: &str, part: std::ops::Range<usize>) {
    let lines = flights::january().unwrap();
    let messages = lines[part].iter().map(|line| flights::message(line).unwrap());
    client.write(topic, messages).unwrap();
}

fn until_caught_up(world: &World, name: &str, records: i64) {
    let committed = || -> anyhow::Result<i64> {
        Ok(world
            .broker
            .client()
            .committed(name, &format!("{name}-in"))?
            .iter()
            .sum())
    };
    eventually("everything is committed", PATIENCE, || {
        Ok((committed()? >= records).then_some(()))
    })
    .unwrap();
    world.kubectl.wait_for("CaughtUp", (name, KIND, name)).unwrap();
}

#[test]
fn changed_spec_keeps_the_state_and_refuses_to_lose_it() {
    let _served = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let (name, world) = ("changing", world());
    let (kubectl, client) = (&world.kubectl, world.broker.client());
    let good = hourly(name);
    kubectl.apply(name, &good.to_string()).unwrap();
    write(&client, "changing-in", 0..10_000);
    until_caught_up(world, name, 10_000);
    let at = (name, KIND, name);
    let plan = |object: &Value| object["status"]["plan"].as_str().map(str::to_owned);
    let first = kubectl.until("a plan", PATIENCE, at, plan).unwrap();

    // Another window would make the open ones meaningless: refused, and the old runners go on.
    kubectl
        .apply(
            name,
            &good.clone().with("spec.window.tumbling.size", json!("2h")).to_string(),
        )
        .unwrap();
    let refused = |object: &Value| {
        let (status, reason, message) = condition(object, "Degraded")?;
        (status == "True" && reason == "StateWouldBeLost").then(|| message.to_owned())
    };
    let message = kubectl.until("refused", PATIENCE, at, refused).unwrap();
    assert!(
        message.contains("window") && message.contains("onStateChange"),
        "{message}"
    );
    write(&client, "changing-in", 10_000..20_000);
    eventually("the old runners go on", PATIENCE, || {
        let committed: i64 = client.committed(name, "changing-in")?.iter().sum();
        Ok((committed >= 20_000).then_some(()))
    })
    .unwrap();

    // A change that leaves the meaning of the state alone: new runners, the same state, exact results.
    kubectl
        .apply(name, &good.with("spec.checkpoint.interval", json!("300ms")).to_string())
        .unwrap();
    kubectl
        .until("another plan", PATIENCE, at, |object| {
            plan(object).filter(|plan| *plan != first)
        })
        .unwrap();
    write(&client, "changing-in", 20_000..27_004);
    client.write("changing-in", flights::closing(PARTITIONS)).unwrap();
    until_caught_up(world, name, 27_004 + i64::from(PARTITIONS));
    let input = client.read_committed("changing-in").unwrap();
    let expected = oracle::hourly(&input).unwrap();
    same_multiset(outcomes(&client.read_committed(name).unwrap()), expected.results).unwrap();

    // The webhook says everything at once, and nothing is stored.
    let broken = Manifest::example("01-filter-map/pipeline.yaml")
        .unwrap()
        .between(world.broker.bootstrap(), "changing-in", "broken")
        .with("spec.key", json!(["no_such_field"]))
        .with("spec.checkpoint.interval", json!("1ms"));
    let refusal = kubectl
        .refused(&["apply", "-n", name, "-f", "-"], Some(&broken.to_string()))
        .unwrap();
    for words in ["spec.key", "no_such_field", "spec.checkpoint.interval"] {
        assert!(refusal.contains(words), "{refusal}");
    }
    kubectl.run(&["delete", KIND, name, "-n", name]).unwrap();
}

#[test]
fn api_server_away_for_a_minute_stops_no_record_and_everything_is_repaired_afterwards() {
    let _alone = SERVED.write().unwrap_or_else(PoisonError::into_inner);
    let (name, world) = ("away", world());
    let (kubectl, client) = (&world.kubectl, world.broker.client());
    kubectl.apply(name, &hourly(name).to_string()).unwrap();
    write(&client, "away-in", 0..5_000);
    until_caught_up(world, name, 5_000);
    let restarts = || {
        let pods = kubectl.list("millrace-system", "pods").unwrap();
        let statuses = pods.iter().map(|pod| &pod["status"]["containerStatuses"][0]);
        statuses
            .filter_map(|status| status["restartCount"].as_i64())
            .sum::<i64>()
    };
    let before = restarts();

    world.cluster.signal(Component::ApiServer, "STOP").unwrap();
    let stopped = Instant::now();
    // All the time, records are processed.
    for part in 0..6 {
        write(&client, "away-in", 5_000 + part * 1_000..6_000 + part * 1_000);
        let wanted = 6_000 + part as i64 * 1_000;
        eventually(
            "records are processed without an API server",
            Duration::from_secs(10),
            || {
                let committed: i64 = client.committed(name, "away-in")?.iter().sum();
                Ok((committed >= wanted).then_some(()))
            },
        )
        .unwrap();
        let until = Duration::from_secs(10 * (part as u64 + 1));
        eventually("the next ten seconds", PATIENCE, || {
            Ok((stopped.elapsed() >= until).then_some(()))
        })
        .unwrap();
    }
    world.cluster.signal(Component::ApiServer, "CONT").unwrap();
    eventually("the API server is back", PATIENCE, || {
        Ok(kubectl.run(&["get", "--raw", "/readyz"]).ok())
    })
    .unwrap();
    kubectl.run(&["delete", "service", "away-runners", "-n", name]).unwrap();
    eventually("a child is repaired", Duration::from_secs(30), || {
        kubectl.get(name, "Service", "away-runners")
    })
    .unwrap();
    assert_eq!(restarts(), before, "the operator was not restarted for it");
    kubectl.run(&["delete", KIND, name, "-n", name]).unwrap();
}

#[test]
fn lag_is_told_to_who_may_ask_and_an_unknown_one_is_an_error() {
    let _served = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let (name, world) = ("asked", world());
    let (kubectl, client) = (&world.kubectl, world.broker.client());
    let manifest = hourly(name);
    write(&client, "asked-in", 0..1_234);
    kubectl
        .apply(name, &manifest.clone().with("spec.suspend", json!(true)).to_string())
        .unwrap();
    let path = format!("{EXTERNAL}/namespaces/{name}/millrace_lag_records?labelSelector=millrace.io/name%3D{name}");
    let value = eventually("the lag is served", PATIENCE, || {
        let Ok(text) = kubectl.run(&["get", "--raw", &path]) else {
            return Ok(None);
        };
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"][0]["value"].as_str().map(str::to_owned))
    })
    .unwrap();
    assert_eq!(value, "1234");
    let resources = kubectl.run(&["get", "--raw", EXTERNAL]).unwrap();
    assert!(resources.contains("millrace_lag_seconds"), "{resources}");

    nobody_notices_that_certificates_change(world, &path);

    // Who has no right is refused by name.
    let refusal = kubectl
        .refused(
            &[
                "get",
                "--raw",
                &path,
                "--as=somebody",
                "--as-group=system:authenticated",
            ],
            None,
        )
        .unwrap();
    assert!(
        refusal.contains("Forbidden") || refusal.contains("forbidden"),
        "{refusal}"
    );

    // A broker that does not answer: an error, never zero and never nothing.
    let unreachable = manifest.with("spec.suspend", json!(true)).with(
        "spec.source.kafka.bootstrapServers",
        json!(["no-such-host.invalid:9092"]),
    );
    kubectl.apply(name, &unreachable.to_string()).unwrap();
    let refusal = eventually("an error instead of the lag", PATIENCE, || {
        Ok(kubectl.refused(&["get", "--raw", &path], None).ok())
    })
    .unwrap();
    assert!(refusal.contains("lag"), "{refusal}");
    kubectl.run(&["delete", KIND, name, "-n", name]).unwrap();
    kubectl.run(&["delete", "namespace", name, "--timeout=90s"]).unwrap();
}

/// A minute of five questions a second, while both operators change their certificates every ten seconds.
fn nobody_notices_that_certificates_change(world: &World, path: &str) {
    let kubectl = &world.kubectl;
    let pods = installed().operator_pods().unwrap();
    assert_eq!(pods.len(), 2, "{pods:?}");
    let changes = |pod: &str| {
        let log = kubectl.run(&["logs", pod, "-n", "millrace-system"]).unwrap();
        log.matches("serving a new certificate").count()
    };
    let answered = |pod: &str| {
        let metrics = format!("/api/v1/namespaces/millrace-system/pods/{pod}:8080/proxy/metrics");
        let metrics = kubectl.run(&["get", "--raw", &metrics]).unwrap();
        let counts = metrics
            .lines()
            .filter(|line| line.contains("millrace_serving_requests_total{"));
        let counts = counts.filter(|line| line.contains(r#"code="200""#));
        let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        counts.sum::<f64>()
    };
    let of_both = || pods.iter().map(|pod| (changes(pod), answered(pod))).collect::<Vec<_>>();
    let before = of_both();
    let answers = questions::ask(&kubectl.kubeconfig, path, 300, r#""value":"1234""#).unwrap();
    assert_eq!((answers.good, answers.bad), (300, Vec::new()));
    for (before, after) in before.into_iter().zip(of_both()) {
        assert!(after.0 >= before.0 + 5, "certificates of one: {before:?}, {after:?}");
        assert!(after.1 >= before.1 + 30.0, "answers of one: {before:?}, {after:?}");
    }
}

#[test]
fn operator_of_ten_pipelines_stays_small_and_is_never_refused_a_right() {
    let _served = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let (name, world) = ("ten", world());
    let kubectl = &world.kubectl;
    let manifest = hourly(name);
    for number in 0..10 {
        let one = manifest
            .clone()
            .between(world.broker.bootstrap(), "ten-in", &format!("ten-{number}"))
            .with("spec.suspend", json!(number > 1));
        kubectl.apply(name, &one.to_string()).unwrap();
    }
    for number in 0..10 {
        let pipeline = format!("ten-{number}");
        let at = (name, KIND, pipeline.as_str());
        let known = |object: &Value| object["status"]["lag"]["records"].as_i64();
        assert_eq!(kubectl.until("the lag of all", PATIENCE, at, known).unwrap(), 0);
    }
    // Pages of the program are most of it, and in a development build many more than in the image.
    let program = program("millrace-operator").unwrap().canonicalize().unwrap();
    let most = if program.parent().is_some_and(|it| it.ends_with("release")) {
        60
    } else {
        80
    };
    let (allocated, resident) = installed().operator_memory().unwrap();
    let figures = format!("{} MiB allocated, {} MiB resident", allocated >> 20, resident >> 20);
    println!("{}: {figures}", program.display());
    assert!(allocated < 30 << 20 && resident < most << 20, "{figures}");

    let writes = world.cluster.audit().unwrap();
    let ours = |user: &str| user.starts_with("system:serviceaccount:millrace-system:");
    let used: BTreeSet<(&str, &str, u16)> = writes
        .iter()
        .filter(|write| ours(&write.user))
        .map(|write| (write.verb.as_str(), write.resource.as_str(), write.code))
        .collect();
    assert!(
        used.iter()
            .any(|(verb, resource, _)| (*verb, *resource) == ("patch", "deployments")),
        "{used:?}"
    );
    let refused: Vec<_> = used
        .iter()
        .filter(|(_, resource, code)| *code == 403 && *resource != "leases")
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(
        used.iter().all(|(_, resource, _)| !resource.starts_with("secrets")),
        "{used:?}"
    );
    kubectl.run(&["delete", "namespace", name, "--wait=false"]).unwrap();
}
