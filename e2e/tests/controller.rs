//! The controller as a process of the host, killed, doubled and contradicted; the API server, kubelet and garbage collector
//! are real. What it has made is compared with what a run without faults makes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::time::{Duration, Instant};

use millrace_e2e::api_proxy::{ApiProxy, Cut};
use millrace_e2e::children::{KINDS, names};
use millrace_e2e::eventually::eventually;
use millrace_e2e::installation::world;
use millrace_e2e::kubectl::Kubectl;
use millrace_e2e::operator::{LEADS, Operators, UP};
use millrace_e2e::process::Process;
use millrace_e2e::realm::{KIND, NAME, PATIENCE, Realm};
use millrace_e2e::webhook::{self, Webhook};
use serde_json::{Value, json};

fn realm(namespace: &str) -> Realm {
    Realm::new(world(), namespace).unwrap()
}

/// Runs `flow` with an operator that is killed at its write number `nth`, then with a new one. False: it had nothing to
/// write any more before it came to that number, and was not killed.
fn killed_at(realm: &Realm, nth: usize, side: Cut, flow: &dyn Fn()) -> bool {
    let operators = realm.operators();
    let mut operator: Process = operators.start_leading("first").unwrap();
    realm.proxy.cut_at(nth, side);
    flow();
    let killed = cut_before_all_is_written(realm);
    if killed {
        operator.kill().unwrap();
    } else {
        operator.terminate(Duration::from_secs(10)).unwrap();
    }
    realm.proxy.restore();
    let mut second = operators.start_leading("first").unwrap();
    realm.settled().unwrap();
    second.terminate(Duration::from_secs(10)).unwrap();
    killed
}

/// Waits until the connection is cut, or until the operator has written all it wanted to.
fn cut_before_all_is_written(realm: &Realm) -> bool {
    let mut quiet = (0, Instant::now());
    eventually("cut, or all is written", PATIENCE, || {
        if realm.proxy.was_cut() {
            return Ok(Some(true));
        }
        let writes = realm.proxy.writes().len();
        if writes != quiet.0 || !realm.is_current()? {
            quiet = (writes, Instant::now());
        }
        Ok((quiet.1.elapsed() > Duration::from_secs(3)).then_some(false))
    })
    .unwrap()
}

#[test]
fn operator_killed_at_any_write_ends_where_an_undisturbed_one_does() {
    let realm = realm("c01");
    let autoscaled = realm.autoscaled().unwrap();
    let later = autoscaled.clone().with("spec.eventTime.maxOutOfOrderness", json!("5h"));
    let create = || realm.apply(&autoscaled).unwrap();
    let change = || realm.apply(&later).unwrap();

    // Without a fault: what comes out.
    let mut operator = realm.operators().start_leading("control").unwrap();
    create();
    realm.settled().unwrap();
    let created = realm.children().unwrap();
    assert_eq!(created.len(), KINDS.len(), "{:?}", created.keys());
    change();
    realm.settled().unwrap();
    let changed = realm.children().unwrap();
    assert_ne!(created, changed);
    realm.delete().unwrap();
    operator.terminate(Duration::from_secs(10)).unwrap();

    // How many writes there are differs by one or two of the status: each round goes on until nothing is left to kill.
    let side = |nth: usize| if nth.is_multiple_of(2) { Cut::Before } else { Cut::After };
    let kills = (1..)
        .take_while(|nth| {
            let killed = killed_at(&realm, *nth, side(*nth), &create);
            assert_eq!(
                realm.children().unwrap(),
                created,
                "write {nth} of the creation, {:?} it",
                side(*nth)
            );
            realm.delete().unwrap();
            killed
        })
        .count();
    assert!(kills >= created.len(), "{kills}");

    let kills = (1..)
        .take_while(|nth| {
            let mut operator = realm.operators().start_leading("between").unwrap();
            create();
            realm.settled().unwrap();
            operator.terminate(Duration::from_secs(10)).unwrap();
            let killed = killed_at(&realm, *nth, side(*nth + 1), &change);
            assert_eq!(
                realm.children().unwrap(),
                changed,
                "write {nth} of the change, {:?} it",
                side(*nth + 1)
            );
            realm.delete().unwrap();
            killed
        })
        .count();
    assert!(kills >= 5, "{kills}");
}

