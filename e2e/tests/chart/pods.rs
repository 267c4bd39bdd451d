//! The Pod Security level `restricted` and a read-only root, as its documentation lists them.

use serde_json::Value;

/// Where pods stand in objects that make them.
pub fn pod_specs(objects: &[Value]) -> Vec<&Value> {
    let spec = |object: &'_ Value| match object["kind"].as_str() {
        Some("Deployment") => Some("/spec/template/spec"),
        Some("Pod") => Some("/spec"),
        Some("StatefulSet" | "DaemonSet" | "Job" | "CronJob" | "ReplicaSet") => {
            unreachable!("{object}: not looked at yet")
        }
        _ => None,
    };
    objects
        .iter()
        .filter_map(|object| object.pointer(spec(object)?))
        .collect()
}

/// Everything by which a pod is more than it needs to be.
pub fn offences(pod: &Value) -> Vec<String> {
    let mut offences = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            offences.push(what.to_owned());
        }
    };
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        must(pod.get(host).is_none_or(|set| set == false), host);
    }
    let harmless = [
        "configMap",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kind = |word: &&String| *word == "name" || harmless.contains(&word.as_str());
        must(volume.as_object().unwrap().keys().all(|word| kind(&word)), "volumes");
    }
    let whole = &pod["securityContext"];
    must(whole["runAsNonRoot"] == true, "runAsNonRoot");
    must(whole["runAsUser"].as_u64().is_some_and(|user| user > 0), "runAsUser");
    must(whole["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile");
    let containers = ["containers", "initContainers"].map(|list| pod[list].as_array().cloned().unwrap_or_default());
    for container in containers.concat() {
        let own = &container["securityContext"];
        must(own["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        must(own["readOnlyRootFilesystem"] == true, "readOnlyRootFilesystem");
        must(
            own["capabilities"]["drop"] == serde_json::json!(["ALL"]),
            "capabilities.drop",
        );
        must(own["capabilities"].get("add").is_none(), "capabilities.add");
        must(own.get("privileged").is_none_or(|set| set == false), "privileged");
        for stricter in ["runAsUser", "runAsNonRoot", "seccompProfile"] {
            must(own.get(stricter).is_none(), "a container's own user");
        }
        let resources = &container["resources"];
        must(resources["requests"]["cpu"] != Value::Null, "requests.cpu");
        must(resources["requests"]["memory"] != Value::Null, "requests.memory");
        must(resources["limits"]["memory"] != Value::Null, "limits.memory");
    }
    offences
}
