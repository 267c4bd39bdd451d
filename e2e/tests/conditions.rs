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
/// Within which a pipeline heals: the kubelet tries to mount a Secret again after up to 122 s, whenever it comes; then the
/// runner starts.
const HEALED: Duration = Duration::from_secs(122 + 30);

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
        said(world, at, (self.condition, self.reason), self.words, Instant::now());
        (self.heal)(world, self);
        heals(world, at);
    }
}

/// The object at `at` says so within the time since `began`, and that it is not ready.
fn said(world: &World, at: (&str, &str, &str), (kind, expected): (&str, &str), words: &[&str], began: Instant) {
    let bad = if kind == "Degraded" { "True" } else { "False" };
    let said = |object: &Value| {
        let (status, reason, message) = condition(object, kind)?;
        let ready = condition(object, "Ready").map(|(status, ..)| status);
        let named = words.iter().all(|word| message.contains(word));
        (status == bad && reason == expected && named && ready == Some("False")).then_some(())
    };
    let what = format!("{}: {expected}, with {words:?}", at.2);
    world.kubectl.until(&what, SAID * 3, at, said).unwrap();
    assert!(began.elapsed() < SAID, "{}: only after {:?}", at.2, began.elapsed());
}

/// The object at `at` becomes ready; then its namespace goes.
fn heals(world: &World, at: (&str, &str, &str)) {
    let well = |object: &Value| {
        let ready = condition(object, "Ready")?.0 == "True";
        let degraded = condition(object, "Degraded")?.0 == "True";
        (ready && !degraded).then_some(())
    };
    let healed = world.kubectl.until("healed", HEALED, at, well);
    healed.unwrap_or_else(|error| panic!("{}: {error:#}", at.2));
    world
        .kubectl
        .run(&["delete", "namespace", at.0, "--wait=false"])
        .unwrap();
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

/// The image is the installation's and no pipeline's, so this one comes before the others. First an image that is not on
/// the node and may not be pulled, then a registry that nobody reaches.
fn images_that_cannot_be_had(world: &World) -> (&'static str, &'static str, &'static str) {
    let at = ("broken-no-image", "StreamPipeline", "no-image");
    world.kubectl.restricted_namespace(at.0).unwrap();
    world.broker.client().create_topic("no-image-in", 2).unwrap();
    let manifest = Manifest::example("01-filter-map/pipeline.yaml").unwrap().between(
        world.broker.bootstrap(),
        "no-image-in",
        at.2,
    );
    for (values, words) in [
        (&["runner.image.tag=no-such-tag"][..], [":no-such-tag", "not present"]),
        (
            &[
                "runner.image.registry=127.0.0.1:1",
                "runner.image.pullPolicy=IfNotPresent",
            ],
            ["127.0.0.1:1/", "cannot be pulled"],
        ),
    ] {
        Installation::install(world, "millrace-system", values).unwrap();
        let began = Instant::now();
        world.kubectl.apply(at.0, &manifest.to_string()).unwrap();
        said(world, at, ("Degraded", "ImagePullFailed"), &words, began);
    }
    at
}

#[test]
fn every_cause_is_said_within_half_a_minute_and_heals() {
    let world = world();
    let without_image = images_that_cannot_be_had(world);
    let installation = Installation::install(world, "millrace-system", &[]).unwrap();
    heals(world, without_image);
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