#[test]
fn second_operator_takes_over_and_never_writes_beside_the_first() {
    let realm = realm("c05");
    let other = ApiProxy::start(&realm.kubectl.kubeconfig).unwrap();
    let kubeconfig = other.kubeconfig(&realm.folder.path().join("other")).unwrap();
    let others = Operators::new(&kubeconfig, realm.folder.path(), &realm.namespace);
    let leads = |process: &Process, since: usize| process.log()[since..].contains(LEADS);
    let took_over = |process: &Process, since: usize, within: Duration| {
        eventually("the other leads", within, || Ok(leads(process, since).then_some(()))).unwrap();
    };

    // SIGKILL.
    let mut first = realm.operators().start_leading("a").unwrap();
    let mut second = others.start("b").unwrap();
    realm.apply(&realm.suspended().unwrap()).unwrap();
    realm.settled().unwrap();
    assert_eq!(
        other.writes().len(),
        0,
        "who does not lead does not write: {:?}",
        other.writes()
    );
    first.kill().unwrap();
    took_over(&second, 0, Duration::from_secs(20));

    // SIGTERM: the lease is given back.
    first = realm.operators().start("a").unwrap();
    eventually("the first watches", PATIENCE, || {
        Ok(first.log().contains(UP).then_some(()))
    })
    .unwrap();
    let since = first.log().len();
    second.terminate(Duration::from_secs(10)).unwrap();
    took_over(&first, since, Duration::from_secs(5));

    // SIGSTOP: the stopped one wakes up and must find out before it writes anything.
    second = others.start("b").unwrap();
    eventually("the second watches", PATIENCE, || {
        Ok(second.log().contains(UP).then_some(()))
    })
    .unwrap();
    first.signal_stop().unwrap();
    took_over(&second, 0, Duration::from_secs(20));
    realm.proxy.restore();
    other.restore();
    let changed = realm.suspended().unwrap().with("spec.checkpoint.retain", json!(7));
    realm.apply(&changed).unwrap();
    first.signal_continue().unwrap();
    let deployment = format!("{NAME}-runners");
    eventually("the new leader writes", PATIENCE, || {
        Ok((!other.writes().is_empty()).then_some(()))
    })
    .unwrap();
    realm.settled().unwrap();
    assert_eq!(
        realm.proxy.writes().len(),
        0,
        "the stopped one wrote: {:?}",
        realm.proxy.writes()
    );
    assert!(
        realm
            .children()
            .unwrap()
            .contains_key(&format!("Deployment/{deployment}"))
    );
    first.terminate(Duration::from_secs(10)).unwrap();
    second.terminate(Duration::from_secs(10)).unwrap();
    realm.delete().unwrap();
}

#[test]
fn children_are_restored_and_what_others_add_stays() {
    let realm = realm("c06");
    let kubectl = &realm.kubectl;
    let mut operator = realm.operators().start_leading("a").unwrap();
    realm.apply(&realm.autoscaled().unwrap()).unwrap();
    realm.settled().unwrap();
    let before = realm.children().unwrap();
    assert_eq!(before.len(), KINDS.len(), "{:?}", before.keys());
    let namespace = realm.namespace.as_str();
    let claim = |kubectl: &Kubectl| {
        kubectl
            .get(namespace, "PersistentVolumeClaim", &format!("{NAME}-state"))
            .unwrap()
            .unwrap()["metadata"]["uid"]
            .clone()
    };
    let uid = claim(kubectl);

    let all = names(kubectl, namespace).unwrap();
    for (kind, name) in all.iter().filter(|(kind, _)| kind != "PersistentVolumeClaim") {
        kubectl.run(&["delete", kind, name, "-n", namespace]).unwrap();
        eventually(&format!("{kind} {name} is back"), Duration::from_secs(10), || {
            Ok((realm.children().unwrap() == before).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:?}", realm.children().unwrap().keys()));
    }
    for (kind, name) in &all {
        let patch = json!({"metadata": {
            "labels": {"app.kubernetes.io/part-of": "somebody-else"},
            "annotations": {"example.com/note": "kept"},
        }});
        kubectl.patch(namespace, kind, name, &patch).unwrap();
        let restored = kubectl.until(
            "our label is back",
            Duration::from_secs(10),
            (namespace, kind, name),
            |object| (object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "millrace").then(|| object.clone()),
        );
        let restored = restored.unwrap_or_else(|error| panic!("{kind} {name}: {error:#}"));
        assert_eq!(
            restored["metadata"]["annotations"]["example.com/note"], "kept",
            "{kind} {name}"
        );
    }
    assert_eq!(claim(kubectl), uid, "the claim was never replaced");
    operator.terminate(Duration::from_secs(10)).unwrap();
    realm.delete().unwrap();
}

/// Begins to change every Deployment of the namespace, and waits until the API server has begun as well.
fn change_deployments(realm: &Realm) -> Webhook {
    let webhook = Webhook::start(&world().cluster.host_for_pods(), &realm.folder.path().join("webhook")).unwrap();
    let (kubectl, namespace) = (&realm.kubectl, realm.namespace.as_str());
    kubectl
        .apply_all(&webhook.configuration(namespace).to_string())
        .unwrap();
    let try_one = [
        "create",
        "deployment",
        "x",
        "--image=x",
        "--dry-run=server",
        "-o",
        "json",
        "-n",
        namespace,
    ];
    eventually("the webhook is called", PATIENCE, || {
        let tried: Value = serde_json::from_str(&kubectl.run(&try_one)?)?;
        Ok((tried["metadata"]["labels"][webhook::LABEL] == "injected").then_some(()))
    })
    .unwrap();
    webhook
}

/// Makes somebody else the manager of a field of the Deployment that we leave alone.
fn manage_as_person(realm: &Realm, deployment: &str) {
    let person = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": deployment}, "spec": {"minReadySeconds": 1},
    });
    let path = realm.folder.path().join("person.json");
    std::fs::write(&path, person.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=person",
        "-n",
        &realm.namespace,
        "-f",
        path,
    ];
    realm.kubectl.run(&apply).unwrap();
}

