//! Asks everybody, again and again.

use std::time::Duration;

use futures::StreamExt;
use millrace_service::Shutdown;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::cluster::{Clusters, Question};
use super::scrape::scrape;
use super::{Observations, RunnerAddress};

/// Pipelines whose runners are asked at the same time, and runners of each.
const AT_ONCE: usize = 8;
/// Between two rounds there is at least this much time, however many objects ask for one.
const PAUSE: Duration = Duration::from_millis(500);

/// A round every `every`, and one soon after there is somebody new to ask, until the process stops.
pub(super) async fn run(observations: Observations, every: Duration, shutdown: Shutdown) {
    let (answers, mut from_brokers) = mpsc::unbounded_channel();
    let mut clusters = Clusters::new(answers);
    let mut runners: Option<JoinHandle<()>> = None;
    let every = every.max(PAUSE);
    let mut next = Instant::now();
    let stop = shutdown.requested();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            answer = from_brokers.recv() => {
                answer.into_iter().for_each(|answer| observations.broker_said(answer));
                continue;
            }
            () = observations.ask_soon.notified() => {
                next = next.min(Instant::now() + PAUSE);
                continue;
            }
            () = sleep_until(next) => next = Instant::now() + every,
        }
        let subjects = questions(&observations);
        clusters.ask(subjects.iter().map(|(question, _)| question.clone()).collect());
        // Runners that do not answer can make a round last: the next one waits for it.
        if runners.as_ref().is_none_or(JoinHandle::is_finished) {
            runners = Some(tokio::spawn(ask_runners(observations.clone(), subjects)));
        }
    }
}

type Subjects = Vec<(Question, Vec<RunnerAddress>)>;

fn questions(observations: &Observations) -> Subjects {
    let shared = observations.shared();
    let each = shared.values().map(|watched| {
        let subject = &watched.known.subject;
        let question = Question {
            key: subject.key.clone(),
            uid: subject.uid.clone(),
            plan: subject.plan.clone(),
        };
        (question, subject.runners.clone())
    });
    each.collect()
}

/// Asks all runners; each pipeline's answers are noted together, as soon as all of its runners have answered or had their
/// time.
async fn ask_runners(observations: Observations, subjects: Subjects) {
    let observations = &observations;
    let pipeline = |(question, runners): (Question, Vec<RunnerAddress>)| async move {
        let answers = futures::stream::iter(runners).map(ask_runner).buffer_unordered(AT_ONCE);
        let answers: Vec<_> = answers.filter_map(std::future::ready).collect().await;
        observations.runners_said(&question.key, &question.uid, answers);
    };
    futures::stream::iter(subjects)
        .for_each_concurrent(AT_ONCE, pipeline)
        .await;
}

async fn ask_runner(runner: RunnerAddress) -> Option<(RunnerAddress, millrace_report::Report)> {
    match scrape(&runner.address).await {
        Ok(report) => Some((runner, report)),
        Err(error) => {
            tracing::debug!(pod = runner.pod, "failed to ask a runner: {error:#}");
            None
        }
    }
}
