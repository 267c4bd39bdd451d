//! What the command line says: nothing wrong about the examples, and something helpful about what is wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use millrace_e2e::manifest::{Manifest, examples};
use millrace_e2e::programs::millrace;
use serde_json::json;
use tempfile::TempDir;

/// Runs `millrace`; it must fail by itself, and say each of `words` on stderr and nothing on stdout.
#[track_caller]
fn fails(arguments: &[&str], words: &[&str]) -> String {
    let run = millrace(arguments, Duration::from_secs(60)).unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "{arguments:?} succeeded: {said}");
    assert!(run.status.code().is_some(), "{arguments:?} ended by a signal: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let everything = format!("{said}{}", String::from_utf8_lossy(&run.stdout));
    for word in words {
        assert!(
            everything.to_lowercase().contains(&word.to_lowercase()),
            "{arguments:?} does not say `{word}`: {everything}"
        );
    }
    everything
}

fn example(path: &str) -> String {
    examples().join(path).display().to_string()
}

/// A file with `text` in a folder of its own.
fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.yaml");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

/// Example 01 with another predicate.
fn with_predicate(predicate: &str) -> (TempDir, String) {
    let (folder, path) = file("");
    let filter = json!([{ "name": "delayed", "filter": { "where": predicate } }]);
    let manifest = Manifest::example("01-filter-map/pipeline.yaml")
        .unwrap()
        .with("spec.operators", filter);
    manifest.save(path.as_ref()).unwrap();
    (folder, path)
}

#[test]
fn every_example_is_valid_and_can_be_explained() {
    for path in [
        "01-filter-map/pipeline.yaml",
        "02-tumbling-window/pipeline.yaml",
        "02-tumbling-window/aggregation.yaml",
        "03-group-by/pipeline.yaml",
        "04-flat-map/pipeline.yaml",
        "05-dead-letters/pipeline.yaml",
    ] {
        for verb in ["validate", "explain"] {
            let run = millrace([verb, &example(path)], Duration::from_secs(30)).unwrap();
            assert!(
                run.status.success(),
                "{verb} {path}: {}",
                String::from_utf8_lossy(&run.stderr)
            );
        }
    }
}

#[test]
fn nothing_to_do_shows_the_verbs() {
    fails(&[], &["validate", "explain", "run"]);
}

#[test]
fn unknown_verb_is_named() {
    fails(&["vaildate"], &["vaildate", "validate"]);
}

#[test]
fn missing_file_is_named() {
    fails(
        &["validate", "/nowhere/pipeline.yaml"],
        &["/nowhere/pipeline.yaml", "no such file"],
    );
}

#[test]
fn broken_yaml_is_named_with_its_line() {
    let (_folder, path) = file("apiVersion: millrace.io/v1alpha1\nkind: StreamPipeline\nspec: [\n");
    fails(&["validate", &path], &[&path, "line"]);
}

#[test]
fn unknown_kind_is_named() {
    let (_folder, path) = file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    fails(&["validate", &path], &["ConfigMap", "millrace.io/v1alpha1"]);
    let (_folder, path) = file("apiVersion: millrace.io/v1alpha1\nkind: StreamPipline\nmetadata: {name: x}\n");
    fails(
        &["validate", &path],
        &["StreamPipline", "did you mean", "`StreamPipeline`"],
    );
}

#[test]
fn unknown_field_in_an_expression_gets_a_suggestion() {
    let (_folder, path) = with_predicate("dep_dleay > 60");
    fails(
        &["validate", &path],
        &[
            "spec.operators[0].filter.where",
            "dep_dleay",
            "did you mean",
            "dep_delay",
        ],
    );
}

#[test]
fn expression_of_the_wrong_type_is_named() {
    let (_folder, path) = with_predicate("dep_delay + 1");
    fails(&["explain", &path], &["spec.operators[0].filter.where", "boolean"]);
}

#[test]
fn misspelt_member_of_a_manifest_is_named() {
    let (_folder, path) = file("");
    let manifest = Manifest::example("01-filter-map/pipeline.yaml")
        .unwrap()
        .with("spec.operatros", json!([]));
    manifest.save(path.as_ref()).unwrap();
    fails(&["validate", &path], &["operatros"]);
}

#[test]
fn one_bad_file_among_good_ones_fails_the_whole() {
    let (_folder, path) = with_predicate("dep_dleay > 60");
    let said = fails(
        &["validate", &example("03-group-by/pipeline.yaml"), &path],
        &[&path, "dep_dleay"],
    );
    assert!(!said.contains("03-group-by/pipeline.yaml: spec"), "{said}");
}

#[test]
fn missing_input_is_named() {
    fails(
        &[
            "run",
            &example("01-filter-map/pipeline.yaml"),
            "--input",
            "/nowhere/input.jsonl",
        ],
        &["/nowhere/input.jsonl"],
    );
}

#[test]
fn input_and_broker_together_are_refused() {
    let manifest = example("01-filter-map/pipeline.yaml");
    fails(
        &["run", &manifest, "--input", "x", "--bootstrap", "localhost:9092"],
        &["--input", "--bootstrap"],
    );
}

#[test]
fn zero_partitions_are_refused() {
    fails(
        &["run", &example("01-filter-map/pipeline.yaml"), "--partitions", "0"],
        &["--partitions", "0"],
    );
}

#[test]
fn broker_that_does_not_answer_is_named() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let state = tempfile::tempdir().unwrap();
    let state = state.path().display().to_string();
    let manifest = example("01-filter-map/pipeline.yaml");
    fails(
        &[
            "run",
            &manifest,
            "--bootstrap",
            &address,
            "--until-end",
            "--state-dir",
            &state,
        ],
        &[&address],
    );
}

#[test]
fn reference_to_a_pipeline_that_is_not_there_is_named() {
    fails(
        &["validate", &example("06-pipeline-of-pipelines/aggregation.yaml")],
        &["delayed-flights"],
    );
}
