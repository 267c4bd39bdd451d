//! The OpenAPI documents: valid, and no longer than they have to be. The API server merges them into its own.

use serde_json::{Value, json};

use super::discovery::{GROUP, VERSION};

/// `/openapi/v2`. Paths would have to be unique among all servers of a cluster, and nobody reads these.
pub(super) fn v2() -> Value {
    json!({"swagger": "2.0", "info": info(), "paths": {}, "definitions": {}})
}

/// `/openapi/v3`: where the document of each group is.
pub(super) fn v3() -> Value {
    json!({"paths": {format!("apis/{GROUP}/{VERSION}"): {"serverRelativeURL": v3_group_path()}}})
}

/// Where the group's document is.
pub(super) fn v3_group_path() -> String {
    format!("/openapi/v3/apis/{GROUP}/{VERSION}")
}

/// The group's document.
pub(super) fn v3_group() -> Value {
    let parameter = |name: &str, place: &str, required: bool| {
        let schema = json!({"type": "string"});
        json!({"name": name, "in": place, "required": required, "schema": schema})
    };
    let answer = json!({"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}});
    let metric = json!({
        "get": {
            "description": "values of a metric of the pipelines that a label selector chooses",
            "operationId": "listExternalMetricsV1beta1NamespacedMetric",
            "parameters": [parameter("labelSelector", "query", false)],
            "responses": answer,
        },
        "parameters": [parameter("namespace", "path", true), parameter("metric", "path", true)],
    });
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": {format!("/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{{metric}}"): metric},
        "components": {"schemas": {}},
    })
}

fn info() -> Value {
    json!({"title": "Millrace external metrics", "version": env!("CARGO_PKG_VERSION")})
}
