//! `AdmissionReview` of `admission.k8s.io/v1`: what is asked and how it is answered. Decides nothing.

use millrace_crds::GROUP;
use millrace_crds::manifest::Manifest;
use millrace_plan::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::verdict::Verdict;

/// A question.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    api_version: String,
    request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    #[serde(default)]
    namespace: String,
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Debug, Deserialize)]
struct Kind {
    group: String,
    kind: String,
}

impl Review {
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let review: Self = serde_json::from_slice(body).map_err(|error| format!("not an AdmissionReview: {error}"))?;
        match review.api_version.as_str() {
            "admission.k8s.io/v1" => Ok(review),
            other => Err(format!(
                "the version of the AdmissionReview is {other}, not admission.k8s.io/v1"
            )),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.request.namespace
    }

    /// Whether the object's spec is what is to be changed: metadata and status of an object are nobody's business here,
    /// so that one that has become invalid can still be labelled, reported on and deleted.
    pub(super) fn changes_spec(&self) -> bool {
        let Request {
            operation,
            object,
            old_object,
            ..
        } = &self.request;
        match operation.as_str() {
            "CREATE" => true,
            "UPDATE" => object["spec"] != old_object["spec"] && object["metadata"]["deletionTimestamp"].is_null(),
            _ => false,
        }
    }

    /// The object as it is to be; None: not one of our kinds.
    pub(super) fn manifest(&self) -> Option<Result<Manifest, Problem>> {
        let object = self.request.object.clone();
        let manifest = match (self.request.kind.group.as_str(), self.request.kind.kind.as_str()) {
            (GROUP, "StreamPipeline") => serde_json::from_value(object).map(Manifest::StreamPipeline),
            (GROUP, "WindowAggregation") => serde_json::from_value(object).map(Manifest::WindowAggregation),
            _ => return None,
        };
        Some(manifest.map_err(|error| Problem {
            path: String::new(),
            message: error.to_string(),
        }))
    }

    /// The answer with all problems, one a line, and each once more where `kubectl` looks for it.
    pub(super) fn answer(&self, verdict: &Verdict) -> Value {
        let mut response = json!({"uid": self.request.uid, "allowed": verdict.problems.is_empty()});
        if !verdict.problems.is_empty() {
            response["status"] = self.refusal(&verdict.problems);
        }
        if !verdict.warnings.is_empty() {
            response["warnings"] = verdict.warnings.iter().map(ToString::to_string).collect();
        }
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    }

    fn refusal(&self, problems: &[Problem]) -> Value {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let cause = |Problem { path, message }: &Problem| {
            let reason = "FieldValueInvalid";
            json!({"reason": reason, "field": path, "message": message})
        };
        json!({
            "metadata": {},
            "status": "Failure",
            "code": 422,
            "reason": "Invalid",
            "message": lines.join("\n"),
            "details": {
                "group": GROUP,
                "kind": self.request.kind.kind,
                "name": self.request.object["metadata"]["name"],
                "causes": problems.iter().map(cause).collect::<Vec<_>>(),
            },
        })
    }
}
