//! The two CustomResourceDefinitions, as they are committed in `crds/` and installed by the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::core::CustomResourceExt;

use crate::{StreamPipeline, WindowAggregation};

/// File names and definitions of both kinds.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 2] {
    [
        ("streampipelines.yaml", finished(StreamPipeline::crd())),
        ("windowaggregations.yaml", finished(WindowAggregation::crd())),
    ]
}

/// File names and contents of the committed files.
pub fn files() -> [(&'static str, String); 2] {
    definitions().map(|(name, definition)| {
        let yaml = yaml_serde::to_string(&definition).expect("a definition is plain data");
        (
            name,
            format!("# Written by `make crds` from crds/src. Do not edit.\n{yaml}"),
        )
    })
}

fn finished(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut());
    for root in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        finish(root);
    }
    definition
}

/// Takes back two things that the derived schema says and Kubernetes should not hear. An optional field that is `null`
/// counts as left out only where it is not `nullable`; CEL's `has` would be true for it. And `uint16` is no format of
/// OpenAPI, which the API server warns about; minimum and maximum say the same.
fn finish(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = None;
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
        .for_each(finish);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => finish(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(finish),
        None => {}
    }
}
