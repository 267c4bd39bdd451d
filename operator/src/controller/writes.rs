//! Every write of the controller to the API server goes through here, and asks first whether this replica may write.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::build::ChildKind;
use super::failure::Failure;
use crate::lease::Leadership;

const MANAGER: &str = "millrace-operator";
const STATUS_MANAGER: &str = "millrace-operator-status";

/// Reaches the objects of one namespace.
#[derive(Clone)]
pub struct Writes<'a> {
    /// How to reach the API server.
    pub client: &'a Client,
    /// Whether we may.
    pub leadership: &'a Leadership,
    /// Where.
    pub namespace: &'a str,
}

impl Writes<'_> {
    /// Says all that we have to say about a child. `version`: only if it has not changed since.
    pub async fn apply(
        &self,
        kind: ChildKind,
        name: &str,
        mut object: Value,
        live: Option<&DynamicObject>,
    ) -> Result<DynamicObject, Failure> {
        self.may_write()?;
        if let Some(live) = live {
            object["metadata"]["uid"] = json!(live.uid());
            if kind == ChildKind::Deployment {
                object["metadata"]["resourceVersion"] = json!(live.resource_version());
            }
        }
        let resource = kind.resource();
        let parameters = PatchParams::apply(MANAGER).force();
        let applied = self
            .api(&resource)
            .patch(name, &parameters, &Patch::Apply(&object))
            .await;
        applied.map_err(|error| failure(error, "patch", &resource, name))
    }

    /// Changes parts of a child, only if it has not changed since it was read.
    pub async fn merge(&self, kind: ChildKind, live: &DynamicObject, mut change: Value) -> Result<(), Failure> {
        self.may_write()?;
        change["metadata"]["uid"] = json!(live.uid());
        change["metadata"]["resourceVersion"] = json!(live.resource_version());
        let (resource, name) = (kind.resource(), live.name_any());
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let merged = self
            .api(&resource)
            .patch(&name, &parameters, &Patch::Merge(&change))
            .await;
        merged
            .map(drop)
            .map_err(|error| failure(error, "patch", &resource, &name))
    }

    /// Deletes a child as it was read. One that is gone already is no error.
    pub async fn delete(&self, kind: ChildKind, live: &DynamicObject) -> Result<(), Failure> {
        self.may_write()?;
        let (resource, name) = (kind.resource(), live.name_any());
        let parameters = DeleteParams::background().preconditions(Preconditions {
            uid: live.uid(),
            resource_version: live.resource_version(),
        });
        match self.api(&resource).delete(&name, &parameters).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            deleted => deleted
                .map(drop)
                .map_err(|error| failure(error, "delete", &resource, &name)),
        }
    }

    /// Writes a status. Returns whether there was still an object to write it to.
    pub async fn status(&self, resource: &ApiResource, name: &str, uid: &str, status: Value) -> Result<bool, Failure> {
        self.may_write()?;
        let object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": name, "namespace": self.namespace, "uid": uid},
            "status": status,
        });
        let parameters = PatchParams::apply(STATUS_MANAGER).force();
        match self
            .api(resource)
            .patch_status(name, &parameters, &Patch::Apply(&object))
            .await
        {
            Ok(_) => Ok(true),
            // With another uid it is another object of the same name.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.code == 409 => Ok(false),
            Err(error) => Err(failure(error, "patch the status of", resource, name)),
        }
    }

    /// One child as it is now, not as a cache has it.
    pub async fn get(&self, kind: ChildKind, name: &str) -> Result<Option<DynamicObject>, Failure> {
        let resource = kind.resource();
        let found = self.api(&resource).get_opt(name).await;
        found.map_err(|error| failure(error, "get", &resource, name))
    }

    /// ReplicaSets and pods as they are now.
    pub async fn runners(&self, selector: &str) -> Result<(Vec<ReplicaSet>, Vec<Pod>), Failure> {
        let parameters = ListParams::default().labels(selector);
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), self.namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let sets = sets.list(&parameters).await;
        let sets = sets.map_err(|error| Failure::of(error, "list", "replicasets.apps", selector))?;
        let pods = pods.list(&parameters).await;
        let pods = pods.map_err(|error| Failure::of(error, "list", "pods", selector))?;
        Ok((sets.items, pods.items))
    }

    /// What the cluster said lately about an object.
    pub async fn events(&self, uid: &str) -> Result<Vec<Event>, Failure> {
        let parameters = ListParams::default()
            .fields(&format!("involvedObject.uid={uid}"))
            .limit(50);
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.namespace);
        let listed = events.list(&parameters).await;
        Ok(listed.map_err(|error| Failure::of(error, "list", "events", uid))?.items)
    }

    fn may_write(&self) -> Result<(), Failure> {
        match self.leadership.is_leader() {
            true => Ok(()),
            false => Err(Failure::NotLeader),
        }
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, resource)
    }
}

fn failure(error: kube::Error, verb: &str, resource: &ApiResource, name: &str) -> Failure {
    let group = match resource.group.as_str() {
        "" => String::new(),
        group => format!(".{group}"),
    };
    Failure::of(error, verb, &format!("{}{group}", resource.plural), name)
}
