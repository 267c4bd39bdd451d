//! The process as a pod runs it, where no broker is to be had.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_report::Report;

/// Nothing listens on this port.
const PLAN: &str = "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {name: away}
spec:
  source: {kafka: {bootstrapServers: ['127.0.0.1:1'], topics: [in]}}
  schema: {fields: [{name: k, type: string}]}
  sinks: [{name: out, kafka: {topic: out}}]
";

/// A process that does not outlive its test.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _reaped_before = self.0.wait();
    }
}

fn start(folder: &Path, plan: &str) -> Runner {
    std::fs::write(folder.join("plan.yaml"), plan).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_millrace-runner"))
        .args(["--admin", "127.0.0.1:0", "--runner-id", "runner-0", "--log", "text"])
        .arg("--plan")
        .arg(folder.join("plan.yaml"))
        .arg("--state-dir")
        .arg(folder)
        .arg("--termination-log")
        .arg(folder.join("last-words"))
        .env("RUST_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Runner(child)
}

/// The address in the log line that says where the admin server listens.
fn admin(log: &mut BufReader<ChildStderr>) -> String {
    let mut line = String::new();
    while log.read_line(&mut line).unwrap() > 0 {
        if let Some((_, address)) = line.split_once("admin listening on ") {
            let end = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':'));
            return address.split(end).next().unwrap_or_default().to_owned();
        }
        line.clear();
    }
    panic!("the runner ended before it listened")
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: runner\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sigterm_ends_a_runner_without_a_broker_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = start(folder.path(), PLAN);
    let mut log = BufReader::new(runner.0.stderr.take().unwrap());
    let address = admin(&mut log);

    let answer = get(&address, "/status");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("application/json"),
        "{answer}"
    );
    let report: Report = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (report.runner.as_str(), report.read, report.partitions.len()),
        ("runner-0", 0, 0)
    );
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 503"));
    assert!(get(&address, "/nothing").starts_with("HTTP/1.1 404"));

    let told = Instant::now();
    let pid = runner.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    let status = runner.0.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(told.elapsed() < Duration::from_secs(25), "{:?}", told.elapsed());
    assert!(!folder.path().join("last-words").exists(), "it ended as it was told");
}

#[test]
fn a_runner_that_a_person_must_help_leaves_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let broken = PLAN.replace("type: string", "type: text").replace("[in]", "[]");
    let mut runner = start(folder.path(), &broken);
    let mut log = String::new();
    runner.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(runner.0.wait().unwrap().code(), Some(1), "{log}");
    let words = std::fs::read_to_string(folder.path().join("last-words")).unwrap();
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(
        words.contains("spec.source.kafka.topics") && words.contains("spec.schema.fields[0].type"),
        "{words}"
    );
}
