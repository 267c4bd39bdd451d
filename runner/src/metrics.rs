//! Every metric of a runner, by name, in one place. Labels are bounded: operators, reasons and partitions of one pipeline.

use std::collections::HashMap;

use millrace_engine::Reason;
use millrace_plan::Plan;
use millrace_report::PartitionName;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// The label `operator` of what is read from the source.
const SOURCE: &str = "source";
/// The label `operator` of what is written to the sinks.
const SINK: &str = "sink";
/// The label `operator` of commits.
const COMMIT: &str = "commit";

/// What a runner counts and measures.
pub struct Metrics {
    /// Records read.
    pub read: IntCounter,
    /// Records written to each sink's topic, counted once however many sinks there are.
    pub written: IntCounter,
    /// How many sinks each of them goes to.
    sinks: u64,
    /// Rows that each operator passed on.
    pub passed: Vec<IntCounter>,
    /// Entries of state that each operator forgot, their time being over.
    pub expired: Vec<IntCounter>,
    /// Dead letters.
    pub dead: PerOperator,
    /// Records that came after their window was closed.
    pub late: PerOperator,
    /// Seconds that a batch took through decoding and all operators.
    pub batch_seconds: Histogram,
    /// Seconds from the first record read after a commit until the next commit was acknowledged.
    pub commit_latency_seconds: Histogram,
    /// Seconds that a checkpoint and its commit took.
    pub checkpoint_seconds: Histogram,
    /// Bytes of the checkpoints of the latest commit.
    pub checkpoint_bytes: Gauge,
    /// Seconds since the latest acknowledged commit.
    pub checkpoint_age_seconds: Gauge,
    /// Commits that failed and were done again.
    pub failed_commits: IntCounter,
    /// Bytes fetched and not processed yet.
    pub source_buffer: Gauge,
    /// Bytes sent and not acknowledged yet.
    pub sink_buffer: Gauge,
    /// Groups that are remembered.
    pub state_groups: Gauge,
    /// Estimated bytes that are remembered.
    pub state_bytes: Gauge,
    /// Partitions assigned.
    pub partitions: Gauge,
    /// Those of them that are not fetched for now.
    pub paused: Gauge,
    lag: IntGaugeVec,
    watermark_delay: GaugeVec,
    held_back_by: IntGaugeVec,
    errors: HashMap<(Option<u16>, Reason), IntCounter>,
    /// Of tables that are topics, by position of the join.
    tables: HashMap<usize, TableMetrics>,
}

/// How one table stands.
struct TableMetrics {
    rows: IntGauge,
    changes: IntCounter,
    bad: IntCounter,
}

