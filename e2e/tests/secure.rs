//! The January flights over TLS and SASL/SCRAM: the same results; and where the credentials are wrong, a plain word about
//! it instead of a program that hangs. The password is a canary that no log may hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use millrace_e2e::broker::{Broker, Options, PASSWORD, USER};
use millrace_e2e::certificates;
use millrace_e2e::client::Client;
use millrace_e2e::compare::{origins, outcomes, same_multiset, same_order_per_key};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle;
use millrace_e2e::programs::millrace;
use millrace_e2e::scenario::{PARTITIONS, Scenario};
use serde_json::json;
use tempfile::TempDir;

fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        Broker::start_with(&Options {
            secure: true,
            ..Options::default()
        })
        .unwrap()
    })
}

/// A folder of secrets as a pod would mount them.
fn secrets(ca: &Path, password: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("kafka-tls")).unwrap();
    fs::create_dir_all(folder.path().join("kafka-user")).unwrap();
    fs::copy(ca, folder.path().join("kafka-tls/ca.crt")).unwrap();
    fs::write(folder.path().join("kafka-user/username"), USER).unwrap();
    fs::write(folder.path().join("kafka-user/password"), password).unwrap();
    folder
}

fn manifest(example: &str) -> Manifest {
    Manifest::example(example).unwrap().with(
        "spec.source.kafka.security",
        json!({
            "tls": { "ca": { "name": "kafka-tls", "key": "ca.crt" } },
            "sasl": {
                "mechanism": "SCRAM-SHA-256",
                "username": { "name": "kafka-user", "key": "username" },
                "password": { "name": "kafka-user", "key": "password" },
            },
        }),
    )
}

/// A scenario whose runners know the secure listener alone.
fn scenario(example: &str, source: &str, name: &str, secrets: &TempDir) -> Scenario {
    broker().client().create_topic(source, PARTITIONS).unwrap();
    let bootstrap = &broker().secure().unwrap().bootstrap;
    Scenario::with_secrets(
        manifest(example),
        broker().client(),
        bootstrap,
        source,
        name,
        Some(secrets.path()),
    )
    .unwrap()
}

#[test]
fn listener_lets_in_who_knows_the_password_and_nobody_else() {
    let secure = broker().secure().unwrap();
    assert!(Client::secure(&secure.bootstrap, &secure.ca, USER, PASSWORD).is_answered());
    assert!(!Client::secure(&secure.bootstrap, &secure.ca, USER, "wrong").is_answered());
    assert!(!Client::new(&secure.bootstrap).is_answered());
}

#[test]
fn filter_and_map_over_tls_and_scram() {
    let secrets = secrets(&broker().secure().unwrap().ca, PASSWORD);
    let scenario = scenario("01-filter-map/pipeline.yaml", "flights-mapped", "mapped", &secrets);
    let messages = flights::january()
        .unwrap()
        .into_iter()
        .map(|line| flights::message(&line).unwrap());
    broker().client().write("flights-mapped", messages).unwrap();
    scenario.run_undisturbed().unwrap();

    let expected = oracle::filter_map(&scenario.input().unwrap()).unwrap();
    let found = outcomes(&scenario.output().unwrap());
    same_multiset(&found, &expected).unwrap();
    same_order_per_key(&found, &expected).unwrap();
    assert!(
        !scenario.runners().logs().unwrap().contains(PASSWORD),
        "the password stands in a log"
    );
}

#[test]
fn hourly_windows_over_tls_and_scram_though_runners_are_killed() {
    let secrets = secrets(&broker().secure().unwrap().ca, PASSWORD);
    let scenario = scenario("02-tumbling-window/pipeline.yaml", "flights-hourly", "hourly", &secrets);
    scenario.run_with_faults().unwrap().check().unwrap();

    let expected = oracle::hourly(&scenario.input().unwrap()).unwrap();
    same_multiset(outcomes(&scenario.output().unwrap()), expected.results).unwrap();
    assert_eq!(origins(&scenario.aside("late").unwrap()), expected.late);
    assert!(
        !scenario.runners().logs().unwrap().contains(PASSWORD),
        "the password stands in a log"
    );
}

/// What `millrace run` says when it cannot get in; it must end by itself.
fn refused(name: &str, secrets: &TempDir) -> String {
    let folder = tempfile::tempdir().unwrap();
    let plan: PathBuf = folder.path().join("pipeline.yaml");
    let bootstrap = &broker().secure().unwrap().bootstrap;
    manifest("01-filter-map/pipeline.yaml")
        .between(bootstrap, "flights-refused", name)
        .save(&plan)
        .unwrap();
    let (plan, state) = (
        plan.display().to_string(),
        folder.path().join("state").display().to_string(),
    );
    let secrets = secrets.path().display().to_string();
    let arguments = [
        "run",
        &plan,
        "--bootstrap",
        bootstrap,
        "--until-end",
        "--secrets-dir",
        &secrets,
        "--state-dir",
        &state,
    ];
    let run = millrace(arguments, Duration::from_secs(90)).unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

#[test]
fn wrong_password_is_named() {
    let secrets = secrets(&broker().secure().unwrap().ca, "wrong-password");
    let said = refused("wrong-password", &secrets).to_lowercase();
    assert!(said.contains("authentication") || said.contains("sasl"), "{said}");
    assert!(!said.contains("wrong-password\n"), "{said}");
}

#[test]
fn unknown_authority_is_named() {
    let other = tempfile::tempdir().unwrap();
    let secrets = secrets(&certificates::make(other.path(), "127.0.0.1").unwrap().ca, PASSWORD);
    let said = refused("unknown-authority", &secrets).to_lowercase();
    assert!(said.contains("certificate") || said.contains("ssl"), "{said}");
}

#[test]
fn missing_secret_is_named_with_its_file() {
    let secrets = secrets(&broker().secure().unwrap().ca, PASSWORD);
    fs::remove_file(secrets.path().join("kafka-user/password")).unwrap();
    let said = refused("missing-secret", &secrets);
    assert!(said.contains("kafka-user") && said.contains("password"), "{said}");
}

#[test]
fn runner_with_a_wrong_password_stops_and_says_so() {
    let secrets = secrets(&broker().secure().unwrap().ca, "wrong-password");
    let scenario = scenario("01-filter-map/pipeline.yaml", "flights-locked", "locked", &secrets);
    let mut runner = scenario.runners().start("runner-0").unwrap();
    let log = eventually("the runner speaks of authentication", Duration::from_secs(90), || {
        let log = runner.process.log().to_lowercase();
        Ok((log.contains("authentication") || log.contains("sasl")).then_some(log))
    });
    assert!(!log.unwrap().contains(PASSWORD));
    let status = runner.process.wait(Duration::from_secs(90)).unwrap();
    assert!(!status.success());
}
