//! `millrace logs`: the logs of all runners of a pipeline, each line with its pod's name.

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use futures::io::AsyncBufReadExt;
use futures::{TryStreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use kube::Client;
use kube::api::{Api, LogParams};
use tokio::sync::mpsc::{self, Sender};

use crate::cluster::{self, Access, Cluster, Doing, Named, explained};
use crate::say;

/// Name of a runner's container.
const CONTAINER: &str = "runner";
/// How often to look for pods that are new, and for a container that starts again.
const PERIOD: Duration = Duration::from_secs(1);
/// Lines that may wait to be written.
const WAITING: usize = 1024;

/// Prints the logs of all runners of a pipeline.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The pipeline, by name or as `streampipeline/NAME` or `windowaggregation/NAME`.
    #[arg(value_name = "NAME")]
    name: Named,
    /// Goes on with what comes, also of runners that start later, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only the last lines of each runner. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// Only what is younger than this, such as `30s` or `5m`.
    #[arg(long, value_name = "DURATION", value_parser = millrace_plan::parse_duration)]
    since: Option<Duration>,
    #[command(flatten)]
    access: Access,
}

/// Prints what there is, and with `--follow` what comes.
pub fn logs(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    cluster::block_on(async {
        let cluster = arguments.access.connect().await?;
        let found = cluster::find(&cluster, &arguments.name).await?;
        let selector = found.status().map(|status| status.selector).unwrap_or_default();
        anyhow::ensure!(
            !selector.is_empty(),
            "{} has no runners yet: the controller has not seen it. Is it running?",
            found.reference()
        );
        if arguments.follow {
            follow_all(&cluster, &selector, arguments).await?;
        } else {
            print_all(&cluster, &selector, arguments).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn parameters(arguments: &Arguments) -> LogParams {
    LogParams {
        container: Some(CONTAINER.to_owned()),
        tail_lines: arguments.tail,
        // Zero would mean everything.
        since_seconds: arguments.since.map(|since| since.as_secs().max(1).cast_signed()),
        ..LogParams::default()
    }
}

fn doing(namespace: &str) -> Doing<'_> {
    Doing {
        verb: "get",
        resource: "pods/log",
        namespace: Some(namespace),
    }
}

/// One runner after the other.
async fn print_all(cluster: &Cluster, selector: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let namespace = cluster.namespace.as_str();
    let pods = cluster::pods(&cluster.client, namespace, selector).await?;
    if pods.is_empty() {
        say(format_args!(
            "there are no runners: suspended, scaled to zero, or not started yet"
        ));
    }
    let api: Api<v1::Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let parameters = parameters(arguments);
    for pod in &pods {
        let name = pod.name();
        let lines = match api.log_stream(&name, &parameters).await {
            Ok(stream) => stream.lines(),
            Err(error) if is_about_the_pod(&error) => {
                say(format_args!("{name} has no log: {}", pod.phase()));
                continue;
            }
            Err(error) => return Err(explained(error, doing(namespace))),
        };
        pin_mut!(lines);
        while let Some(line) = lines.try_next().await? {
            writeln!(std::io::stdout().lock(), "[{name}] {line}")?;
        }
    }
    Ok(())
}

/// All runners at once, and those that come later.
async fn follow_all(cluster: &Cluster, selector: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let (lines, mut written) = mpsc::channel::<anyhow::Result<String>>(WAITING);
    let mut known: HashSet<String> = HashSet::new();
    let mut is_first_look = true;
    let mut looks = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            line = written.recv() => {
                if let Some(line) = line {
                    writeln!(std::io::stdout().lock(), "{}", line?)?;
                }
            }
            _ = looks.tick() => {
                let pods = cluster::pods(&cluster.client, &cluster.namespace, selector).await?;
                let names: HashSet<String> = pods.iter().map(cluster::Pod::name).collect();
                for name in names.difference(&known) {
                    let parameters = parameters(arguments);
                    // Of a runner that came while we listened everything is new.
                    let parameters = if is_first_look { parameters } else {
                        LogParams { tail_lines: None, since_seconds: None, ..parameters }
                    };
                    let (client, namespace) = (cluster.streams.clone(), cluster.namespace.clone());
                    tokio::spawn(follow(client, namespace, name.clone(), parameters, lines.clone()));
                }
                known = names;
                is_first_look = false;
            }
        }
    }
}

/// One pod, over all restarts of its container, until the pod is gone or nobody listens.
async fn follow(
    client: Client,
    namespace: String,
    pod: String,
    parameters: LogParams,
    lines: Sender<anyhow::Result<String>>,
) {
    let api: Api<v1::Pod> = Api::namespaced(client, &namespace);
    let mut parameters = LogParams {
        follow: true,
        // They say where to go on after a restart, and are taken off again.
        timestamps: true,
        ..parameters
    };
    let mut last: Option<Timestamp> = None;
    loop {
        match api.log_stream(&pod, &parameters).await {
            Ok(stream) => {
                let stream = stream.lines();
                pin_mut!(stream);
                while let Ok(Some(line)) = stream.try_next().await {
                    let (time, text) = stamped(&line);
                    if time.is_some() && time <= last {
                        continue;
                    }
                    last = time.or(last);
                    if lines.send(Ok(format!("[{pod}] {text}"))).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) if is_about_the_pod(&error) => {}
            Err(error) => {
                // Nobody listens only if the command is ending anyway.
                let _ = lines.send(Err(explained(error, doing(&namespace)))).await;
                return;
            }
        }
        if !matches!(api.get_opt(&pod).await, Ok(Some(_))) {
            return;
        }
        if last.is_some() {
            (parameters.since_time, parameters.since_seconds, parameters.tail_lines) = (last, None, None);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Whether a pod that is not ready to be asked, or is gone, is all that is wrong.
fn is_about_the_pod(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 400 || status.code == 404)
}

/// Takes the time off the front of a line.
fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    let parts = line.split_once(' ').unwrap_or((line, ""));
    match parts.0.parse() {
        Ok(time) => (Some(time), parts.1),
        Err(_) => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_off_lines() {
        let (time, text) = stamped("2026-01-02T03:04:05.678901234Z {\"level\":\"INFO\"}");
        assert_eq!(time.map(Timestamp::as_second), Some(1_767_323_045));
        assert_eq!(text, "{\"level\":\"INFO\"}");
        assert_eq!(stamped("no time here"), (None, "no time here"));
        assert_eq!(stamped("2026-01-02T03:04:05Z").1, "", "an empty line");
    }
}
