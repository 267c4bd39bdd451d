//! Which replica of the operator writes: the one that holds the Lease. What to do is decided purely.
//!
//! A holder renews every 2 s, and after 10 s without success no longer trusts itself. Others take the Lease when they have
//! not seen it change for 15 s by their own clock: clocks of different machines are never compared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use millrace_service::Shutdown;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::settings::Settings;

const DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// One call must not use up the whole deadline.
const CALL: Duration = Duration::from_secs(4);

/// Whether this process may write. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    valid_until: Arc<Mutex<Option<Instant>>>,
}

impl Leadership {
    /// Whether the Lease is held, and was renewed lately enough that nobody else can have it. Ask before every write.
    pub fn is_leader(&self) -> bool {
        let valid_until = *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner);
        valid_until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn set(&self, valid_until: Option<Instant>) {
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = valid_until;
    }
}

/// What a Lease says, and since when it has said so as far as this process knows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    holder: Option<String>,
    /// Changes with every renewal.
    version: Option<String>,
    since: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It does not exist.
    Create,
    /// It is ours: say so again.
    Renew,
    /// Nobody holds it any more.
    Take,
    /// Somebody else holds it.
    Wait,
}

fn decide(held: Option<&Held>, identity: &str, now: Instant) -> Decision {
    match held {
        None => Decision::Create,
        Some(held) => match held.holder.as_deref() {
            Some(holder) if holder == identity => Decision::Renew,
            None | Some("") => Decision::Take,
            Some(_) if now.saturating_duration_since(held.since) >= DURATION => Decision::Take,
            Some(_) => Decision::Wait,
        },
    }
}

/// This process's part in the election.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    leadership: Leadership,
    elected: watch::Sender<bool>,
}

impl Election {
    /// `elected` is told whenever this process becomes the leader, or stops to be it.
    pub fn new(client: Client, settings: &Settings, leadership: Leadership, elected: watch::Sender<bool>) -> Self {
        Self {
            leases: Api::namespaced(client, &settings.namespace),
            name: settings.lease.clone(),
            identity: settings.identity.clone(),
            leadership,
            elected,
        }
    }

    /// Takes part until shutdown.
    pub async fn keep(&self, stop: &Shutdown) {
        let mut seen = None;
        while !stop.is_requested() {
            let asked_at = Instant::now();
            match timeout(CALL, self.round(&mut seen)).await {
                Ok(Ok(true)) => self.leadership.set(Some(asked_at + RENEW_DEADLINE)),
                Ok(Ok(false)) => self.leadership.set(None),
                Ok(Err(error)) => tracing::warn!(%error, "cannot read or renew the Lease"),
                Err(_) => tracing::warn!("the API server does not answer about the Lease"),
            }
            let leads = self.leadership.is_leader();
            if self
                .elected
                .send_if_modified(|was| std::mem::replace(was, leads) != leads)
            {
                tracing::info!(leads, lease = self.name, "leadership changed");
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = stop.requested() => {}
            }
        }
    }

    /// Gives the Lease back, so that another replica takes it at once. Only when nothing is written any more.
    pub async fn release(&self) {
        if !self.leadership.is_leader() {
            return;
        }
        self.leadership.set(None);
        let release = async {
            let mut lease = self.leases.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_ref() == Some(&self.identity) {
                spec.holder_identity = Some(String::new());
                self.replace(lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match timeout(CALL, release).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "gave the Lease back"),
            Ok(Err(error)) => tracing::warn!(%error, "could not give the Lease back: it runs out by itself"),
            Err(_) => tracing::warn!("could not give the Lease back in time: it runs out by itself"),
        }
    }

    /// Reads, decides, acts. Returns whether the Lease is held now.
    async fn round(&self, seen: &mut Option<Held>) -> kube::Result<bool> {
        let lease = self.leases.get_opt(&self.name).await?;
        let now = Instant::now();
        *seen = lease.as_ref().map(|lease| look_at(lease, seen.as_ref(), now));
        let written = match (decide(seen.as_ref(), &self.identity, now), lease) {
            (Decision::Wait, _) => return Ok(false),
            (Decision::Create, _) | (_, None) => {
                let lease = self.claim(Lease::default(), true);
                self.leases.create(&PostParams::default(), &lease).await
            }
            (Decision::Renew, Some(lease)) => self.replace(self.claim(lease, false)).await,
            (Decision::Take, Some(lease)) => self.replace(self.claim(lease, true)).await,
        };
        match written {
            Ok(_) => Ok(true),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// With the resourceVersion of what was read: a write on top of another replica's is refused.
    async fn replace(&self, lease: Lease) -> kube::Result<Lease> {
        self.leases.replace(&self.name, &PostParams::default(), &lease).await
    }

    fn claim(&self, lease: Lease, anew: bool) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.unwrap_or_default();
        let transitions = spec.lease_transitions.unwrap_or_default();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..lease.metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(DURATION.as_secs() as i32),
                acquire_time: if anew { Some(now.clone()) } else { spec.acquire_time },
                renew_time: Some(now),
                lease_transitions: Some(transitions + i32::from(anew)),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// What a Lease says, and since when as far as is known here.
fn look_at(lease: &Lease, seen: Option<&Held>, now: Instant) -> Held {
    let version = lease.resource_version();
    let unchanged = seen.filter(|seen| seen.version == version);
    Held {
        holder: lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()),
        version,
        since: unchanged.map_or(now, |seen| seen.since),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_has_not_changed_for_its_duration() {
        let now = Instant::now();
        let held = |holder: Option<&str>, age: u64| {
            Some(Held {
                holder: holder.map(str::to_owned),
                version: None,
                since: now.checked_sub(Duration::from_secs(age)).unwrap(),
            })
        };
        for (held, expected) in [
            (None, Decision::Create),
            (held(None, 0), Decision::Take),
            (held(Some(""), 0), Decision::Take),
            (held(Some("me"), 0), Decision::Renew),
            (held(Some("me"), 100), Decision::Renew),
            (held(Some("other"), 0), Decision::Wait),
            (held(Some("other"), 14), Decision::Wait),
            (held(Some("other"), 15), Decision::Take),
        ] {
            assert_eq!(decide(held.as_ref(), "me", now), expected, "{held:?}");
        }
    }

    #[test]
    fn a_leader_that_slept_is_none_any_more() {
        let leadership = Leadership::default();
        assert!(!leadership.is_leader());
        leadership.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(leadership.is_leader());
        leadership.set(Instant::now().checked_sub(Duration::from_secs(1)));
        assert!(!leadership.is_leader());
    }

    #[test]
    fn nobody_trusts_itself_for_as_long_as_others_wait() {
        assert!(RENEW_DEADLINE + CALL < DURATION);
    }
}
