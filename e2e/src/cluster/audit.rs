//! Who did what, as the API server has written it down: all writes, and what the operator reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

/// One call that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who, such as `system:serviceaccount:millrace-system:millrace-operator`.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`; of the operator also `get`, `list`, `watch`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural of the kind, with its subresource: `deployments`, `streampipelines/status`.
    pub resource: String,
    /// Namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// Name; empty where the API server chose it.
    pub name: String,
    /// HTTP status.
    pub code: u16,
    /// The binding that allowed it; empty where none did.
    pub allowed_by: String,
    /// When it was answered, RFC 3339 in UTC: later times compare greater.
    pub time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Status>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    stage_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

impl AuditEvent {
    /// Whether it was to change something.
    pub fn is_write(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }
}

/// All events of an audit log, oldest first. A last line that is still being written is left out.
pub(super) fn read(path: &Path) -> Result<Vec<AuditEvent>> {
    let text = fs::read_to_string(path)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(event).collect()
}

fn event(line: &str) -> Result<AuditEvent> {
    let line: Line = serde_json::from_str(line)?;
    let object = line.object_ref.unwrap_or_default();
    let resource = match object.subresource.as_str() {
        "" => object.resource,
        subresource => format!("{}/{subresource}", object.resource),
    };
    Ok(AuditEvent {
        user: line.user.username,
        verb: line.verb,
        group: object.api_group,
        resource,
        namespace: object.namespace,
        name: object.name,
        code: line.response_status.unwrap_or_default().code,
        allowed_by: allowed_by(&line.annotations),
        time: line.stage_timestamp,
    })
}

/// From `RBAC: allowed by ClusterRoleBinding "name" of ClusterRole "role" to ServiceAccount "account/namespace"`.
fn allowed_by(annotations: &BTreeMap<String, String>) -> String {
    let reason = annotations.get("authorization.k8s.io/reason");
    let quoted = reason.and_then(|reason| reason.split('"').nth(1));
    quoted.unwrap_or_default().to_owned()
}
