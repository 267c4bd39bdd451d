//! What is counted about serving.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and gauges of serving. Clones are one.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    certificate_expiry: IntGauge,
    publish_failures: IntCounter,
    registered: IntGaugeVec,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "millrace_serving_requests_total",
                "Requests of the API server answered.",
            ),
            &["handler", "code"],
        )?;
        let certificate_expiry = IntGauge::new(
            "millrace_serving_certificate_expiry_timestamp_seconds",
            "When the certificate served to the API server expires; 0 before there is one.",
        )?;
        let publish_failures = IntCounter::new(
            "millrace_serving_certificate_publish_failures_total",
            "Attempts to tell the API server which certificate authority to trust that failed.",
        )?;
        let registered = IntGaugeVec::new(
            Opts::new(
                "millrace_serving_registered",
                "1 while the API server is told to call this operator, 0 while it is told to call somebody else, or nobody.",
            ),
            &["registration"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(certificate_expiry.clone()))?;
        registry.register(Box::new(publish_failures.clone()))?;
        registry.register(Box::new(registered.clone()))?;
        Ok(Self {
            requests,
            certificate_expiry,
            publish_failures,
            registered,
        })
    }

    pub(super) fn answered(&self, handler: &'static str, code: StatusCode) {
        self.requests.with_label_values(&[handler, code.as_str()]).inc();
    }

    pub(super) fn serves_until(&self, time: SystemTime) {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.certificate_expiry.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    pub(super) fn registered(&self, registration: &str, ours: bool) {
        self.registered.with_label_values(&[registration]).set(i64::from(ours));
    }

    pub(super) fn publishing_failed(&self) {
        self.publish_failures.inc();
    }
}
