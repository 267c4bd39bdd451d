//! What a request wants, in the words of RBAC. No client.

use axum::http::Method;
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, ResourceAttributes};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attributes {
    /// An object or a collection.
    Resource(Box<ResourceAttributes>),
    /// A path.
    Path(NonResourceAttributes),
}

impl Attributes {
    /// Reads method, path and query as an API server does.
    pub(super) fn of(method: &Method, path: &str, query: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["apis", group, version, rest @ ..] if !rest.is_empty() => resource(method, query, group, version, rest),
            _ => Self::Path(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some(method.as_str().to_ascii_lowercase()),
            }),
        }
    }

    /// In words, for whoever is refused.
    pub(super) fn describe(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match self {
            Self::Resource(wanted) => format!(
                "cannot {} resource \"{}\" in API group \"{}\" in the namespace \"{}\"",
                text(&wanted.verb),
                text(&wanted.resource),
                text(&wanted.group),
                text(&wanted.namespace)
            ),
            Self::Path(wanted) => format!("cannot {} path \"{}\"", text(&wanted.verb), text(&wanted.path)),
        }
    }
}

/// Whether the query asks for a watch.
pub(super) fn is_watch(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "watch" && matches!(&*value, "true" | "1"))
}

fn resource(method: &Method, query: &str, group: &str, version: &str, parts: &[&str]) -> Attributes {
    let (namespace, parts) = match parts {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        ["namespaces", namespace] => (Some(*namespace), parts),
        _ => (None, parts),
    };
    let part = |position: usize| parts.get(position).map(|part| (*part).to_owned());
    let verb = match (method.as_str(), part(1).is_some()) {
        ("GET" | "HEAD", _) if is_watch(query) => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "",
    };
    Attributes::Resource(Box::new(ResourceAttributes {
        group: Some(group.to_owned()),
        version: Some(version.to_owned()),
        namespace: namespace.map(str::to_owned),
        verb: Some(verb.to_owned()),
        resource: part(0),
        name: part(1),
        subresource: part(2),
        ..ResourceAttributes::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, address: &str) -> (String, String, String, String) {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        match Attributes::of(&method, path, query) {
            Attributes::Path(wanted) => (wanted.verb.unwrap(), wanted.path.unwrap(), String::new(), String::new()),
            Attributes::Resource(wanted) => (
                wanted.verb.unwrap(),
                wanted.resource.unwrap(),
                wanted.namespace.unwrap_or_default(),
                wanted.name.unwrap_or_default(),
            ),
        }
    }

    fn all(words: [&str; 4]) -> (String, String, String, String) {
        let [verb, what, namespace, name] = words.map(str::to_owned);
        (verb, what, namespace, name)
    }

    #[test]
    fn a_metric_is_a_listed_resource_of_its_namespace() {
        let base = "/apis/external.metrics.k8s.io/v1beta1";
        let metric = format!("{base}/namespaces/shop/millrace_lag_records");
        assert_eq!(
            of(Method::GET, &metric),
            all(["list", "millrace_lag_records", "shop", ""])
        );
        assert_eq!(of(Method::GET, &format!("{metric}?watch=true")).0, "watch");
        assert_eq!(
            of(Method::GET, &format!("{metric}/x")),
            all(["get", "millrace_lag_records", "shop", "x"])
        );
        assert_eq!(of(Method::DELETE, &metric).0, "deletecollection");
        assert_eq!(
            of(Method::GET, &format!("{base}/namespaces/shop")),
            all(["get", "namespaces", "shop", "shop"])
        );
    }

    #[test]
    fn documents_are_paths() {
        for path in [
            "/apis",
            "/apis/external.metrics.k8s.io",
            "/apis/external.metrics.k8s.io/v1beta1",
            "/openapi/v2",
        ] {
            assert_eq!(of(Method::GET, path), all(["get", path, "", ""]));
        }
    }
}
