//! The chart, rendered by the real helm without a cluster.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;

/// What `helm template` is told of the cluster.
const KUBERNETES: [&str; 2] = ["--kube-version", "1.34.0"];
/// Name of the release in all tests.
pub const RELEASE: &str = "millrace";
/// Its namespace.
pub const NAMESPACE: &str = "millrace-system";
/// Sets of values that are looked at as a whole; `defaults` has no file.
pub const CASES: [&str; 3] = ["defaults", "namespaced", "everything"];

pub fn chart() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("charts/millrace")
}

/// Golden files and the values that they belong to.
pub fn golden_folder() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("e2e/chart")
}

/// Options of helm that choose a case.
pub fn case(name: &str) -> Vec<String> {
    if name == "defaults" {
        return Vec::new();
    }
    let file = golden_folder().join(format!("{name}.values.yaml"));
    assert!(file.exists(), "{} is not there", file.display());
    vec!["--values".to_owned(), file.display().to_string()]
}

/// Options of helm that set values.
pub fn set(values: &[&str]) -> Vec<String> {
    values
        .iter()
        .flat_map(|value| ["--set".to_owned(), (*value).to_owned()])
        .collect()
}

/// Runs helm on the chart.
pub fn helm(verb: &[&str], options: &[String]) -> Output {
    helm_on(&chart(), verb, options)
}

fn helm_on(chart: &Path, verb: &[&str], options: &[String]) -> Output {
    let program = match env::var_os("MILLRACE_HELM") {
        Some(program) => PathBuf::from(program),
        None => millrace_e2e::cluster::programs().unwrap().join("helm"),
    };
    Command::new(program)
        .args(verb)
        .arg(chart)
        .args(["--namespace", NAMESPACE])
        .args(KUBERNETES)
        .args(options)
        // No cluster that this machine may know is asked anything.
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap()
}

/// All that the chart renders, as text.
#[track_caller]
pub fn render(options: &[String]) -> String {
    let output = helm(&["template", RELEASE], options);
    assert!(
        output.status.success(),
        "{options:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The same, as objects.
#[track_caller]
pub fn objects(options: &[String]) -> Vec<Value> {
    let text = render(options);
    let documents = yaml_serde::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|object| !object.is_null()).collect()
}

/// Objects of one kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The operator's container.
pub fn operator(objects: &[Value]) -> &Value {
    let deployments = of_kind(objects, "Deployment");
    assert_eq!(deployments.len(), 1);
    &deployments[0]["spec"]["template"]["spec"]["containers"][0]
}

/// What `helm install` would say at its end. `helm template` leaves it out, so a copy of the chart makes an object of it.
pub fn notes(options: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(chart())
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let copy = folder.path().join("millrace");
    let object = r#"notes: {{ include "millrace/templates/NOTES.txt" . | toJson }}"#;
    fs::write(copy.join("templates/notes.yaml"), object).unwrap();
    let options = [options, &["--show-only".to_owned(), "templates/notes.yaml".to_owned()]].concat();
    let output = helm_on(&copy, &["template", RELEASE], &options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Value = yaml_serde::from_slice(&output.stdout).unwrap();
    object["notes"].as_str().unwrap().to_owned()
}
