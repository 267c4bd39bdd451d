//! What a client reports while it works, collected by callbacks that librdkafka makes on the thread that serves it.
//! Nothing here calls back into librdkafka.

use super::lag::Statistics;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A decision of the group that waits for the application's answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// New partitions; possibly none.
    Assign(Vec<(String, i32)>),
    /// Partitions that go.
    Revoke { partitions: Vec<(String, i32)>, lost: bool },
    /// The group failed in a way that costs everything.
    Failed(RDKafkaErrorCode),
}

/// Collects what one client reports.
pub(super) struct Context {
    role: &'static str,
    rebalances: Mutex<VecDeque<Rebalance>>,
    statistics: Mutex<Statistics>,
    refused: Mutex<Option<String>>,
    last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    disturbances: AtomicU64,
    closing: AtomicBool,
}

impl Context {
    /// For a client that logs as `role`.
    pub(super) fn new(role: &'static str) -> Self {
        Self {
            role,
            rebalances: Mutex::default(),
            statistics: Mutex::default(),
            refused: Mutex::default(),
            last_error: Mutex::default(),
            disturbances: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn push_rebalance(&self, rebalance: Rebalance) {
        locked(&self.rebalances).push_back(rebalance);
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        locked(&self.rebalances).pop_front()
    }

    pub(super) fn has_rebalance(&self) -> bool {
        !locked(&self.rebalances).is_empty()
    }

    pub(super) fn statistics(&self) -> MutexGuard<'_, Statistics> {
        locked(&self.statistics)
    }

    /// From now on rebalances are answered at once, since nobody polls any more.
    pub(super) fn start_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Counts failed requests and connections. If it stays the same during a call, nothing was sent twice.
    pub(super) fn disturbances(&self) -> u64 {
        self.disturbances.load(Ordering::SeqCst)
    }

    /// Why brokers do not let this client in, if they do not.
    pub(super) fn refusal(&self) -> Option<String> {
        locked(&self.refused).clone()
    }

    /// What went wrong last, to be shown when nothing came of a call.
    pub(super) fn last_error(&self) -> String {
        locked(&self.last_error)
            .as_ref()
            .map_or_else(|| "no answer".to_owned(), |(_, reason)| reason.clone())
    }

    pub(super) fn on_log(&self, level: i32, facility: &str, text: &str) {
        if facility == "REQTMOUT" || (facility == "FAIL" && may_lose_requests(text)) {
            self.disturbances.fetch_add(1, Ordering::SeqCst);
        }
        let client = self.role;
        match level {
            ..=3 => tracing::error!(target: "librdkafka", client, facility, "{text}"),
            4 => tracing::warn!(target: "librdkafka", client, facility, "{text}"),
            5 => tracing::info!(target: "librdkafka", client, facility, "{text}"),
            _ => tracing::debug!(target: "librdkafka", client, facility, "{text}"),
        }
    }

    pub(super) fn on_error(&self, code: RDKafkaErrorCode, reason: &str) {
        if code != RDKafkaErrorCode::AllBrokersDown && may_lose_requests(reason) {
            self.disturbances.fetch_add(1, Ordering::SeqCst);
        }
        let refused = match code {
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => true,
            // Of a broker that is just going away this code tells, too; certificates do not get better by themselves.
            RDKafkaErrorCode::SSL => reason.contains("certificate"),
            _ => false,
        };
        if refused {
            *locked(&self.refused) = Some(reason.to_owned());
        }
        let mut last = locked(&self.last_error);
        // While brokers are away the same is reported many times a second, and that all are down says less than why.
        let (told, reason_before) = last
            .take()
            .map_or((false, None), |(before, reason)| (before == code, Some(reason)));
        let kept = reason_before.filter(|_| code == RDKafkaErrorCode::AllBrokersDown);
        *last = Some((code, kept.unwrap_or_else(|| reason.to_owned())));
        match told {
            true => tracing::debug!(target: "librdkafka", client = self.role, %code, "{reason}"),
            false => tracing::warn!(target: "librdkafka", client = self.role, %code, "{reason}"),
        }
    }

    pub(super) fn on_statistics(&self, json: &[u8]) {
        match serde_json::from_slice(json) {
            Ok(statistics) => *locked(&self.statistics) = statistics,
            Err(error) => tracing::debug!(%error, "unreadable client statistics"),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.on_log(level as i32, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.on_error(code, reason);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a connection broke that requests may have been on. librdkafka says in which state it was; one that never came
/// up, as to a broker that is down, has carried none.
fn may_lose_requests(text: &str) -> bool {
    !text.contains("in state ") || text.contains("in state UP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_that_were_up_lose_requests() {
        assert!(may_lose_requests("b:9092/1: Disconnected (after 812ms in state UP)"));
        assert!(may_lose_requests("something never seen before"));
        assert!(!may_lose_requests(
            "b:9092/1: Connect to ipv4#10.0.0.1:9092 failed (after 0ms in state CONNECT)"
        ));
        let context = Context::new("test");
        context.on_log(3, "FAIL", "b:9092/1: Connect failed (after 0ms in state CONNECT)");
        context.on_error(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(context.disturbances(), 0);
        context.on_log(
            4,
            "REQTMOUT",
            "b:9092/1: Timed out EndTxnRequest in flight (after 30000ms)",
        );
        context.on_error(
            RDKafkaErrorCode::BrokerTransportFailure,
            "b:9092/1: Disconnected (after 8ms in state UP)",
        );
        assert_eq!(context.disturbances(), 2);
    }

    #[test]
    fn only_refusals_that_do_not_pass_are_remembered() {
        let context = Context::new("test");
        context.on_error(RDKafkaErrorCode::SSL, "SSL handshake failed: Disconnected");
        assert_eq!(context.refusal(), None);
        context.on_error(RDKafkaErrorCode::SSL, "SSL handshake failed: certificate verify failed");
        assert!(context.refusal().is_some_and(|reason| reason.contains("verify")));
    }
}
