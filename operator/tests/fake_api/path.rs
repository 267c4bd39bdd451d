//! What a path of the API names.

/// A collection, or an object in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Group and version, such as `apis/apps/v1`.
    pub prefix: String,
    /// None: all namespaces.
    pub namespace: Option<String>,
    /// Such as `deployments`.
    pub plural: String,
    /// None: the collection.
    pub name: Option<String>,
    /// Whether it is the object's status.
    pub status: bool,
}

impl Path {
    /// Reads `/apis/apps/v1/namespaces/n/deployments/d/status` and its beginnings.
    pub fn parse(path: &str) -> Self {
        let mut segments = path.trim_matches('/').split('/').map(str::to_owned);
        let mut next = || segments.next();
        let prefix = match next().as_deref() {
            Some("api") => format!("api/{}", next().unwrap_or_default()),
            _ => format!("apis/{}/{}", next().unwrap_or_default(), next().unwrap_or_default()),
        };
        let first = next().unwrap_or_default();
        let (namespace, plural) = match first.as_str() {
            "namespaces" => (next(), next().unwrap_or_default()),
            _ => (None, first),
        };
        Self {
            prefix,
            namespace,
            plural,
            name: next(),
            status: next().is_some(),
        }
    }

    /// The plural, with `/status` where that is meant.
    pub fn resource(&self) -> String {
        match self.status {
            true => format!("{}/status", self.plural),
            false => self.plural.clone(),
        }
    }

    /// Whether `object` is in this collection.
    pub fn holds(&self, object: &Self) -> bool {
        let here = self.namespace.is_none() || self.namespace == object.namespace;
        here && (&self.prefix, &self.plural) == (&object.prefix, &object.plural)
    }
}
