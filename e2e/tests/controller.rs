//! The controller as a process of the host, killed, doubled and contradicted; the API server, kubelet and garbage collector
//! are real. What it has made is compared with what a run without faults makes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use millrace_e2e::api_proxy::{ApiProxy, Cut};
use millrace_e2e::children::{KINDS, children, names};
use millrace_e2e::eventually::eventually;
use millrace_e2e::installation::{World, world};
use millrace_e2e::kubectl::condition;
use millrace_e2e::manifest::Manifest;
use millrace_e2e::operator::{LEADS, Operators, UP};
use millrace_e2e::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const KIND: &str = "WindowAggregation";
const NAME: &str = "hourly";

/// One namespace with an operator of its own, behind a proxy.
struct Bench {
    world: &'static World,
    namespace: String,
    proxy: ApiProxy,
    kubeconfig: PathBuf,
    folder: TempDir,
}

impl Bench {
    fn new(namespace: &str) -> Self {
        let world = world();
        world.install_crds().unwrap();
        world.kubectl.restricted_namespace(namespace).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let proxy = ApiProxy::start(&world.kubectl.kubeconfig).unwrap();
        let kubeconfig = proxy.kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        Self {
            world,
            namespace: namespace.to_owned(),
            proxy,
            kubeconfig,
            folder,
        }
    }

