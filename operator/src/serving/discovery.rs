//! What there is to ask for: the documents under `/apis`. No client, no clock.

use serde_json::{Value, json};

use super::external_metrics::Metric;

/// The group that is served.
pub(super) const GROUP: &str = "external.metrics.k8s.io";
/// Its only version.
pub(super) const VERSION: &str = "v1beta1";

/// `/apis`.
pub(super) fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_body()]})
}

/// `/apis/external.metrics.k8s.io`.
pub(super) fn group() -> Value {
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Value::Object(group), Value::Object(body)) = (&mut group, group_body()) {
        group.extend(body);
    }
    group
}

/// `/apis/external.metrics.k8s.io/v1beta1`. A metric can be got and nothing else: whoever deletes namespaces or counts
/// quotas goes through all resources that can be listed or deleted.
pub(super) fn resources() -> Value {
    let resource = |metric: Metric| {
        json!({
            "name": metric.name(),
            "singularName": "",
            "namespaced": true,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": Metric::ALL.map(resource),
    })
}

/// `/apis` with everything in one document.
pub(super) fn aggregated(format: &str) -> Value {
    let resource = |metric: Metric| {
        json!({
            "resource": metric.name(),
            "responseKind": {"group": GROUP, "version": VERSION, "kind": "ExternalMetricValueList"},
            "scope": "Namespaced",
            "singularResource": "",
            "verbs": ["get"],
        })
    };
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{format}"),
        "metadata": {},
        "items": [{
            "metadata": {"name": GROUP, "creationTimestamp": null},
            "versions": [{
                "version": VERSION,
                "resources": Metric::ALL.map(resource),
                "freshness": "Current",
            }],
        }],
    })
}

fn group_body() -> Value {
    let version = json!({"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIGroupList, APIResourceList};

    use super::*;

    #[test]
    fn the_documents_are_what_clients_read() {
        let groups: APIGroupList = serde_json::from_value(groups()).unwrap();
        let one: APIGroup = serde_json::from_value(group()).unwrap();
        assert_eq!(groups.groups[0].name, GROUP);
        assert_eq!(
            (one.name, one.versions[0].group_version.as_str()),
            (GROUP.to_owned(), "external.metrics.k8s.io/v1beta1")
        );
        let list: APIResourceList = serde_json::from_value(resources()).unwrap();
        assert_eq!(list.group_version, "external.metrics.k8s.io/v1beta1");
        let names: Vec<_> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["millrace_lag_records", "millrace_lag_seconds"]);
        assert!(
            list.resources
                .iter()
                .all(|resource| resource.namespaced && resource.verbs == ["get"])
        );
    }

    #[test]
    fn one_document_holds_all_resources_in_both_formats() {
        for format in ["v2", "v2beta1"] {
            let document = aggregated(format);
            assert_eq!(document["apiVersion"], format!("apidiscovery.k8s.io/{format}"));
            assert_eq!(document["items"][0]["metadata"]["name"], GROUP);
            let version = &document["items"][0]["versions"][0];
            assert_eq!(
                (&version["version"], &version["freshness"]),
                (&json!("v1beta1"), &json!("Current"))
            );
            assert_eq!(version["resources"].as_array().unwrap().len(), 2);
        }
    }
}
