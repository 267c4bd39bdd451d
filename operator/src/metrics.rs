//! The operator's own metrics, and those of every pipeline that it observes. What is not known is absent, never zero.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_crds::{ConditionType, PipelineStatus};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, PullingGauge, Registry,
};

use crate::key::ObjectKey;
use crate::lease::Leadership;
use crate::observe::{Observation, Observations, SourceState};

/// Registers everything; pipelines are read from `observations` at each scrape.
pub fn register(
    registry: &Registry,
    observations: Observations,
    leadership: Leadership,
) -> Result<Reconciles, prometheus::Error> {
    registry.register(Box::new(Pipelines::new(observations)?))?;
    let leader = leadership.clone();
    let leads = move || if leader.is_leader() { 1.0 } else { 0.0 };
    let help = "1 if this operator leads and writes, else 0.";
    registry.register(Box::new(PullingGauge::new(
        "millrace_operator_leader",
        help,
        Box::new(leads),
    )?))?;
    Reconciles::register(registry, leadership)
}

/// Counts reconciles.
#[derive(Clone, Debug)]
pub struct Reconciles {
    total: IntCounterVec,
    seconds: HistogramVec,
    conditions: IntGaugeVec,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// As it should.
    Done,
    /// The spec cannot be carried out.
    Refused,
    /// Something failed and is tried again.
    Failed,
}

impl Reconciled {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Reconciles {
    fn register(registry: &Registry, leadership: Leadership) -> Result<Self, prometheus::Error> {
        let total = Opts::new("millrace_reconciles_total", "Looks at objects, by how they ended.");
        let seconds = HistogramOpts::new(
            "millrace_reconcile_duration_seconds",
            "Seconds that a look at an object took.",
        )
        .buckets(vec![
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ]);
        let reconciles = Self {
            total: IntCounterVec::new(total, &["kind", "result"])?,
            seconds: HistogramVec::new(seconds, &["kind"])?,
            conditions: IntGaugeVec::new(
                Opts::new(
                    "millrace_condition",
                    "1 for the status that a condition of a pipeline has.",
                ),
                &["namespace", "kind", "pipeline", "type", "status"],
            )?,
        };
        registry.register(Box::new(Conditions {
            gauges: reconciles.conditions.clone(),
            leadership,
        }))?;
        registry.register(Box::new(reconciles.total.clone()))?;
        registry.register(Box::new(reconciles.seconds.clone()))?;
        Ok(reconciles)
    }

    /// Counts one reconcile of an object of `kind`.
    pub fn count(&self, kind: &'static str, result: Reconciled, took: Duration) {
        self.total.with_label_values(&[kind, result.as_str()]).inc();
        self.seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
    }
}

impl Reconciles {
    /// Shows the conditions of an object, as its status has them.
    pub fn conditions(&self, key: &ObjectKey, status: &PipelineStatus) {
        self.forget(key);
        for condition in &status.conditions {
            let labels = [&key.namespace, key.kind, &key.name, &condition.type_, &condition.status];
            self.conditions.with_label_values(&labels).set(1);
        }
    }

    /// Shows an object no more.
    pub fn forget(&self, key: &ObjectKey) {
        for type_ in ConditionType::ALL.map(ConditionType::as_str) {
            for status in ["True", "False", "Unknown"] {
                // An error means that it was not shown.
                let labels = [&key.namespace, key.kind, &key.name, type_, status];
                let _ = self.conditions.remove_label_values(&labels);
            }
        }
    }
}

/// The conditions as the leader wrote them. Whoever lost the Lease has none to show: another goes on writing them.
struct Conditions {
    gauges: IntGaugeVec,
    leadership: Leadership,
}

impl Collector for Conditions {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if !self.leadership.is_leader() {
            self.gauges.reset();
        }
        self.gauges.collect()
    }
}

const LABELS: [&str; 3] = ["namespace", "kind", "pipeline"];

/// One number of a pipeline.
struct Number {
    gauge: GaugeVec,
    of: fn(&Observation) -> Option<f64>,
}

/// One counter of a pipeline, which begins at zero when this process first sees the pipeline.
struct Count {
    counter: CounterVec,
    of: fn(&Observation) -> u64,
}

/// Every pipeline's numbers, made anew at each scrape: a pipeline that is gone leaves nothing behind.
struct Pipelines {
    observations: Observations,
    numbers: Mutex<(Vec<Number>, Vec<Count>)>,
    /// 1 for the partition that holds the watermark back.
    held_back_by: GaugeVec,
    descriptions: Vec<Desc>,
}

