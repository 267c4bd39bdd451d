//! The validating webhook: the same checks as everywhere else, before an object is stored. Reads a body of bounded
//! size, answers, and changes nothing; whoever calls it learns only what is wrong with what they sent.

mod admission;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use self::admission::Review;
use super::Manifests;
use super::failure::Failure;

/// Where the API server sends objects to.
pub(super) const PATH: &str = "/validate";
/// Bytes of a review: two versions of an object, of at most 3 MiB each.
const MOST_BYTES: usize = 7 << 20;
/// Longest time that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reviews at once, bodies included: it bounds the memory that strangers can make us use.
const AT_ONCE: usize = 4;

/// Checks what is sent to it. Clones are one.
#[derive(Clone)]
pub(super) struct Reviewer {
    manifests: Manifests,
    places: Arc<Semaphore>,
}

impl Reviewer {
    pub(super) fn new(manifests: Manifests) -> Self {
        Self {
            manifests,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// Answers one review.
pub(super) async fn answer(reviewer: &Reviewer, request: Request) -> Result<Response, Failure> {
    let _place = reviewer
        .places
        .acquire()
        .await
        .map_err(|_| Failure::unavailable("stopping"))?;
    let body = match tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), MOST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            return Err(Failure::too_large(format!(
                "at most {MOST_BYTES} bytes are read: {error}"
            )));
        }
        Err(_) => return Err(Failure::timeout("the body took too long to arrive")),
    };
    let review = Review::parse(&body).map_err(Failure::bad_request)?;
    drop(body);
    let others = (reviewer.manifests)(review.namespace());
    // On a thread of its own: an expression may take a while to plan, and metrics are answered meanwhile. A panic there
    // is an answer of this request, not the end of the process.
    let answer = tokio::task::spawn_blocking(move || {
        let verdict = verdict::of(&review, &others);
        review.answer(&verdict)
    });
    match answer.await {
        Ok(answer) => Ok(([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()),
        Err(error) => Err(Failure::internal(format!("the check failed itself: {error}"))),
    }
}
