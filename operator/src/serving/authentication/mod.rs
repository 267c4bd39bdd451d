//! Who asks. The API server has authenticated a user and says so in headers; they are believed only over a connection
//! whose client certificate is the API server's own.

mod follow;
mod trust;

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use tokio_rustls::rustls::pki_types::UnixTime;

pub(super) use self::follow::follow;
pub(super) use self::trust::Trust;
use super::failure::Failure;
use super::listener::Shown;

/// Group of everyone who is authenticated at all.
const AUTHENTICATED: &str = "system:authenticated";

/// A user, as the API server names one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

/// Finds out who asks. The reason for a refusal is for the log; a stranger is told nothing.
pub(super) fn authenticate(
    headers: &HeaderMap,
    shown: &Shown,
    trust: Option<&Trust>,
    now: UnixTime,
) -> Result<User, Failure> {
    let who = match trust {
        Some(trust) => trust.verify(shown, now).and_then(|()| trust.user(headers)),
        None => Err("not known yet whose client certificate to believe".to_owned()),
    };
    who.map(authenticated).map_err(|reason| {
        tracing::debug!(reason, "request refused: not from the API server");
        Failure::unauthorized("Unauthorized")
    })
}

fn authenticated(mut user: User) -> User {
    if !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}
