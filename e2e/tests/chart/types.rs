//! Whether an object has only fields that Kubernetes knows: what its Go types would drop, they drop silently.

use k8s_openapi::api::{admissionregistration, apps, coordination, core, networking, policy, rbac};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Paths of fields that its type does not have; None for kinds that are not Kubernetes' own.
pub fn unknown_fields(object: &Value) -> Option<Vec<String>> {
    let kept = match object["kind"].as_str().unwrap() {
        "Deployment" => through::<apps::v1::Deployment>(object),
        "Pod" => through::<core::v1::Pod>(object),
        "Service" => through::<core::v1::Service>(object),
        "ServiceAccount" => through::<core::v1::ServiceAccount>(object),
        "Lease" => through::<coordination::v1::Lease>(object),
        "ClusterRole" => through::<rbac::v1::ClusterRole>(object),
        "ClusterRoleBinding" => through::<rbac::v1::ClusterRoleBinding>(object),
        "Role" => through::<rbac::v1::Role>(object),
        "RoleBinding" => through::<rbac::v1::RoleBinding>(object),
        "NetworkPolicy" => through::<networking::v1::NetworkPolicy>(object),
        "PodDisruptionBudget" => through::<policy::v1::PodDisruptionBudget>(object),
        "APIService" => through::<APIService>(object),
        "CustomResourceDefinition" => through::<CustomResourceDefinition>(object),
        "ValidatingWebhookConfiguration" => {
            through::<admissionregistration::v1::ValidatingWebhookConfiguration>(object)
        }
        _ => return None,
    };
    let mut unknown = Vec::new();
    compare("", object, &kept, &mut unknown);
    Some(unknown)
}

/// The object as its type understands it.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| unreachable!("{error}: {object:#}"));
    serde_json::to_value(typed).unwrap()
}

fn compare(path: &str, given: &Value, kept: &Value, unknown: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given {
                let path = format!("{path}.{name}");
                match kept.get(name) {
                    Some(kept) => compare(&path, value, kept, unknown),
                    None if value.is_null() => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                compare(&format!("{path}[{index}]"), given, kept, unknown);
            }
        }
        _ => {}
    }
}
