//! Which encoding a client reads, by its Accept header. No client, no clock.

use axum::http::{HeaderMap, header};

/// An encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// JSON.
    Json,
    /// Kubernetes' protobuf.
    Protobuf,
    /// JSON that holds the groups with all their resources, in that version of the format.
    AggregatedDiscovery(&'static str),
}

const AGGREGATED: [&str; 2] = ["v2", "v2beta1"];

impl Encoding {
    /// What to write in Content-Type.
    pub(super) fn content_type(self) -> String {
        match self {
            Self::Json => "application/json".to_owned(),
            Self::Protobuf => "application/vnd.kubernetes.protobuf".to_owned(),
            Self::AggregatedDiscovery(version) => {
                format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
            }
        }
    }
}

/// The first of the client's choices that is offered; None: there is none.
pub(super) fn choose(headers: &HeaderMap, offered: &[Encoding]) -> Option<Encoding> {
    let given = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut choices: Vec<_> = given
        .flat_map(|value| value.split(','))
        .filter_map(Choice::parse)
        .collect();
    if choices.is_empty() {
        choices.extend(Choice::parse("*/*"));
    }
    // Stable: of equal weights the first wins.
    choices.sort_by(|left, right| right.weight.total_cmp(&left.weight));
    choices
        .iter()
        .filter(|choice| choice.weight > 0.0)
        .find_map(|choice| choice.among(offered))
}

struct Choice<'a> {
    media_type: &'a str,
    group: Option<&'a str>,
    version: Option<&'a str>,
    kind: Option<&'a str>,
    weight: f32,
}

impl<'a> Choice<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| !media_type.is_empty())?;
        let mut choice = Self {
            media_type,
            group: None,
            version: None,
            kind: None,
            weight: 1.0,
        };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "g" => choice.group = Some(value),
                "v" => choice.version = Some(value),
                "as" => choice.kind = Some(value),
                "q" => choice.weight = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        Some(choice)
    }

    fn among(&self, offered: &[Encoding]) -> Option<Encoding> {
        let wanted = match (self.media_type, self.kind) {
            ("application/json", Some("APIGroupDiscoveryList")) if self.group == Some("apidiscovery.k8s.io") => {
                Encoding::AggregatedDiscovery(AGGREGATED.into_iter().find(|version| self.version == Some(version))?)
            }
            // A table, or whatever else an object can be turned into.
            (_, Some(_)) => return None,
            ("application/json" | "application/*" | "*/*", None) => Encoding::Json,
            ("application/vnd.kubernetes.protobuf", None) => Encoding::Protobuf,
            _ => return None,
        };
        offered.contains(&wanted).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &[&str], offered: &[Encoding]) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        choose(&headers, offered)
    }

    #[test]
    fn the_first_choice_that_is_offered_wins() {
        const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        const OLD: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let values = [Encoding::Json, Encoding::Protobuf];
        let documents = [
            Encoding::Json,
            Encoding::AggregatedDiscovery("v2"),
            Encoding::AggregatedDiscovery("v2beta1"),
        ];
        for (accept, offered, expected) in [
            (vec![], &values[..], Some(Encoding::Json)),
            (vec!["*/*"], &values[..], Some(Encoding::Json)),
            (
                vec!["application/vnd.kubernetes.protobuf,application/json"],
                &values[..],
                Some(Encoding::Protobuf),
            ),
            (
                vec!["application/json, application/vnd.kubernetes.protobuf"],
                &values[..],
                Some(Encoding::Json),
            ),
            (
                vec!["application/json;q=0.5, application/vnd.kubernetes.protobuf"],
                &values[..],
                Some(Encoding::Protobuf),
            ),
            (
                vec!["application/json;as=Table;v=v1;g=meta.k8s.io", "application/json"],
                &values[..],
                Some(Encoding::Json),
            ),
            (vec!["application/json;as=Table;v=v1;g=meta.k8s.io"], &values[..], None),
            (vec!["application/vnd.kubernetes.protobuf"], &documents[..], None),
            (vec!["application/json;q=0"], &values[..], None),
            (vec!["text/html"], &values[..], None),
            (
                vec![V2, OLD, "application/json"],
                &documents[..],
                Some(Encoding::AggregatedDiscovery("v2")),
            ),
            (
                vec![OLD, "application/json"],
                &documents[..],
                Some(Encoding::AggregatedDiscovery("v2beta1")),
            ),
            (vec![V2, "application/json"], &values[..], Some(Encoding::Json)),
        ] {
            assert_eq!(chosen(&accept, offered), expected, "{accept:?}");
        }
    }
}
