use std::time::UNIX_EPOCH;

use serde_json::from_value;

use super::*;
use crate::serving::certificates::generation;
use crate::serving::certificates::rotation::Validity;

fn service() -> Service {
    Service {
        namespace: "millrace".to_owned(),
        name: "operator".to_owned(),
    }
}

fn authority() -> Authority {
    let validity = Validity::from(SystemTime::now(), Duration::from_secs(600));
    generation::make(&["operator.millrace.svc".to_owned()], validity)
        .unwrap()
        .authority
}

fn pem(authority: &Authority) -> Vec<u8> {
    Bundle::default().with([authority].into_iter(), UNIX_EPOCH).to_pem()
}

fn api_service(namespace: &str, name: &str, spec: &Value) -> APIService {
    let mut object = json!({
        "metadata": {"name": API_SERVICE, "resourceVersion": "7"},
        "spec": {
            "group": "external.metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": namespace, "name": name},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    from_value(object).unwrap()
}

#[test]
fn the_patch_adds_to_what_is_there_and_names_the_version_that_was_read() {
    let (theirs, ours) = (authority(), authority());
    let before = api_service("millrace", "operator", &json!({"caBundle": ByteString(pem(&theirs))}));
    let found = service().api_service(Some(before));
    let published = found.ours().unwrap();
    assert!(published.lacks([&ours].into_iter()));
    let patch = published.patch([&ours].into_iter(), UNIX_EPOCH);
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let written: ByteString = from_value(patch["spec"]["caBundle"].clone()).unwrap();
    assert_eq!(written.0, [pem(&theirs), pem(&ours)].concat());
    assert!(patch["spec"].get("insecureSkipTLSVerify").is_none());
}

#[test]
fn trust_in_anyone_is_taken_back() {
    let found = service().api_service(Some(api_service(
        "millrace",
        "operator",
        &json!({"insecureSkipTLSVerify": true}),
    )));
    let patch = found.ours().unwrap().patch([&authority()].into_iter(), UNIX_EPOCH);
    assert_eq!(patch["spec"]["insecureSkipTLSVerify"], Value::Null);
    assert!(patch["spec"].as_object().unwrap().contains_key("insecureSkipTLSVerify"));
}

#[test]
fn an_api_that_somebody_else_serves_is_left_alone_and_named() {
    let found = service().api_service(Some(api_service("keda", "keda-operator-metrics-apiserver", &json!({}))));
    assert_eq!(found.ours(), None);
    let trouble = found.trouble().unwrap();
    assert!(
        trouble.starts_with("external.metrics.k8s.io is served by keda/keda-operator-metrics-apiserver already"),
        "{trouble}"
    );
    assert!(service().api_service(None).trouble().unwrap().contains("no APIService"));
}

#[test]
fn of_a_webhook_configuration_only_what_calls_us_is_written() {
    let webhook = |name: &str, service: &str| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": "millrace", "name": service, "path": "/validate"}},
        })
    };
    let object = json!({
        "metadata": {"name": "millrace", "resourceVersion": "9"},
        "webhooks": [webhook("validating.millrace.io", "operator"), webhook("other.io", "other")],
    });
    let found = service().webhooks("millrace", Some(from_value(object).unwrap()));
    let ours = authority();
    let patch = found.ours().unwrap().patch([&ours].into_iter(), UNIX_EPOCH);
    assert_eq!(patch["metadata"]["resourceVersion"], "9");
    let webhooks = patch["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0]["name"], "validating.millrace.io");
    let written: ByteString = from_value(webhooks[0]["clientConfig"]["caBundle"].clone()).unwrap();
    assert_eq!(written.0, pem(&ours));
    assert!(
        service()
            .webhooks("millrace", None)
            .trouble()
            .unwrap()
            .contains("ValidatingWebhookConfiguration millrace")
    );
}
