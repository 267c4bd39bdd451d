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
    Revoke {
        partitions: Vec<(String, i32)>,
        lost: bool,
    },
    /// The group failed in a way that costs everything.
    Failed(RDKafkaErrorCode),
}

/// Collects what one client reports.
pub(super) struct Context {
    role: &'static str,
    rebalances: Mutex<VecDeque<Rebalance>>,
    statistics: Mutex<Statistics>,
    refused: Mutex<Option<String>>,
    last_error: Mutex<Option<String>>,
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
        locked(&self.last_error).clone().unwrap_or_else(|| "no answer".to_owned())
    }

    pub(super) fn on_log(&self, level: i32, facility: &str, text: &str) {
        // "FAIL" and "REQTMOUT": a connection broke, a request timed out.
        if facility == "FAIL" || facility == "REQTMOUT" {
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
        self.disturbances.fetch_add(1, Ordering::SeqCst);
        let refused = [
            RDKafkaErrorCode::Authentication,
            RDKafkaErrorCode::SaslAuthenticationFailed,
            RDKafkaErrorCode::SSL,
            RDKafkaErrorCode::ClusterAuthorizationFailed,
        ];
        if refused.contains(&code) {
            *locked(&self.refused) = Some(reason.to_owned());
        }
        *locked(&self.last_error) = Some(reason.to_owned());
        tracing::warn!(target: "librdkafka", client = self.role, %code, "{reason}");
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