impl Metrics {
    /// Registers all metrics for one pipeline.
    pub fn register(plan: &Plan, registry: &Registry) -> Result<Self, prometheus::Error> {
        let new = Registrar { plan, registry };
        let events = new.counters(
            "stream_events_processed_total",
            "Records that came out of each operator.",
        )?;
        let latency = new.histograms(
            "stream_processing_latency_seconds",
            "Seconds: operator `source` a batch through all operators; operator `commit` from reading a record to its commit.",
        )?;
        let buffer = new.gauges(
            "stream_buffer_size",
            "Bytes waiting: fetched and not processed, or sent and not acknowledged.",
            "operator",
        )?;
        let errors = new.errors()?;
        let expired = new.counters(
            "stream_state_expired_total",
            "Entries of state that each operator forgot because their time was over.",
        )?;
        let expired = plan
            .operators
            .iter()
            .map(|operator| expired.with_label_values(&[operator.name.as_str()]));
        let passed = plan
            .operators
            .iter()
            .map(|operator| events.with_label_values(&[operator.name.as_str()]))
            .collect();
        Ok(Self {
            read: events.with_label_values(&[SOURCE]),
            written: events.with_label_values(&[SINK]),
            sinks: plan.sinks.len() as u64,
            passed,
            expired: expired.collect(),
            dead: new.per_operator("stream_dead_letters_total", "Records written to the dead-letter topic.")?,
            late: new.per_operator(
                "stream_late_records_total",
                "Records that came after their window was closed.",
            )?,
            batch_seconds: latency.with_label_values(&[SOURCE]),
            commit_latency_seconds: latency.with_label_values(&[COMMIT]),
            checkpoint_seconds: new.histogram(
                "stream_checkpoint_duration_seconds",
                "Seconds that a checkpoint and its commit took.",
            )?,
            checkpoint_bytes: new.gauge(
                "stream_checkpoint_size_bytes",
                "Bytes of the checkpoints written by the latest commit.",
            )?,
            checkpoint_age_seconds: new.gauge(
                "stream_checkpoint_age_seconds",
                "Seconds since the latest acknowledged commit.",
            )?,
            failed_commits: new.counter(
                "stream_commit_failures_total",
                "Commits that failed; their work was done again.",
            )?,
            source_buffer: buffer.with_label_values(&[SOURCE]),
            sink_buffer: buffer.with_label_values(&[SINK]),
            state_groups: new.gauge("stream_state_groups", "Groups that are remembered, over all windows.")?,
            state_bytes: new.gauge("stream_state_size_bytes", "Estimated bytes that are remembered.")?,
            partitions: new.gauge(
                "stream_assigned_partitions",
                "Source partitions assigned to this runner.",
            )?,
            paused: new.gauge(
                "stream_paused_partitions",
                "Partitions that are not fetched for now because they are too far ahead of others.",
            )?,
            lag: new.partition_gauge(
                "stream_lag_records",
                "Committed records of the partition that were not read yet.",
            )?,
            watermark_delay: new.partition_gauge_f64(
                "stream_watermark_delay_seconds",
                "Seconds by which the partition's watermark is behind the clock.",
            )?,
            held_back_by: new.partition_gauge(
                "stream_watermark_held_back_by",
                "1 for the partition that holds event time back, as far as this runner knows.",
            )?,
            errors: error_counters(plan, &errors),
            tables: new.tables()?,
        })
    }

    /// Records written, each counted once a sink.
    pub fn written_to_sinks(&self) -> u64 {
        self.written.get() * self.sinks
    }

    /// Counts rejected records.
    pub fn rejected(&self, operator: Option<u16>, reason: Reason, records: u64) {
        if let Some(counter) = self.errors.get(&(operator, reason)) {
            counter.inc_by(records);
        }
    }

    /// Counts what came for the table of the join at a position.
    pub fn table_changed(&self, position: usize, taken: usize, left_out: usize) {
        if let Some(table) = self.tables.get(&position) {
            table.changes.inc_by(taken as u64);
            table.bad.inc_by(left_out as u64);
        }
    }

    /// Records of tables' topics that were left out.
    pub fn table_errors(&self) -> u64 {
        self.tables.values().map(|table| table.bad.get()).sum()
    }

    /// Sets how many rows the table of the join at a position has.
    pub fn table_rows(&self, position: usize, rows: usize) {
        if let Some(table) = self.tables.get(&position) {
            table.rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
        }
    }

    /// Sets how far one partition is behind.
    pub fn partition(&self, topic: &str, partition: i32, lag: Option<i64>, watermark_delay: Option<f64>) {
        let labels = [topic, &partition.to_string()];
        // Unknown is absent, never zero.
        match lag {
            Some(lag) => self.lag.with_label_values(&labels).set(lag),
            None => drop(self.lag.remove_label_values(&labels)),
        }
        match watermark_delay {
            Some(delay) => self.watermark_delay.with_label_values(&labels).set(delay),
            None => drop(self.watermark_delay.remove_label_values(&labels)),
        }
    }

    /// Names the partition that holds event time back, and no other.
    pub fn held_back_by(&self, partition: Option<&PartitionName>) {
        self.held_back_by.reset();
        if let Some(PartitionName { topic, partition }) = partition {
            let labels = [topic.as_str(), &partition.to_string()];
            self.held_back_by.with_label_values(&labels).set(1);
        }
    }

    /// Forgets a partition that went to another runner.
    pub fn forget(&self, topic: &str, partition: i32) {
        self.partition(topic, partition, None, None);
    }
}

/// One counter for the source and for each operator.
pub struct PerOperator {
    source: IntCounter,
    operators: Vec<IntCounter>,
}

