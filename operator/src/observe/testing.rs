//! Subjects and answers for tests of those who read observations.

use std::sync::Arc;

use millrace_plan::Plan;

use super::cluster::{Answer, Question};
use super::known::Measurement;
use super::{Lag, Observations, RunnerAddress, SourceState, Subject};
use crate::key::ObjectKey;

/// Lines of a source whose brokers want credentials.
pub(crate) const CREDENTIALS: &str =
    ", security: {sasl: {mechanism: SCRAM-SHA-512, username: {name: s, key: u}, password: {name: s, key: p}}}";

/// A plan that reads `topics` of the brokers at `bootstrap`, with more lines of the source.
pub(crate) fn plan(name: &str, bootstrap: &str, topics: &str, more: &str) -> Arc<Plan> {
    let text = format!(
        "{{apiVersion: millrace.io/v1alpha1, kind: StreamPipeline, metadata: {{name: {name}, namespace: default, uid: {name}-uid}}, \
         spec: {{source: {{kafka: {{bootstrapServers: [\"{bootstrap}\"], topics: [{topics}]{more}}}}}, \
         schema: {{fields: [{{name: n, type: int64}}]}}, operators: [{{name: few, filter: {{where: n > 1}}}}], \
         sinks: [{{name: out, kafka: {{topic: {name}-out}}}}], deadLetter: {{kafka: {{topic: {name}-dead}}}}}}}}"
    );
    let manifests = millrace_plan::load(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::new(millrace_plan::validate(&manifests[0], &[]).unwrap_or_else(|problems| panic!("{problems:?}")))
}

pub(crate) fn subject(name: &str, plan: Arc<Plan>, runners: &[RunnerAddress]) -> Subject {
    let key = ObjectKey {
        kind: "StreamPipeline",
        namespace: "default".to_owned(),
        name: name.to_owned(),
    };
    Subject {
        key,
        uid: format!("{name}-uid"),
        plan,
        runners: runners.to_vec(),
    }
}

/// Watches a pipeline that has no runners.
pub(crate) fn watch(observations: &Observations, name: &str) -> ObjectKey {
    let subject = subject(name, plan(name, "broker:9092", "in", ""), &[]);
    let key = subject.key.clone();
    observations.watch(subject);
    key
}

/// The broker answers: lag in records and seconds, or nothing for unreachable.
pub(crate) fn broker_says(observations: &Observations, key: &ObjectKey, lag: Option<(i64, Option<i64>)>) {
    let source = match lag {
        Some(_) => SourceState::Reachable,
        None => SourceState::Unreachable("no broker answers".to_owned()),
    };
    let question = Question {
        key: key.clone(),
        uid: format!("{}-uid", key.name),
        plan: plan(&key.name, "broker:9092", "in", ""),
    };
    let measurement = Measurement {
        source,
        lag: lag.map(|(records, seconds)| Lag { records, seconds }),
        partitions: lag.map(|_| 6),
    };
    observations.broker_said(Answer { question, measurement });
}
