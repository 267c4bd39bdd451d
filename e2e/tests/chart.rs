//! The Helm chart, by the real helm and without a cluster: what it renders, what it allows, what it refuses.
//!
//! `MILLRACE_BLESS=1` writes the golden files in `chart/` anew: read the difference.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "chart/pods.rs"]
mod pods;
#[path = "chart/render.rs"]
mod render;
#[path = "chart/rules.rs"]
mod rules;
#[path = "chart/types.rs"]
mod types;
#[path = "chart/values.rs"]
mod values;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use millrace_e2e::programs::program;
use serde_json::{Value, json};

use render::{CASES, NAMESPACE, case, chart, golden_folder, helm, objects, of_kind, operator, render, set};

/// Compares with a golden file, or writes it.
#[track_caller]
fn golden(file: &str, text: &str) {
    let path = golden_folder().join(file);
    if std::env::var_os("MILLRACE_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = text.lines().zip(expected.lines()).position(|(now, then)| now != then);
    let line = differs.unwrap_or_else(|| text.lines().count().min(expected.lines().count())) + 1;
    assert!(
        text == expected,
        "{} differs from line {line} on, where it is now `{}`; MILLRACE_BLESS=1 writes it anew",
        path.display(),
        text.lines().nth(line - 1).unwrap_or_default()
    );
}

fn yaml(path: &Path) -> Value {
    yaml_serde::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn lint_finds_nothing() {
    for name in CASES {
        let output = helm(&["lint", "--strict"], &case(name));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("[WARNING]"), "{name}: {said}");
    }
}

#[test]
fn objects_are_as_reviewed() {
    for name in CASES {
        let options = [case(name), set(&["crds.install=false"])].concat();
        golden(&format!("{name}.yaml"), &render(&options));
    }
}

#[test]
fn rights_are_as_reviewed() {
    for name in CASES {
        golden(&format!("{name}.rules"), &rules::describe(&objects(&case(name))));
    }
}

#[test]
fn no_role_has_a_wildcard_or_reaches_secrets_or_other_roles() {
    for name in CASES {
        let objects = objects(&case(name));
        let roles = rules::roles(&objects);
        assert!(roles.len() >= 4, "{name}: {} roles", roles.len());
        for right in roles.iter().flat_map(rules::Role::rights) {
            let forbidden = [
                "*",
                "secrets",
                "escalate",
                "bind",
                "impersonate",
                "exec",
                "deletecollection core",
            ];
            assert!(!forbidden.iter().any(|word| right.contains(word)), "{name}: {right}");
        }
    }
}

#[test]
fn operator_of_two_namespaces_has_no_right_outside_of_them() {
    let objects = objects(&case("namespaced"));
    let bound: BTreeSet<_> = rules::roles(&objects)
        .iter()
        .filter(|role| role.is_bound_to("millrace-operator", &objects))
        .map(|role| role.place.clone())
        .collect();
    assert_eq!(
        bound,
        BTreeSet::from(["flights", NAMESPACE, "orders"].map(str::to_owned))
    );
    let cluster_wide = objects
        .iter()
        .filter(|object| object["metadata"].get("namespace").is_none());
    let kinds: BTreeSet<_> = cluster_wide.map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["CustomResourceDefinition"]));
    let arguments = operator(&objects)["args"].to_string();
    for namespace in ["flights", "orders"] {
        assert!(
            arguments.contains(&format!("--watch-namespace={namespace}")),
            "{arguments}"
        );
    }
}

#[test]
fn rights_in_a_watched_namespace_are_those_of_the_whole_cluster_otherwise() {
    let everywhere = objects(&[]);
    let two = objects(&case("namespaced"));
    let name = format!("{NAMESPACE}-millrace-operator");
    let rights = |objects: &[Value], place: &str| {
        let roles = rules::roles(objects);
        let role = roles.iter().find(|role| role.place == place && role.name == name);
        role.unwrap_or_else(|| panic!("no role {name} in {place}")).rights()
    };
    assert_eq!(rights(&two, "flights"), rights(&everywhere, "the cluster"));
    assert_eq!(rights(&two, "orders"), rights(&everywhere, "the cluster"));
}

#[test]
fn every_pod_is_restricted_and_has_a_read_only_root() {
    for name in CASES {
        let objects = objects(&case(name));
        let pods = pods::pod_specs(&objects);
        assert_eq!(pods.len(), 2, "{name}: the operator's and that of `helm test`");
        for pod in pods {
            assert_eq!(pods::offences(pod), Vec::<String>::new(), "{name}: {pod:#}");
        }
    }
}