    fn operators(&self) -> Operators<'_> {
        Operators::new(&self.kubeconfig, self.folder.path(), &self.namespace)
    }

    /// A pipeline with every child but an autoscaler; suspended, so that no pod is in the way.
    fn manifest(&self) -> Manifest {
        Manifest::example("02-tumbling-window/aggregation.yaml")
            .unwrap()
            .between(self.world.broker.bootstrap(), "controller", NAME)
            .with("spec.suspend", json!(true))
            .with("spec.checkpoint.storage", json!({"reclaim": "Delete"}))
    }

    fn apply(&self, manifest: &Manifest) {
        self.world
            .kubectl
            .apply(&self.namespace, &manifest.to_string())
            .unwrap();
    }

    fn children(&self) -> BTreeMap<String, Value> {
        children(&self.world.kubectl, &self.namespace).unwrap()
    }

    /// Whether the status speaks of the newest spec.
    fn is_current(object: &Value) -> bool {
        condition(object, "Suspended").is_some_and(|(status, _, _)| status == "True")
            && object["status"]["observedGeneration"] == object["metadata"]["generation"]
    }

    /// Waits until the status speaks of the newest spec, and nothing more is written.
    fn settled(&self) {
        let at = (self.namespace.as_str(), KIND, NAME);
        let current = |object: &Value| Self::is_current(object).then_some(());
        self.world.kubectl.until("settled", PATIENCE, at, current).unwrap();
        self.quiet_for(Duration::from_secs(2), PATIENCE);
    }

    /// Waits for a stretch of time in which nothing is written.
    fn quiet_for(&self, stretch: Duration, within: Duration) {
        let mut quiet = (self.proxy.writes().len(), Instant::now());
        eventually(&format!("{stretch:?} without a write"), within, || {
            let writes = self.proxy.writes().len();
            if writes != quiet.0 {
                quiet = (writes, Instant::now());
            }
            Ok((quiet.1.elapsed() > stretch).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:?}", self.proxy.writes()));
    }

    fn delete(&self) {
        self.world
            .kubectl
            .run(&["delete", KIND, NAME, "-n", &self.namespace, "--ignore-not-found"])
            .unwrap();
        eventually("nothing is left", PATIENCE, || {
            Ok(self.children().is_empty().then_some(()))
        })
        .unwrap();
    }

    /// Runs `flow` with an operator that is killed at its write number `nth`, then with a new one. False: it had nothing
    /// to write any more before it came to that number, and was not killed.
    fn killed_at(&self, nth: usize, side: Cut, flow: &dyn Fn()) -> bool {
        let operators = self.operators();
        let mut operator: Process = operators.start_leading("first").unwrap();
        self.proxy.cut_at(nth, side);
        flow();
        let killed = self.cut_before_all_is_written();
        if killed {
            operator.kill().unwrap();
        } else {
            operator.terminate(Duration::from_secs(10)).unwrap();
        }
        self.proxy.restore();
        let mut second = operators.start_leading("first").unwrap();
        self.settled();
        second.terminate(Duration::from_secs(10)).unwrap();
        killed
    }

    /// Waits until the connection is cut, or until the operator has written all it wanted to.
    fn cut_before_all_is_written(&self) -> bool {
        let at = (self.namespace.as_str(), KIND, NAME);
        let mut quiet = (0, Instant::now());
        eventually("cut, or all is written", PATIENCE, || {
            if self.proxy.was_cut() {
                return Ok(Some(true));
            }
            let writes = self.proxy.writes().len();
            if writes != quiet.0
                || !self
                    .world
                    .kubectl
                    .get(at.0, at.1, at.2)?
                    .is_some_and(|object| Self::is_current(&object))
            {
                quiet = (writes, Instant::now());
            }
            Ok((quiet.1.elapsed() > Duration::from_secs(3)).then_some(false))
        })
        .unwrap()
    }
}

#[test]
fn operator_killed_at_any_write_ends_where_an_undisturbed_one_does() {
    let bench = Bench::new("c01");
    let create = || bench.apply(&bench.manifest());
    let change = || {
        bench.apply(&bench.manifest().with("spec.eventTime.maxOutOfOrderness", json!("5h")));
    };

    // Without a fault: what comes out.
    let mut operator = bench.operators().start_leading("control").unwrap();
    create();
    bench.settled();
    let created = bench.children();
    assert_eq!(created.len(), KINDS.len() - 1, "{:?}", created.keys());
    change();
    bench.settled();
    let changed = bench.children();
    assert_ne!(created, changed);
    bench.delete();
    operator.terminate(Duration::from_secs(10)).unwrap();

    // How many writes there are differs by one or two of the status: each round goes on until nothing is left to kill.
    let side = |nth: usize| if nth.is_multiple_of(2) { Cut::Before } else { Cut::After };
    let kills = (1..)
        .take_while(|nth| {
            let killed = bench.killed_at(*nth, side(*nth), &create);
            assert_eq!(
                bench.children(),
                created,
                "write {nth} of the creation, {:?} it",
                side(*nth)
            );
            bench.delete();
            killed
        })
        .count();
    assert!(kills >= created.len(), "{kills}");

    let kills = (1..)
        .take_while(|nth| {
            let mut operator = bench.operators().start_leading("between").unwrap();
            create();
            bench.settled();
            operator.terminate(Duration::from_secs(10)).unwrap();
            let killed = bench.killed_at(*nth, side(*nth + 1), &change);
            assert_eq!(
                bench.children(),
                changed,
                "write {nth} of the change, {:?} it",
                side(*nth + 1)
            );
            bench.delete();
            killed
        })
        .count();
    assert!(kills >= 3, "{kills}");
}

#[test]
fn second_operator_takes_over_and_never_writes_beside_the_first() {
    let bench = Bench::new("c05");
    let other = ApiProxy::start(&bench.world.kubectl.kubeconfig).unwrap();
    let kubeconfig = other.kubeconfig(&bench.folder.path().join("other")).unwrap();
    let others = Operators::new(&kubeconfig, bench.folder.path(), &bench.namespace);
    let leads = |process: &Process, since: usize| process.log()[since..].contains(LEADS);
    let took_over = |process: &Process, since: usize, within: Duration| {
        eventually("the other leads", within, || Ok(leads(process, since).then_some(()))).unwrap();
    };

    // SIGKILL.
    let mut first = bench.operators().start_leading("a").unwrap();
    let mut second = others.start("b").unwrap();
    bench.apply(&bench.manifest());
    bench.settled();
    assert_eq!(
        other.writes().len(),
        0,
        "who does not lead does not write: {:?}",
        other.writes()
    );
    first.kill().unwrap();
    took_over(&second, 0, Duration::from_secs(20));

    // SIGTERM: the lease is given back.
    first = bench.operators().start("a").unwrap();
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
    bench.proxy.restore();
    other.restore();
    bench.apply(&bench.manifest().with("spec.checkpoint.retain", json!(7)));
    first.signal_continue().unwrap();
    let deployment = format!("{NAME}-runners");
    eventually("the new leader writes", PATIENCE, || {
        Ok((!other.writes().is_empty()).then_some(()))
    })
    .unwrap();
    bench.settled();
    assert_eq!(
        bench.proxy.writes().len(),
        0,
        "the stopped one wrote: {:?}",
        bench.proxy.writes()
    );
    assert!(bench.children().contains_key(&format!("Deployment/{deployment}")));
    first.terminate(Duration::from_secs(10)).unwrap();
    second.terminate(Duration::from_secs(10)).unwrap();
    bench.delete();
}

#[test]
fn children_are_restored_and_what_others_add_stays() {
    let bench = Bench::new("c06");
    let kubectl = &bench.world.kubectl;
    let mut operator = bench.operators().start_leading("a").unwrap();
    bench.apply(&bench.manifest());
    bench.settled();
    let before = bench.children();
    let namespace = bench.namespace.as_str();
    let claim = |kubectl: &millrace_e2e::kubectl::Kubectl| {
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
            Ok((bench.children() == before).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:?}", bench.children().keys()));
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
    bench.delete();
}

#[test]
fn steady_minute_writes_nothing_whoever_else_writes() {
    let bench = Bench::new("c07");
    let kubectl = &bench.world.kubectl;
    let namespace = bench.namespace.as_str();
    bench.world.broker.client().create_topic("steady", 2).unwrap();
    let mut operator = bench.operators().start_leading("a").unwrap();
    let steady = bench
        .manifest()
        .with("spec.source.kafka.topics", json!(["steady"]))
        .with("spec.suspend", json!(false));
    bench.apply(&steady);
    let object = format!("{KIND}/{NAME}");
    kubectl.wait_for("Ready", (namespace, KIND, NAME)).unwrap();
    // A person scales, and another manages a field that we leave alone.
    kubectl
        .run(&["scale", &object, "--replicas=2", "-n", namespace])
        .unwrap();
    let at = (namespace, KIND, NAME);
    kubectl
        .until("two runners", PATIENCE * 2, at, |object| {
            (object["status"]["readyReplicas"] == 2).then_some(())
        })
        .unwrap();
    let person = format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"{NAME}-runners"}},"spec":{{"minReadySeconds":1}}}}"#
    );
    let path = bench.folder.path().join("person.json");
    std::fs::write(&path, person).unwrap();
    kubectl
        .run(&[
            "apply",
            "--server-side",
            "--field-manager=person",
            "-n",
            namespace,
            "-f",
            path.to_str().unwrap(),
        ])
        .unwrap();

    // First a quiet stretch must come, then a whole minute of it.
    bench.quiet_for(Duration::from_secs(60), Duration::from_secs(150));
    let deployment = kubectl
        .get(namespace, "Deployment", &format!("{NAME}-runners"))
        .unwrap()
        .unwrap();
    assert_eq!(deployment["spec"]["minReadySeconds"], 1);
    assert_eq!(deployment["spec"]["replicas"], 2);
    operator.terminate(Duration::from_secs(10)).unwrap();
    bench.delete();
}

#[test]
fn deletion_at_any_time_leaves_nothing_behind() {
    let bench = Bench::new("c09");
    let kubectl = &bench.world.kubectl;
    let operators = bench.operators();

    // While it is being created.
    let mut operator = operators.start_leading("a").unwrap();
    for nth in [1, 3, 5] {
        bench.proxy.cut_at(nth, Cut::After);
        bench.apply(&bench.manifest());
        eventually("creation is under way", PATIENCE, || {
            Ok(bench.proxy.was_cut().then_some(()))
        })
        .unwrap();
        kubectl
            .run(&["delete", KIND, NAME, "-n", &bench.namespace, "--wait=false"])
            .unwrap();
        bench.proxy.restore();
        bench.delete();
    }

    // With the operator down.
    bench.apply(&bench.manifest());
    bench.settled();
    operator.kill().unwrap();
    bench.delete();

    // With its namespace.
    let mut operator = operators.start_leading("b").unwrap();
    bench.apply(&bench.manifest());
    bench.settled();
    kubectl
        .run(&["delete", "namespace", &bench.namespace, "--timeout=90s"])
        .unwrap();
    operator.kill().unwrap();
}
