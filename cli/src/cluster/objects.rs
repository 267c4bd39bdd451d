//! Pipelines of a cluster: both kinds, found by name.

use anyhow::bail;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use millrace_crds::manifest::Manifest;
use millrace_crds::{PipelineStatus, StreamPipeline, WindowAggregation};

use super::{Cluster, Doing, explained};

/// One of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// As written in YAML.
    pub name: &'static str,
    /// As the API and permissions name it.
    pub plural: &'static str,
    /// In front of names, as kubectl prints them.
    pub singular: &'static str,
    short: &'static str,
}

/// Both kinds.
pub const KINDS: [Kind; 2] = [
    Kind {
        name: "StreamPipeline",
        plural: "streampipelines",
        singular: "streampipeline",
        short: "spl",
    },
    Kind {
        name: "WindowAggregation",
        plural: "windowaggregations",
        singular: "windowaggregation",
        short: "wagg",
    },
];

impl Kind {
    fn resource(self) -> ApiResource {
        match self.name {
            "WindowAggregation" => ApiResource::erase::<WindowAggregation>(&()),
            _ => ApiResource::erase::<StreamPipeline>(&()),
        }
    }

    /// Objects of this kind in a namespace, or in all.
    pub fn api(self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource()),
            None => Api::all_with(client.clone(), &self.resource()),
        }
    }

    /// The kind that is spelled like this, by kubectl's rules.
    fn called(word: &str) -> Option<Self> {
        let word = word.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let is = |kind: &Self| [kind.singular, kind.plural, kind.short].contains(&word.as_str());
        KINDS.into_iter().find(is)
    }
}

/// `NAME` or `KIND/NAME`, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// None: either.
    pub kind: Option<Kind>,
    /// `metadata.name`.
    pub name: String,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            None => (None, text),
            Some((word, name)) => {
                let kind = Kind::called(word);
                let unknown =
                    || format!("`{word}` is no kind of Millrace: write streampipeline/NAME or windowaggregation/NAME");
                (Some(kind.ok_or_else(unknown)?), name)
            }
        };
        // What is asked for becomes part of a path.
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(format!("`{name}` is not a name: a-z 0-9 - and ."));
        }
        let name = name.to_owned();
        Ok(Self { kind, name })
    }
}

/// One object as the API server has it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which kind.
    pub kind: Kind,
    /// All of it.
    pub object: DynamicObject,
}

impl Found {
    /// `streampipeline/delayed-flights`.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.kind.singular, self.object.name_any())
    }

    /// Its namespace.
    pub fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    /// What the controller says; None if it has not said anything that can be read.
    pub fn status(&self) -> Option<PipelineStatus> {
        let status = self.object.data.get("status")?;
        serde_json::from_value(status.clone()).ok()
    }

    /// Whether it is asked to stop.
    pub fn suspend(&self) -> bool {
        let flag = self.object.data.pointer("/spec/suspend");
        flag.and_then(serde_json::Value::as_bool).unwrap_or_default()
    }

    /// As YAML would be read.
    pub fn manifest(&self) -> anyhow::Result<Manifest> {
        let object = serde_json::to_value(&self.object)?;
        Ok(match self.kind.name {
            "WindowAggregation" => Manifest::WindowAggregation(Box::new(serde_json::from_value(object)?)),
            _ => Manifest::StreamPipeline(Box::new(serde_json::from_value(object)?)),
        })
    }
}

/// All objects of both kinds in a namespace, or in all, by namespace, kind and name.
pub async fn list(client: &Client, namespace: Option<&str>) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for kind in KINDS {
        let doing = Doing {
            verb: "list",
            resource: kind.plural,
            namespace,
        };
        let objects = kind.api(client, namespace).list(&ListParams::default()).await;
        let objects = objects.map_err(|error| explained(error, doing))?;
        found.extend(objects.into_iter().map(|object| Found { kind, object }));
    }
    found.sort_by_cached_key(|found| (found.namespace(), found.kind.name, found.object.name_any()));
    Ok(found)
}

/// The one object that a person means.
pub async fn find(cluster: &Cluster, named: &Named) -> anyhow::Result<Found> {
    let namespace = cluster.namespace.as_str();
    let mut found = Vec::new();
    for kind in KINDS
        .into_iter()
        .filter(|kind| named.kind.is_none_or(|asked| asked == *kind))
    {
        let doing = Doing {
            verb: "get",
            resource: kind.plural,
            namespace: Some(namespace),
        };
        match kind.api(&cluster.client, Some(namespace)).get(&named.name).await {
            Ok(object) => found.push(Found { kind, object }),
            Err(kube::Error::Api(status)) if status.code == 404 && status.details.is_some() => {}
            Err(error) => return Err(explained(error, doing)),
        }
    }
    match <[Found; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => not_found(cluster, named).await,
        Err(several) => {
            let names: Vec<String> = several.iter().map(Found::reference).collect();
            bail!("there are several objects of this name: write {}", names.join(" or "))
        }
    }
}

/// Says which names there are. What may not be listed is left out.
async fn not_found(cluster: &Cluster, named: &Named) -> anyhow::Result<Found> {
    let here = list(&cluster.client, Some(&cluster.namespace))
        .await
        .unwrap_or_default();
    let names: Vec<String> = here.iter().map(|found| found.object.name_any()).collect();
    let mut text = format!("no pipeline `{}` in namespace `{}`", named.name, cluster.namespace);
    if let Some(close) = millrace_plan::closest(&named.name, names.iter().map(String::as_str)) {
        bail!("{text}; did you mean `{close}`?");
    }
    let everywhere = list(&cluster.client, None).await.unwrap_or_default();
    let elsewhere = everywhere.iter().find(|found| found.object.name_any() == named.name);
    text += &match (elsewhere, names.is_empty()) {
        (Some(found), _) => format!(
            "; there is {} in namespace `{1}`: add -n {1}",
            found.reference(),
            found.namespace()
        ),
        (None, true) => "; there are none".to_owned(),
        (None, false) => format!("; there are {}", names.join(", ")),
    };
    bail!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_kubectl_reads_them() {
        let named = |text: &str| text.parse::<Named>();
        for (text, kind) in [
            ("x", None),
            ("spl/x", Some(KINDS[0])),
            ("StreamPipeline/x", Some(KINDS[0])),
            ("streampipelines.millrace.io/x", Some(KINDS[0])),
            ("wagg/x", Some(KINDS[1])),
        ] {
            let name = "x".to_owned();
            assert_eq!(named(text), Ok(Named { kind, name }), "{text}");
        }
        assert!(named("pod/x").is_err_and(|error| error.contains("windowaggregation/NAME")));
        for wrong in ["", "spl/", "a b", "../x", "spl/../x", "x?y"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
