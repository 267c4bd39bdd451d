//! Whether a user may: asked of the API server by a SubjectAccessReview, and remembered for a few seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::attributes::Attributes;
use super::authentication::User;
use super::failure::Failure;

/// How long an answer counts.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Answers remembered at once.
const MOST: usize = 1_024;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// May do everything, so asking would only make the API server's own checks of us fail when it is busy.
const MASTERS: &str = "system:masters";

/// Asks and remembers. Clones are one.
#[derive(Clone)]
pub(super) struct Authorizer {
    client: Client,
    answers: Arc<Mutex<Answers>>,
}

/// Keyed by the question as JSON: the generated types have no hash.
type Answers = HashMap<String, (Instant, bool)>;

impl Authorizer {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            answers: Arc::default(),
        }
    }

    /// Fails unless the user may.
    pub(super) async fn authorize(&self, user: &User, wanted: Attributes) -> Result<(), Failure> {
        if user.groups.iter().any(|group| group == MASTERS) {
            return Ok(());
        }
        let refusal = || Failure::forbidden(format!("User \"{}\" {}", user.name, wanted.describe()));
        let spec = question(user, &wanted);
        let key = serde_json::to_string(&spec).map_err(|error| Failure::internal(error.to_string()))?;
        let allowed = match self.remembered(&key) {
            Some(allowed) => allowed,
            None => {
                let allowed = self.ask(spec).await?;
                self.remember(key, allowed);
                allowed
            }
        };
        if allowed { Ok(()) } else { Err(refusal()) }
    }

    fn remembered(&self, key: &str) -> Option<bool> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers
            .get(key)
            .filter(|(at, _)| at.elapsed() < REMEMBERED)
            .map(|(_, allowed)| *allowed)
    }

    fn remember(&self, key: String, allowed: bool) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        }
        if answers.len() < MOST {
            answers.insert(key, (Instant::now(), allowed));
        }
    }

    async fn ask(&self, spec: SubjectAccessReviewSpec) -> Result<bool, Failure> {
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let params = PostParams::default();
        let failed = |error: String| {
            tracing::warn!(error, "cannot ask the API server whether a user may");
            Failure::internal("cannot ask the API server whether the user may")
        };
        match tokio::time::timeout(PATIENCE, api.create(&params, &review)).await {
            Ok(Ok(review)) => Ok(review
                .status
                .is_some_and(|status| status.allowed && status.denied != Some(true))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("no answer".to_owned())),
        }
    }
}

fn question(user: &User, wanted: &Attributes) -> SubjectAccessReviewSpec {
    let (resource_attributes, non_resource_attributes) = match wanted.clone() {
        Attributes::Resource(wanted) => (Some(*wanted), None),
        Attributes::Path(wanted) => (None, Some(wanted)),
    };
    let extra: BTreeMap<_, _> = user.extra.clone();
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: user.uid.clone(),
        groups: Some(user.groups.clone()),
        extra: (!extra.is_empty()).then_some(extra),
        resource_attributes,
        non_resource_attributes,
    }
}
