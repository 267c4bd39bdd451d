//! What the rendered roles allow, a line a right.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::render::of_kind;

/// A role with the place where it holds.
pub struct Role<'a> {
    pub place: String,
    pub name: &'a str,
    object: &'a Value,
}

/// All roles among `objects`, in order of place and name.
pub fn roles(objects: &[Value]) -> Vec<Role<'_>> {
    let mut roles: Vec<_> = ["ClusterRole", "Role"]
        .iter()
        .flat_map(|kind| of_kind(objects, kind))
        .map(|object| Role {
            place: object["metadata"]["namespace"]
                .as_str()
                .unwrap_or("the cluster")
                .to_owned(),
            name: object["metadata"]["name"].as_str().unwrap(),
            object,
        })
        .collect();
    roles.sort_by_key(|role| (role.place.clone(), role.name));
    roles
}

impl Role<'_> {
    /// Whether a binding gives it to `account`, and where.
    pub fn is_bound_to(&self, account: &str, objects: &[Value]) -> bool {
        let bindings = [of_kind(objects, "ClusterRoleBinding"), of_kind(objects, "RoleBinding")].concat();
        bindings.iter().any(|binding| {
            binding["roleRef"]["kind"] == self.object["kind"]
                && binding["roleRef"]["name"] == self.name
                && binding["metadata"]["namespace"] == self.object["metadata"]["namespace"]
                && binding["subjects"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|subject| subject["name"] == account)
        })
    }

    /// Each right as `group/resource verb`, with the names that it is restricted to.
    pub fn rights(&self) -> BTreeSet<String> {
        let words = |rule: &Value, field: &str| -> Vec<String> {
            let list = rule[field].as_array().cloned().unwrap_or_default();
            list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut rights = BTreeSet::new();
        for rule in self.object["rules"].as_array().unwrap() {
            assert!(rule.get("nonResourceURLs").is_none(), "{rule}");
            let names = words(rule, "resourceNames");
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    for verb in words(rule, "verbs") {
                        let group = if group.is_empty() { "core" } else { &group };
                        let mut right = format!("{group}/{resource} {verb}");
                        if !names.is_empty() {
                            write!(right, " only {}", names.join(", ")).unwrap();
                        }
                        rights.insert(right);
                    }
                }
            }
        }
        rights
    }
}

/// All of it, for a person to read.
pub fn describe(objects: &[Value]) -> String {
    let mut text = String::new();
    for role in roles(objects) {
        writeln!(text, "{} in {}", role.name, role.place).unwrap();
        for right in role.rights() {
            writeln!(text, "  {right}").unwrap();
        }
    }
    text
}
