//! What an account may do by the roles that are bound to it, and what it has done by the audit log.

use std::collections::BTreeSet;
use std::fmt;

use millrace_e2e::cluster::AuditEvent;
use millrace_e2e::kubectl::Kubectl;
use serde_json::Value;

/// One verb on one resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    group: String,
    resource: String,
    verb: String,
}

impl Right {
    pub fn new(group: &str, resource: &str, verb: &str) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
        }
    }
}

impl fmt::Debug for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.verb, self.resource, self.group)
    }
}

/// Everything that the roles allow that are bound to a ServiceAccount of this name.
pub fn granted(kubectl: &Kubectl, account: &str) -> BTreeSet<Right> {
    let kinds = "roles,clusterroles,rolebindings,clusterrolebindings";
    let text = kubectl
        .run(&["get", kinds, "--all-namespaces", "--output", "json"])
        .unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let objects = list["items"].as_array().unwrap();
    let bound = objects.iter().filter(|object| {
        let mut subjects = object["subjects"].as_array().into_iter().flatten();
        subjects.any(|subject| subject["kind"] == "ServiceAccount" && subject["name"] == account)
    });
    let roles = bound.map(|binding| {
        let role = objects.iter().find(|object| {
            let here =
                object["kind"] == "ClusterRole" || object["metadata"]["namespace"] == binding["metadata"]["namespace"];
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && here
        });
        role.unwrap_or_else(|| panic!("no role for {binding}"))
    });
    roles.flat_map(rights).collect()
}

fn rights(role: &Value) -> Vec<Right> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                for verb in words(rule, "verbs") {
                    rights.push(Right::new(&group, &resource, &verb));
                }
            }
        }
    }
    rights
}

/// What was used by calls. An apply that made its object needed the right to create as well, as the API server asks it.
pub fn used<'a>(calls: impl Iterator<Item = &'a AuditEvent>) -> BTreeSet<Right> {
    let rights = calls.flat_map(|call| {
        let right = |verb: &str| Right::new(&call.group, &call.resource, verb);
        let made = call.verb == "patch" && call.code == 201;
        [Some(right(&call.verb)), made.then(|| right("create"))]
    });
    rights.flatten().collect()
}