#[test]
fn objects_have_only_fields_that_kubernetes_knows() {
    for name in CASES {
        for object in objects(&case(name)) {
            let what = format!("{name}: {} {}", object["kind"], object["metadata"]["name"]);
            match types::unknown_fields(&object) {
                Some(unknown) => assert_eq!(unknown, Vec::<String>::new(), "{what}"),
                None => assert_eq!(object["apiVersion"], "monitoring.coreos.com/v1", "{what}"),
            }
        }
    }
}

#[test]
fn definitions_are_those_of_the_types_and_stay_after_uninstall() {
    let objects = objects(&[]);
    let definitions = of_kind(&objects, "CustomResourceDefinition");
    assert_eq!(definitions.len(), 2);
    for definition in definitions {
        let mut definition = definition.clone();
        let annotations = definition["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(annotations, Some(json!({"helm.sh/resource-policy": "keep"})));
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
        let written = yaml(&Path::new(env!("MILLRACE_SOURCE")).join(format!("crds/{plural}.yaml")));
        assert_eq!(with_plain_numbers(definition), with_plain_numbers(written));
    }
}

/// `1` and `1.0` are the same number to Kubernetes.
fn with_plain_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(with_plain_numbers).collect(),
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, with_plain_numbers(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

#[test]
fn certificate_authorities_are_left_to_the_operator() {
    let objects = objects(&case("everything"));
    let service = of_kind(&objects, "APIService")[0];
    let webhook = &of_kind(&objects, "ValidatingWebhookConfiguration")[0]["webhooks"][0];
    // A field that the chart sets is set back by every upgrade.
    assert_eq!(service["spec"].get("caBundle"), None);
    assert_eq!(service["spec"].get("insecureSkipTLSVerify"), None);
    assert_eq!(webhook["clientConfig"].get("caBundle"), None);
    let port = &of_kind(&objects, "Service")[0]["spec"]["ports"][0]["port"];
    for called in [&service["spec"]["service"], &webhook["clientConfig"]["service"]] {
        assert_eq!(called["name"], of_kind(&objects, "Service")[0]["metadata"]["name"]);
        assert_eq!(&called["port"], port);
    }
}

#[test]
fn images_are_named_by_digest_before_tag_and_by_the_charts_version_without_both() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let version = yaml(&chart().join("Chart.yaml"))["appVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    for (values, ends) in [
        (vec![], format!("/millrace-operator:{version}")),
        (
            vec!["operator.image.tag=x".to_owned()],
            "/millrace-operator:x".to_owned(),
        ),
        (
            vec![
                "operator.image.tag=x".to_owned(),
                format!("operator.image.digest={digest}"),
            ],
            format!("/millrace-operator@{digest}"),
        ),
    ] {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let objects = objects(&set(&values));
        let image = operator(&objects)["image"].as_str().unwrap();
        assert!(image.ends_with(&ends), "{values:?}: {image}");
    }
}

#[test]
fn operator_knows_every_argument_that_the_chart_gives_it() {
    let help = Command::new(program("millrace-operator").unwrap())
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for name in CASES {
        for argument in operator(&objects(&case(name)))["args"].as_array().unwrap() {
            let option = argument.as_str().unwrap().split('=').next().unwrap();
            assert!(
                help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")),
                "{option}: {help}"
            );
        }
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let objects = objects(&case("everything"));
    let book = fs::read_to_string(Path::new(env!("MILLRACE_SOURCE")).join("docs/operations.md")).unwrap();
    let rules = of_kind(&objects, "PrometheusRule")[0]["spec"]["groups"][0]["rules"]
        .as_array()
        .unwrap();
    assert!(rules.len() >= 4);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let address = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(
            address.ends_with(&format!("docs/operations.md#{}", name.to_lowercase())),
            "{address}"
        );
        assert!(
            book.lines().any(|line| line == format!("### {name}")),
            "docs/operations.md has no `### {name}`"
        );
        for field in ["summary", "description"] {
            assert!(rule["annotations"][field].is_string(), "{name} has no {field}");
        }
        assert!(rule["labels"]["severity"].is_string(), "{name}");
    }
}

#[test]
fn notes_name_objects_that_exist() {
    for name in CASES {
        let notes = render::notes(&case(name));
        let objects = objects(&case(name));
        let deployment = of_kind(&objects, "Deployment")[0]["metadata"]["name"].as_str().unwrap();
        assert!(
            notes.contains(&format!("-n {NAMESPACE} rollout status deployment/{deployment}")),
            "{notes}"
        );
        let commands = notes.lines().filter(|line| line.starts_with("  kubectl")).count();
        assert_eq!(commands, 3, "{notes}");
    }
}