#[test]
fn steady_minute_writes_nothing_whoever_else_writes() {
    let realm = realm("c07");
    let (kubectl, namespace) = (&realm.kubectl, realm.namespace.as_str());
    let (at, deployment) = ((namespace, KIND, NAME), format!("{NAME}-runners"));
    world().broker.client().create_topic("steady", 3).unwrap();
    let webhook = change_deployments(&realm);
    let mut operator = realm.operators().start_leading("a").unwrap();
    let steady = realm
        .manifest()
        .unwrap()
        .with("spec.source.kafka.topics", json!(["steady"]))
        .with(
            "spec.scaling",
            json!({"min": 2, "max": 3, "target": {"lagRecords": 1000}}),
        );
    realm.apply(&steady).unwrap();
    let runners = |number: u64| {
        kubectl
            .until("so many runners", PATIENCE * 2, at, |object| {
                (object["status"]["readyReplicas"] == number).then_some(())
            })
            .unwrap_or_else(|error| panic!("{number}: {error:#}"));
    };
    // The autoscaler wants two at least, a person one more, and another person manages a field that we leave alone.
    runners(2);
    let scale = ["scale", &format!("{KIND}/{NAME}"), "--replicas=3", "-n", namespace];
    kubectl.run(&scale).unwrap();
    runners(3);
    manage_as_person(&realm, &deployment);

    // First a quiet stretch must come, then a whole minute of it.
    let called = webhook.calls();
    realm
        .quiet_for(Duration::from_secs(60), Duration::from_secs(150))
        .unwrap();
    let live = kubectl.get(namespace, "Deployment", &deployment).unwrap().unwrap();
    assert_eq!(live["spec"]["minReadySeconds"], 1, "of the person");
    assert_eq!(live["spec"]["replicas"], 3, "of the person");
    assert_eq!(live["metadata"]["labels"][webhook::LABEL], "injected");
    let toleration = &live["spec"]["template"]["spec"]["tolerations"][0];
    assert_eq!(toleration["key"], webhook::TOLERATION);
    assert_eq!(
        live["spec"]["revisionHistoryLimit"],
        webhook::HISTORY,
        "against our word"
    );
    assert!(called >= 3, "{called} calls of the webhook");
    let autoscaler = kubectl
        .get(namespace, "HorizontalPodAutoscaler", &deployment)
        .unwrap()
        .unwrap();
    assert!(
        autoscaler["status"]["lastScaleTime"].is_string(),
        "{:#}",
        autoscaler["status"]
    );
    operator.terminate(Duration::from_secs(10)).unwrap();
    kubectl
        .run(&["delete", "mutatingwebhookconfiguration", namespace])
        .unwrap();
    realm.delete().unwrap();
}

#[test]
fn deletion_at_any_time_leaves_nothing_behind() {
    let realm = realm("c09");
    let kubectl = &realm.kubectl;
    let operators = realm.operators();

    // While it is being created.
    let mut operator = operators.start_leading("a").unwrap();
    for nth in [1, 3, 5] {
        realm.proxy.cut_at(nth, Cut::After);
        realm.apply(&realm.suspended().unwrap()).unwrap();
        eventually("creation is under way", PATIENCE, || {
            Ok(realm.proxy.was_cut().then_some(()))
        })
        .unwrap();
        kubectl
            .run(&["delete", KIND, NAME, "-n", &realm.namespace, "--wait=false"])
            .unwrap();
        realm.proxy.restore();
        realm.delete().unwrap();
    }

    // With the operator down.
    realm.apply(&realm.suspended().unwrap()).unwrap();
    realm.settled().unwrap();
    operator.kill().unwrap();
    realm.delete().unwrap();

    // With its namespace.
    let mut operator = operators.start_leading("b").unwrap();
    realm.apply(&realm.suspended().unwrap()).unwrap();
    realm.settled().unwrap();
    kubectl
        .run(&["delete", "namespace", &realm.namespace, "--timeout=90s"])
        .unwrap();
    operator.kill().unwrap();
}
