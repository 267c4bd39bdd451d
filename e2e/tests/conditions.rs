//! A pipeline that cannot run says so within half a minute, with its reason, and heals when the cause is gone. One row a
//! cause; each begins with the same pipeline running well in the same namespace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::time::{Duration, Instant};

use millrace_e2e::installation::{Installation, World, world};
use millrace_e2e::kubectl::condition;
use millrace_e2e::manifest::Manifest;
use serde_json::{Value, json};

/// Within which a cause must show.
const SAID: Duration = Duration::from_secs(30);
/// Within which a pipeline heals: pods are started anew after their back-off.
const HEALED: Duration = Duration::from_secs(120);

/// A cause, how it is removed, and what must be said meanwhile.
struct Row {
    name: &'static str,
    kind: &'static str,
    example: &'static str,
    break_it: fn(Manifest, &World) -> Manifest,
    condition: &'static str,
    reason: &'static str,
    /// Words of the message.
    words: &'static [&'static str],
    heal: fn(&World, &Row),
}

impl Row {
    fn manifest(&self, world: &World) -> Manifest {
        let source = format!("{}-in", self.name);
        Manifest::example(self.example)
            .unwrap()
            .between(world.broker.bootstrap(), &source, self.name)
    }

    fn namespace(&self) -> String {
        format!("broken-{}", self.name)
    }

    fn apply(&self, world: &World, manifest: &Manifest) {
        world.kubectl.apply(&self.namespace(), &manifest.to_string()).unwrap();
    }

    fn check(&self, world: &World) {
        let namespace = self.namespace();
        world.kubectl.restricted_namespace(&namespace).unwrap();
        if self.name != "no-topic" {
            world
                .broker
                .client()
                .create_topic(&format!("{}-in", self.name), 2)
                .unwrap();
        }
        let at = (namespace.as_str(), self.kind, self.name);
        self.apply(world, &(self.break_it)(self.manifest(world), world));
        let applied = Instant::now();
        let said = |object: &Value| {
            let (status, reason, message) = condition(object, self.condition)?;
            let bad = if self.condition == "Degraded" { "True" } else { "False" };
            let ready = condition(object, "Ready").map(|(status, ..)| status);
            (status == bad && reason == self.reason && ready == Some("False")).then(|| message.to_owned())
        };
        let message = world.kubectl.until(self.reason, SAID * 3, at, said).unwrap();
        assert!(
            applied.elapsed() < SAID,
            "{}: only after {:?}",
            self.name,
            applied.elapsed()
        );
        for word in self.words {
            assert!(message.contains(word), "{}: no `{word}` in `{message}`", self.name);
        }
        (self.heal)(world, self);
        world
            .kubectl
            .until("healed", HEALED, at, |object| {
                let ready = condition(object, "Ready")?.0 == "True";
                let degraded = condition(object, "Degraded")?.0 == "True";
                (ready && !degraded).then_some(())
            })
            .unwrap_or_else(|error| panic!("{}: {error:#}", self.name));
        world
            .kubectl
            .run(&["delete", "namespace", &namespace, "--wait=false"])
            .unwrap();
    }
}

fn apply_the_good_one(world: &World, row: &Row) {
    row.apply(world, &row.manifest(world));
}

const ROWS: [Row; 8] = [
    Row {
        name: "no-topic",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| good,
        condition: "SourceReachable",
        reason: "TopicMissing",
        words: &["no-topic-in"],
        heal: |world, _| world.broker.client().create_topic("no-topic-in", 2).unwrap(),
    },
    Row {
        name: "no-broker",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| {
            good.with(
                "spec.source.kafka.bootstrapServers",
                json!(["no-such-host.invalid:9092"]),
            )
        },
        condition: "SourceReachable",
        reason: "SourceUnreachable",
        words: &["no-such-host.invalid:9092"],
        heal: apply_the_good_one,
    },
    Row {
        name: "bad-spec",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| good.with("spec.key", json!(["no_such_field"])),
        condition: "Degraded",
        reason: "InvalidSpec",
        words: &["spec.key", "no_such_field"],
        heal: apply_the_good_one,
    },
    Row {
        name: "no-secret",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| {
            good.with(
                "spec.source.kafka.security",
                json!({"tls": {"ca": {"name": "kafka-ca", "key": "ca.crt"}}}),
            )
        },
        condition: "Degraded",
        reason: "SecretMissing",
        words: &["kafka-ca"],
        heal: apply_the_good_one,
    },
    Row {
        name: "no-secret-key",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, world| {
            let secret =
                r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"kafka-ca"},"stringData":{"other":"x"}}"#;
            world.kubectl.apply("broken-no-secret-key", secret).unwrap();
            good.with(
                "spec.source.kafka.security",
                json!({"tls": {"ca": {"name": "kafka-ca", "key": "ca.crt"}}}),
            )
        },
        condition: "Degraded",
        reason: "SecretMissing",
        words: &["kafka-ca", "ca.crt"],
        heal: apply_the_good_one,
    },
    Row {
        name: "no-class",
        kind: "WindowAggregation",
        example: "02-tumbling-window/aggregation.yaml",
        break_it: |good, _| good.with("spec.checkpoint.storage", json!({"className": "no-such-class"})),
        condition: "Degraded",
        reason: "NoStorageClass",
        words: &["no-such-class"],
        // A claim keeps its class: the cure is the class itself.
        heal: |world, _| {
            let class = r#"{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"no-such-class"},"provisioner":"kubernetes.io/host-path"}"#;
            world.kubectl.apply("default", class).unwrap();
        },
    },
    Row {
        name: "no-room",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| {
            good.with(
                "spec.resources",
                json!({"requests": {"memory": "100Ti"}, "limits": {"memory": "100Ti"}}),
            )
        },
        condition: "Degraded",
        reason: "Unschedulable",
        words: &["memory"],
        heal: apply_the_good_one,
    },
    Row {
        name: "too-small",
        kind: "StreamPipeline",
        example: "01-filter-map/pipeline.yaml",
        break_it: |good, _| {
            good.with(
                "spec.resources",
                json!({"requests": {"memory": "8Mi"}, "limits": {"memory": "8Mi"}}),
            )
        },
        condition: "Degraded",
        reason: "OutOfMemory",
        words: &["memory"],
        heal: apply_the_good_one,
    },
];

#[test]
fn every_cause_is_said_within_half_a_minute_and_heals() {
    let world = world();
    let installation = Installation::install(world, "millrace-system", &[]).unwrap();
    // All at once: each waits most of the time.
    std::thread::scope(|scope| {
        let checks: Vec<_> = ROWS
            .iter()
            .map(|row| (row.name, scope.spawn(|| row.check(world))))
            .collect();
        let failed: Vec<_> = checks
            .into_iter()
            .filter_map(|(name, check)| check.join().is_err().then_some(name))
            .collect();
        assert!(failed.is_empty(), "{failed:?}\n{}", installation.describe());
    });
    installation.uninstall().unwrap();
}
