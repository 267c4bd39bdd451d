//! Our children and their pods, as the watches brought them. Fed by `watches`, read by `dereference`; no client.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};

use super::build::ChildKind;
use super::build::labels;
use crate::key::ObjectKey;

/// All children of all objects.
#[derive(Clone, Debug)]
pub struct Live {
    scopes: Vec<Scope>,
}

/// What is known of one watched namespace, or of all.
#[derive(Clone, Debug)]
struct Scope {
    namespace: Option<String>,
    children: Vec<(ChildKind, Store<DynamicObject>)>,
    pods: Store<Pod>,
}

/// Where watches put what they bring.
#[derive(Debug)]
pub struct Writers {
    /// None: all namespaces.
    pub namespace: Option<String>,
    /// One for each kind of child.
    pub children: Vec<(ChildKind, Writer<DynamicObject>)>,
    /// Pods of all runners.
    pub pods: Writer<Pod>,
}

impl Live {
    /// Nothing is known yet. No namespaces: all of them.
    pub fn new(namespaces: &[String]) -> (Self, Vec<Writers>) {
        let all = [None];
        let some: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        let namespaces: &[Option<String>] = if some.is_empty() { &all } else { &some };
        let writers: Vec<_> = namespaces
            .iter()
            .map(|namespace| Writers::new(namespace.clone()))
            .collect();
        let scopes = writers.iter().map(Writers::scope).collect();
        (Self { scopes }, writers)
    }

    /// One child.
    pub fn child(&self, kind: ChildKind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let reference = ObjectRef::new_with(name, kind.resource()).within(namespace);
        self.scope(namespace)?.store(kind)?.get(&reference)
    }

    /// All children of a kind that belong to an object, whatever their names.
    pub fn children(&self, kind: ChildKind, key: &ObjectKey) -> Vec<Arc<DynamicObject>> {
        let store = self.scope(&key.namespace).and_then(|scope| scope.store(kind));
        let ours = |child: &DynamicObject| labels::object_of(child).as_ref() == Some(key);
        store.map(|store| store.state_filter(ours)).unwrap_or_default()
    }

    /// The pods of an object's runners, those that are leaving included.
    pub fn pods(&self, key: &ObjectKey) -> Vec<Arc<Pod>> {
        let selector = labels::selector(key);
        let ours = |pod: &Pod| {
            pod.namespace().as_deref() == Some(&key.namespace)
                && selector
                    .iter()
                    .all(|(name, value)| pod.labels().get(name) == Some(value))
        };
        let scope = self.scope(&key.namespace);
        scope.map(|scope| scope.pods.state_filter(ours)).unwrap_or_default()
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        let holds = |scope: &&Scope| scope.namespace.as_deref().is_none_or(|it| it == namespace);
        self.scopes.iter().find(holds)
    }
}

impl Scope {
    fn store(&self, kind: ChildKind) -> Option<&Store<DynamicObject>> {
        self.children.iter().find(|(it, _)| *it == kind).map(|(_, store)| store)
    }
}

impl Writers {
    fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            children: ChildKind::ALL.map(|kind| (kind, Writer::new(kind.resource()))).into(),
            pods: Writer::default(),
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            namespace: self.namespace.clone(),
            children: self
                .children
                .iter()
                .map(|(kind, writer)| (*kind, writer.as_reader()))
                .collect(),
            pods: self.pods.as_reader(),
        }
    }
}
