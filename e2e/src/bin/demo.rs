//! `make demo`: a real Kubernetes and a Kafka broker, Millrace installed by its chart, an example applied, records coming
//! in, and its status watched live. Ctrl-C takes everything down again.
//!
//! With `KUBECONFIG` set, that cluster is used instead: `--operator-image` and `--runner-image` must name images that it can
//! pull. With `--bootstrap` that broker is used; pods must reach it.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use millrace_e2e::client::Client;
use millrace_e2e::cluster::{Cluster, Options};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::images;
use millrace_e2e::installation::{broker_beside, import_images, install};
use millrace_e2e::kubectl::Kubectl;
use millrace_e2e::manifest::Manifest;
use serde_json::json;

const NAMESPACE: &str = "millrace-demo";
const TOPIC: &str = "flights";
const NAMES: [(&str, &str); 2] = [
    ("delayed-flights", "01-filter-map/pipeline.yaml"),
    ("hourly-delays", "02-tumbling-window/aggregation.yaml"),
];
/// Records written at a time, and time between two.
const BATCH: usize = 200;
const BEAT: Duration = Duration::from_secs(1);
/// Batches between two looks at the status.
const LOOK: usize = 3;

/// What was asked for.
#[derive(Default)]
struct Wish {
    bootstrap: Option<String>,
    images: Vec<String>,
    /// Seconds after which it ends by itself. Default: at Ctrl-C.
    seconds: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let wish = wish()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&interrupted))?;
    let theirs = std::env::var_os("KUBECONFIG").map(PathBuf::from);
    let ours = theirs.is_none();
    let cluster = match &theirs {
        Some(kubeconfig) => Cluster::given(kubeconfig)?,
        None => {
            say("starting Kubernetes (the first time it is built, which takes about ten minutes)")?;
            let cluster = Cluster::start(&Options::default())?;
            import_images(&cluster)?;
            cluster
        }
    };
    let kubectl = cluster.kubectl();
    let (broker, bootstrap) = match &wish.bootstrap {
        Some(bootstrap) => (None, bootstrap.clone()),
        None if !ours => bail!("give --bootstrap HOST:PORT of a broker that pods of your cluster reach"),
        None => {
            say("starting a Kafka broker")?;
            let broker = broker_beside(&cluster)?;
            let bootstrap = broker.bootstrap().to_owned();
            (Some(broker), bootstrap)
        }
    };
    let shown = show(&kubectl, &bootstrap, &wish, ours, &interrupted);
    say("taking everything down")?;
    if !ours {
        kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])?;
        kubectl.helm(&[
            "uninstall",
            "millrace",
            "--namespace",
            "millrace-system",
            "--ignore-not-found",
        ])?;
    }
    drop(broker);
    cluster.stop()?;
    shown?;
    Ok(ExitCode::SUCCESS)
}

fn wish() -> Result<Wish> {
    let mut wish = Wish::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--bootstrap", Some(bootstrap)) => wish.bootstrap = Some(bootstrap),
            ("--operator-image", Some(image)) => wish.images.extend(images::value("operator", &image)),
            ("--runner-image", Some(image)) => wish.images.extend(images::value("runner", &image)),
            ("--seconds", Some(seconds)) => wish.seconds = Some(seconds.parse()?),
            _ => bail!(
                "usage: millrace-demo [--bootstrap HOST:PORT] [--operator-image IMAGE] [--runner-image IMAGE] [--seconds N]"
            ),
        }
    }
    Ok(wish)
}

/// Ctrl-C and SIGTERM end the demonstration, not this process: there is something to take down.
fn listen(interrupted: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
                return;
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            interrupted.store(true, Ordering::Release);
        });
    })?;
    Ok(())
}

fn show(kubectl: &Kubectl, bootstrap: &str, wish: &Wish, ours: bool, interrupted: &AtomicBool) -> Result<()> {
    say("$ helm install millrace charts/millrace --namespace millrace-system --create-namespace")?;
    let values = if ours {
        images::values().to_vec()
    } else {
        wish.images.clone()
    };
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    install(kubectl, "millrace-system", &values)?;

    let client = Client::new(bootstrap);
    if !client.has_topic(TOPIC)? {
        client.create_topic(TOPIC, 4)?;
    }
    kubectl.restricted_namespace(NAMESPACE)?;
    for (name, example) in NAMES {
        say(&format!(
            "$ kubectl apply --namespace {NAMESPACE} --filename examples/{example}"
        ))?;
        let manifest = Manifest::example(example)?.between(bootstrap, TOPIC, name);
        kubectl.apply(
            NAMESPACE,
            &manifest.with("spec.checkpoint.interval", json!("1s")).to_string(),
        )?;
    }
    say(&format!(
        "27,004 departures are being written, {BATCH} a second. Ctrl-C ends it. In another terminal:\n  \
         export KUBECONFIG={}\n  kubectl get millrace --namespace {NAMESPACE} --watch",
        kubectl.kubeconfig.display()
    ))?;
    write_and_watch(kubectl, &client, wish, interrupted)
}

fn write_and_watch(kubectl: &Kubectl, client: &Client, wish: &Wish, interrupted: &AtomicBool) -> Result<()> {
    let writer = client.writer()?;
    let lines = flights::january()?;
    let started = Instant::now();
    let over = || {
        let late = wish
            .seconds
            .is_some_and(|seconds| started.elapsed() > Duration::from_secs(seconds));
        late || interrupted.load(Ordering::Acquire)
    };
    for (count, batch) in lines.chunks(BATCH).cycle().enumerate() {
        if over() {
            break;
        }
        let messages = batch
            .iter()
            .map(|line| flights::message(line))
            .collect::<Result<Vec<_>>>()?;
        writer.write(TOPIC, messages)?;
        if count % LOOK == 0 {
            say(&format!("$ kubectl get millrace --namespace {NAMESPACE}"))?;
            write!(
                stdout(),
                "{}",
                kubectl.run(&["get", "millrace", "--namespace", NAMESPACE])?
            )?;
            stdout().flush()?;
        }
        let beat = Instant::now() + BEAT;
        eventually("the next second", BEAT * 4, || {
            Ok((over() || Instant::now() >= beat).then_some(()))
        })?;
    }
    say("results so far, as a reader of committed records sees them:")?;
    for (name, _) in NAMES {
        let found = client
            .read_committed(name)
            .map(|records| records.len())
            .unwrap_or_default();
        writeln!(stdout(), "  topic {name}: {found} records")?;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(stderr(), "\n{text}")?)
}