impl Pipelines {
    fn new(observations: Observations) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, of| {
            let gauge = GaugeVec::new(Opts::new(name, help), &LABELS)?;
            Ok::<_, prometheus::Error>(Number { gauge, of })
        };
        let counter = |name: &str, help: &str, of| {
            let counter = CounterVec::new(Opts::new(name, help), &LABELS)?;
            Ok::<_, prometheus::Error>(Count { counter, of })
        };
        let numbers = vec![
            gauge(
                "millrace_lag_records",
                "Committed records that the group has not processed.",
                |of| of.lag.map(|lag| lag.records as f64),
            )?,
            gauge(
                "millrace_lag_seconds",
                "Seconds since the oldest unprocessed record was written.",
                |of| of.lag?.seconds.map(|seconds| seconds as f64),
            )?,
            gauge(
                "millrace_source_reachable",
                "1 if the source can be read, 0 if not.",
                reachable,
            )?,
            gauge(
                "millrace_source_partitions",
                "Partitions of all source topics together.",
                |of| of.partitions.map(f64::from),
            )?,
            gauge(
                "millrace_records_read_per_second",
                "Records read a second, over half a minute.",
                |of| of.throughput.map(|rate| rate.read),
            )?,
            gauge(
                "millrace_records_written_per_second",
                "Records written a second, over half a minute.",
                |of| of.throughput.map(|rate| rate.written),
            )?,
            gauge(
                "millrace_watermark_timestamp_seconds",
                "The oldest watermark of any partition.",
                |of| of.watermark.map(seconds),
            )?,
            gauge(
                "millrace_checkpoint_timestamp_seconds",
                "When the latest commit was acknowledged.",
                |of| of.committed_at.map(seconds),
            )?,
            gauge(
                "millrace_checkpoint_size_bytes",
                "Bytes of the newest checkpoints of all partitions.",
                |of| of.checkpoint_bytes.map(|bytes| bytes as f64),
            )?,
        ];
        let counts = vec![
            counter(
                "millrace_late_records_total",
                "Records that came after their window was closed.",
                |of| of.late,
            )?,
            counter(
                "millrace_dead_letters_total",
                "Records written to the dead-letter topic.",
                |of| of.dead,
            )?,
        ];
        let held_back_by = GaugeVec::new(
            Opts::new(
                "millrace_watermark_held_back_by",
                "1 for the partition that holds the watermark back.",
            ),
            &[LABELS[0], LABELS[1], LABELS[2], "topic", "partition"],
        )?;
        let described = numbers.iter().map(|number| number.gauge.desc());
        let described = described.chain(counts.iter().map(|count| count.counter.desc()));
        let descriptions = described.flatten().chain(held_back_by.desc()).cloned().collect();
        Ok(Self {
            observations,
            held_back_by,
            numbers: Mutex::new((numbers, counts)),
            descriptions,
        })
    }

    fn numbers(&self) -> MutexGuard<'_, (Vec<Number>, Vec<Count>)> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Pipelines {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // One scrape at a time: each fills the same vectors anew.
        let vectors = self.numbers();
        let (numbers, counts) = &*vectors;
        numbers.iter().for_each(|number| number.gauge.reset());
        counts.iter().for_each(|count| count.counter.reset());
        self.held_back_by.reset();
        for (ObjectKey { kind, namespace, name }, of) in self.observations.all() {
            let labels = [namespace.as_str(), kind, name.as_str()];
            for number in numbers {
                if let Some(value) = (number.of)(&of) {
                    number.gauge.with_label_values(&labels).set(value);
                }
            }
            if let Some(by) = &of.held_back_by {
                let partition = by.partition.to_string();
                let labels = [labels[0], labels[1], labels[2], &by.topic, &partition];
                self.held_back_by.with_label_values(&labels).set(1.0);
            }
            for count in counts {
                count.counter.with_label_values(&labels).inc_by((count.of)(&of) as f64);
            }
        }
        let families = numbers.iter().flat_map(|number| number.gauge.collect());
        families
            .chain(counts.iter().flat_map(|count| count.counter.collect()))
            .chain(self.held_back_by.collect())
            .collect()
    }
}

fn reachable(of: &Observation) -> Option<f64> {
    match of.source.as_ref()? {
        SourceState::Reachable => Some(1.0),
        SourceState::Unreachable(_) | SourceState::TopicMissing(_) | SourceState::RecordsLost(_) => Some(0.0),
        SourceState::NotAsked => None,
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::observe::testing;

    fn text(registry: &Registry) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    fn condition(type_: &str, status: &str) -> Condition {
        Condition {
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            message: String::new(),
            observed_generation: None,
            reason: "Any".to_owned(),
            status: status.to_owned(),
            type_: type_.to_owned(),
        }
    }

    #[test]
    fn pipelines_are_read_at_each_scrape_and_unknown_numbers_are_absent() {
        let registry = Registry::new();
        let (observations, _worth_a_look) = Observations::new();
        let leadership = Leadership::default();
        let reconciles = register(&registry, observations.clone(), leadership.clone()).unwrap();
        assert!(!text(&registry).contains("millrace_lag"));
        let key = testing::watch(&observations, "flights");
        testing::broker_says(&observations, &key, Some((7, None)));
        reconciles.count("StreamPipeline", Reconciled::Done, Duration::from_millis(3));
        let seen = text(&registry);
        let labels = r#"{kind="StreamPipeline",namespace="default",pipeline="flights"}"#;
        for line in [
            format!("millrace_lag_records{labels} 7"),
            format!("millrace_source_reachable{labels} 1"),
            format!("millrace_dead_letters_total{labels} 0"),
            r#"millrace_reconciles_total{kind="StreamPipeline",result="done"} 1"#.to_owned(),
            "millrace_operator_leader 0".to_owned(),
        ] {
            assert!(seen.contains(&line), "{line} is not in\n{seen}");
        }
        for unknown in ["millrace_lag_seconds{", "millrace_watermark", "_per_second{"] {
            assert!(!seen.contains(unknown), "{unknown} is in\n{seen}");
        }
        let ready = |status: &str| PipelineStatus {
            conditions: vec![condition("Ready", status)],
            ..PipelineStatus::default()
        };
        leadership.set(Some(Instant::now() + Duration::from_secs(60)));
        reconciles.conditions(&key, &ready("False"));
        reconciles.conditions(&key, &ready("True"));
        let seen = text(&registry);
        assert!(seen.contains(r#"status="True",type="Ready"} 1"#), "{seen}");
        assert!(!seen.contains(r#"status="False""#), "{seen}");
        leadership.set(None);
        assert!(!text(&registry).contains("millrace_condition{"), "another leads now");
        leadership.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(
            !text(&registry).contains("millrace_condition{"),
            "what it knew is of before"
        );
        reconciles.forget(&key);
        observations.forget(&key);
        assert!(!text(&registry).contains("flights"));
    }
}
