//! Lag as a metric that an autoscaler reads. Only reads; a number that is not known is an error, never 0 and never an
//! empty list, because an autoscaler would scale down on either.

mod protobuf;
mod selector;
mod values;

use std::time::Instant;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use self::selector::Selector;
use self::values::Value;
use super::failure::Failure;
use super::negotiation::{Encoding, choose};
use super::{Latest, Manifests, attributes};
use crate::key::ObjectKey;

/// A metric that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// How many records a pipeline is behind.
    LagRecords,
    /// How many seconds a pipeline is behind.
    LagSeconds,
}

impl Metric {
    pub(super) const ALL: [Self; 2] = [Self::LagRecords, Self::LagSeconds];

    /// The name that it is asked for by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LagRecords => "millrace_lag_records",
            Self::LagSeconds => "millrace_lag_seconds",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// What a client wants to know.
pub(super) struct Question<'a> {
    pub(super) namespace: &'a str,
    pub(super) metric: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

/// Answers `GET .../namespaces/{namespace}/{metric}`.
pub(super) fn answer(question: &Question, manifests: &Manifests, latest: &Latest) -> Result<Response, Failure> {
    if attributes::is_watch(question.query) {
        return Err(Failure::method_not_allowed());
    }
    let encoding = choose(question.headers, &[Encoding::Json, Encoding::Protobuf]).ok_or_else(|| {
        Failure::not_acceptable(
            "only the following media types are accepted: application/json, application/vnd.kubernetes.protobuf",
        )
    })?;
    let selector = selector_of(question.query)?;
    let values = match Metric::parse(question.metric) {
        Some(metric) => {
            let objects = manifests(question.namespace).into_iter().map(|manifest| ObjectKey {
                kind: manifest.kind(),
                namespace: question.namespace.to_owned(),
                name: manifest.name().to_owned(),
            });
            let chosen = objects.filter(|object| selector.matches(&values::labels(object)));
            let found = chosen.map(|object| (latest(&object), object)).collect();
            values::of(metric, question.namespace, found, Instant::now(), Timestamp::now())?
        }
        // An empty list, as every server of this API answers; the autoscaler calls it an error.
        None => Vec::new(),
    };
    tracing::debug!(
        namespace = question.namespace,
        metric = question.metric,
        ?encoding,
        "metric was read"
    );
    let body = match encoding {
        Encoding::Protobuf => protobuf::list(&values),
        Encoding::Json | Encoding::AggregatedDiscovery(_) => json(&values).to_string().into_bytes(),
    };
    Ok(([(header::CONTENT_TYPE, encoding.content_type())], body).into_response())
}

fn selector_of(query: &str) -> Result<Selector, Failure> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let text = pairs
        .find(|(key, _)| key == "labelSelector")
        .map(|(_, value)| value)
        .unwrap_or_default();
    Selector::parse(&text)
        .map_err(|error| Failure::bad_request(format!("unable to parse labelSelector `{text}`: {error}")))
}

fn json(values: &[Value]) -> serde_json::Value {
    let item = |value: &Value| {
        serde_json::json!({
            "metricName": value.metric,
            "metricLabels": value.labels,
            "timestamp": value.timestamp(),
            "window": values::WINDOW_SECONDS,
            "value": value.amount.to_string(),
        })
    };
    serde_json::json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": format!("{}/{}", super::discovery::GROUP, super::discovery::VERSION),
        "metadata": {},
        "items": values.iter().map(item).collect::<Vec<_>>(),
    })
}