impl PerOperator {
    /// Counts so many, for the operator at this position of the plan or for the source.
    pub fn inc_by(&self, operator: Option<u16>, count: u64) {
        match operator {
            None => self.source.inc_by(count),
            Some(position) => self.operators[usize::from(position)].inc_by(count),
        }
    }

    /// The sum over all.
    pub fn total(&self) -> u64 {
        self.source.get() + self.operators.iter().map(IntCounter::get).sum::<u64>()
    }
}

fn error_counters(plan: &Plan, errors: &IntCounterVec) -> HashMap<(Option<u16>, Reason), IntCounter> {
    let mut counters = HashMap::new();
    for reason in Reason::ALL {
        counters.insert((None, reason), errors.with_label_values(&[SOURCE, reason.as_str()]));
        for (position, operator) in plan.operators.iter().enumerate() {
            let counter = errors.with_label_values(&[operator.name.as_str(), reason.as_str()]);
            counters.insert((Some(position as u16), reason), counter);
        }
    }
    counters
}

/// Gives every metric the labels of the pipeline.
struct Registrar<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
}

impl Registrar<'_> {
    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help)
            .const_label("namespace", &self.plan.namespace)
            .const_label("pipeline", &self.plan.name)
    }

    fn keep<M: prometheus::core::Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::with_opts(self.opts(name, help))?)
    }

    fn per_operator(&self, name: &str, help: &str) -> Result<PerOperator, prometheus::Error> {
        let counters = self.counters(name, help)?;
        let of = |operator: &millrace_plan::Operator| counters.with_label_values(&[operator.name.as_str()]);
        Ok(PerOperator {
            source: counters.with_label_values(&[SOURCE]),
            operators: self.plan.operators.iter().map(of).collect(),
        })
    }

    fn counters(&self, name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(self.opts(name, help), &["operator"])?)
    }

    /// Metrics of those tables that are topics; where there are none, they are not there.
    fn tables(&self) -> Result<HashMap<usize, TableMetrics>, prometheus::Error> {
        if self.plan.table_topics().next().is_none() {
            return Ok(HashMap::new());
        }
        let rows = self.opts("stream_table_rows", "Rows of the table of each join that is a topic.");
        let rows = self.keep(IntGaugeVec::new(rows, &["operator"])?)?;
        let changes = self.counters(
            "stream_table_changes_total",
            "Records taken into the table of each join.",
        )?;
        let bad = self.counters(
            "stream_table_errors_total",
            "Records of a table's topic that fit no row and were left out.",
        )?;
        let of = |(position, _): (usize, _)| {
            let name = [self.plan.operators[position].name.as_str()];
            let table = TableMetrics {
                rows: rows.with_label_values(&name),
                changes: changes.with_label_values(&name),
                bad: bad.with_label_values(&name),
            };
            (position, table)
        };
        Ok(self.plan.table_topics().map(of).collect())
    }

    fn errors(&self) -> Result<IntCounterVec, prometheus::Error> {
        let opts = self.opts(
            "stream_errors_total",
            "Records rejected by each operator (`source` while decoding), by reason.",
        );
        self.keep(IntCounterVec::new(opts, &["operator", "reason"])?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.keep(Gauge::with_opts(self.opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<GaugeVec, prometheus::Error> {
        self.keep(GaugeVec::new(self.opts(name, help), &[label])?)
    }

    fn partition_gauge(&self, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(self.opts(name, help), &["topic", "partition"])?)
    }

    fn partition_gauge_f64(&self, name: &str, help: &str) -> Result<GaugeVec, prometheus::Error> {
        self.keep(GaugeVec::new(self.opts(name, help), &["topic", "partition"])?)
    }

    fn histogram(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.keep(Histogram::with_opts(self.buckets(name, help))?)
    }

    fn histograms(&self, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
        self.keep(HistogramVec::new(self.buckets(name, help), &["operator"])?)
    }

    fn buckets(&self, name: &str, help: &str) -> HistogramOpts {
        let buckets = vec![
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ];
        HistogramOpts {
            common_opts: self.opts(name, help),
            buckets,
        }
    }
}
