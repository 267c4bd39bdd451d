//! Which path leads where, and what is asked of a request before it gets there. Everything about metrics is for users
//! whom the API server has authenticated and who may; the webhook and the health checks are for anyone, and tell nobody
//! anything.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::Value;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::UnixTime;

use super::attributes::Attributes;
use super::authentication::{Trust, authenticate};
use super::authorization::Authorizer;
use super::external_metrics::{self, Question};
use super::failure::Failure;
use super::listener::Shown;
use super::metrics::Metrics;
use super::negotiation::{Encoding, choose};
use super::{Latest, Manifests, discovery, openapi, webhook};

/// Longest time for an answer. The API server itself waits no longer for a webhook than 30 s.
const PATIENCE: Duration = Duration::from_secs(25);

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) trusted: watch::Receiver<Option<Arc<Trust>>>,
    pub(super) authorizer: Authorizer,
    pub(super) latest: Latest,
    pub(super) manifests: Manifests,
    pub(super) metrics: Metrics,
    pub(super) external_metrics: bool,
    pub(super) webhook: bool,
}

/// All paths.
pub(super) fn router(served: Served) -> Router {
    let mut guarded = Router::new();
    if served.external_metrics {
        guarded = guarded
            .route("/apis", get(apis))
            .route(
                "/apis/external.metrics.k8s.io",
                get(async |headers| document(&headers, discovery::group())),
            )
            .route(
                "/apis/external.metrics.k8s.io/v1beta1",
                get(async |headers| document(&headers, discovery::resources())),
            )
            .route(
                "/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}",
                get(metric),
            )
            .route("/openapi/v2", get(async || written(&openapi::v2(), Encoding::Json)))
            .route("/openapi/v3", get(async || written(&openapi::v3(), Encoding::Json)))
            .route(
                &openapi::v3_group_path(),
                get(async || written(&openapi::v3_group(), Encoding::Json)),
            );
    }
    let guarded = guarded
        .fallback(async || Failure::not_found("the server could not find the requested resource"))
        .method_not_allowed_fallback(async || Failure::method_not_allowed())
        .layer(from_fn_with_state(served.clone(), guard));
    let mut open = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/healthz", get(async || "ok"));
    if served.webhook {
        let reviewer = webhook::Reviewer::new(Arc::clone(&served.manifests));
        open = open.route(
            webhook::PATH,
            post(async move |request| webhook::answer(&reviewer, request).await),
        );
    }
    open.merge(guarded)
        .layer(from_fn_with_state(served.metrics.clone(), watched))
        .with_state(served)
}

/// Counts every answer and bounds its time.
async fn watched(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let handler = match request.uri().path() {
        webhook::PATH => "webhook",
        path if path.contains("/namespaces/") => "metric",
        _ => "other",
    };
    let response = match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::timeout("it took too long").into_response(),
    };
    metrics.answered(handler, response.status());
    response
}

/// Lets through who is the API server, in the name of a user who may.
async fn guard(
    State(served): State<Served>,
    Extension(shown): Extension<Shown>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let trust = served.trusted.borrow().clone();
    let user = authenticate(request.headers(), &shown, trust.as_deref(), UnixTime::now())?;
    let uri = request.uri();
    let wanted = Attributes::of(request.method(), uri.path(), uri.query().unwrap_or_default());
    served.authorizer.authorize(&user, wanted).await?;
    Ok(next.run(request).await)
}

async fn apis(headers: HeaderMap) -> Result<Response, Failure> {
    const NEW: Encoding = Encoding::AggregatedDiscovery("v2");
    const OLD: Encoding = Encoding::AggregatedDiscovery("v2beta1");
    match choose(&headers, &[Encoding::Json, NEW, OLD]) {
        Some(Encoding::AggregatedDiscovery(version)) => Ok(written(
            &discovery::aggregated(version),
            Encoding::AggregatedDiscovery(version),
        )),
        Some(_) => Ok(written(&discovery::groups(), Encoding::Json)),
        None => Err(only_json()),
    }
}

async fn metric(
    State(served): State<Served>,
    Path((namespace, metric)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let question = Question {
        namespace: &namespace,
        metric: &metric,
        query: &query,
        headers: &headers,
    };
    external_metrics::answer(&question, &served.manifests, &served.latest)
}

fn document(headers: &HeaderMap, document: Value) -> Result<Response, Failure> {
    match choose(headers, &[Encoding::Json]) {
        Some(encoding) => Ok(written(&document, encoding)),
        None => Err(only_json()),
    }
}

fn only_json() -> Failure {
    Failure::not_acceptable("only the following media types are accepted: application/json")
}

fn written(document: &Value, encoding: Encoding) -> Response {
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, encoding.content_type())],
        document.to_string(),
    )
        .into_response()
}
