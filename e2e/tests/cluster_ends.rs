//! However a test cluster ends, nothing of it stays on the machine; and what cannot be tidied up is in nobody's way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_e2e::cluster::{Cluster, Options};
use millrace_e2e::eventually::eventually;
use millrace_e2e::kubectl::Kubectl;
use millrace_e2e::process::send;
use millrace_e2e::programs::program;

/// A cluster for a test that breaks it. One after the other: a start keeps two cores busy.
fn fresh() -> (Cluster, MutexGuard<'static, ()>) {
    let turn = turn();
    let options = Options {
        fresh: true,
        ..Options::default()
    };
    (Cluster::start(&options).unwrap(), turn)
}

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn program_ends_as_its_command_does() {
    let _turn = turn();
    let script = "kubectl get nodes --no-headers && helm list && exit 7";
    let output = Command::new(program("millrace-cluster").unwrap())
        .args(["--", "sh", "-c", script])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(7), "{err}");
    assert!(out.contains("Ready") && out.contains("NAMESPACE"), "{out}");
}

/// Everything by which a cluster could be noticed on this machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    processes: Vec<String>,
    interfaces: Vec<String>,
    cgroups: Vec<PathBuf>,
    mounts: Vec<String>,
    folders: Vec<PathBuf>,
}

/// Processes of the node and their guards have the state in their environment; those of pods are in its cgroup.
fn processes_of(state: &Path) -> Vec<(i32, String)> {
    let mark = format!("MILLRACE_CLUSTER_STATE={}\0", state.display());
    let pods = format!("/{}/kubepods/", state.file_name().unwrap().to_str().unwrap());
    let mut found = Vec::new();
    for process in listed("/proc") {
        let Some(pid) = process.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // Any of them may end meanwhile.
        let read = |file| fs::read(process.join(file)).unwrap_or_default();
        let [environment, cgroups, line] =
            ["environ", "cgroup", "cmdline"].map(|file| String::from_utf8_lossy(&read(file)).into_owned());
        if environment.contains(&mark) || cgroups.contains(&pods) {
            found.push((pid, line));
        }
    }
    found
}

fn listed(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn traces(state: &Path) -> Traces {
    let name = state.file_name().unwrap().to_str().unwrap();
    Traces {
        processes: processes_of(state).into_iter().map(|(_, line)| line).collect(),
        interfaces: listed("/sys/class/net")
            .iter()
            .filter(|path| path.ends_with(name))
            .map(|path| path.display().to_string())
            .collect(),
        cgroups: listed("/sys/fs/cgroup")
            .into_iter()
            .chain([PathBuf::from("/sys/fs/cgroup")])
            .map(|hierarchy| hierarchy.join(name))
            .filter(|path| path.exists())
            .collect(),
        mounts: fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(name))
            .map(str::to_owned)
            .collect(),
        folders: [state.to_owned()].into_iter().filter(|path| path.exists()).collect(),
    }
}

fn rules() -> String {
    let listed = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

/// The cluster shows everywhere but in the host's mounts and rules: so the listing does find what is there.
fn assert_is_noticed(traces: &Traces, processes: usize) {
    assert!(traces.processes.len() >= processes, "{:#?}", traces.processes);
    assert!(
        traces.processes.iter().any(|line| line.starts_with("/pause")),
        "a pod runs"
    );
    assert_eq!(traces.interfaces.len(), 1);
    assert!(!traces.cgroups.is_empty());
    assert_eq!(traces.folders.len(), 1);
    assert!(traces.mounts.is_empty(), "{:?}", traces.mounts);
}

fn run_a_pod(kubectl: &Kubectl) {
    kubectl
        .run(&["create", "deployment", "idle", "--image=millrace.test/pause:1"])
        .unwrap();
    kubectl
        .run(&["rollout", "status", "deployment/idle", "--timeout=90s"])
        .unwrap();
}

#[test]
fn stopped_cluster_leaves_nothing_behind() {
    let rules_before = rules();
    let (cluster, _turn) = fresh();
    run_a_pod(&cluster.kubectl());
    let state = cluster.state().unwrap().to_owned();
    assert_is_noticed(&traces(&state), 12);
    cluster.stop().unwrap();
    assert_nothing_is_left(&state);
    assert_eq!(rules(), rules_before);
}

/// `millrace-cluster` as a process, and the state of its cluster.
struct Program {
    child: Child,
    state: PathBuf,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(program("millrace-cluster").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let state = lines.map_while(Result::ok).find_map(|line| {
            Some(
                line.strip_prefix("export MILLRACE_CLUSTER_STATE='")?
                    .trim_end_matches('\'')
                    .into(),
            )
        });
        Self {
            child,
            state: state.unwrap(),
        }
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(
            &millrace_e2e::cluster::programs().unwrap(),
            &self.state.join("kubeconfig"),
        )
    }

    fn signal(&self, signal: &str) {
        send(signal, self.child.id()).unwrap();
    }
}

/// Waits until the place is free, and holds it while looking, so that nobody starts a cluster there meanwhile.
fn assert_nothing_is_left(state: &Path) {
    let _held = place(state);
    assert_eq!(traces(state), Traces::default());
}

fn place(state: &Path) -> File {
    let lock = File::create(Path::new("/var/lock").join(state.file_name().unwrap())).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn signals_end_the_program_with_all_that_it_started() {
    let _turn = turn();
    for signal in ["INT", "TERM", "KILL"] {
        let mut program = Program::start();
        run_a_pod(&program.kubectl());
        assert_is_noticed(&traces(&program.state), 12);
        program.signal(signal);
        let status = program.child.wait().unwrap();
        assert_eq!(status.success(), signal != "KILL", "{signal:?}: {status}");
        assert_nothing_is_left(&program.state);
    }
}

#[test]
fn cluster_starts_after_everything_of_the_last_one_was_killed() {
    let _turn = turn();
    let state = killed_cluster();
    // Whoever takes that place next finds it usable, and leaves it clean.
    let second = start_in_place_of(&state);
    run_a_pod(&second.kubectl());
    second.stop().unwrap();
    assert_nothing_is_left(&state);
}

/// State of a cluster of which every process was killed, so that nobody could tidy up.
fn killed_cluster() -> PathBuf {
    for _ in 0..5 {
        let mut program = Program::start();
        run_a_pod(&program.kubectl());
        let state = program.state.clone();
        // The program first: its guards would begin to tidy up.
        let mut everything = processes_of(&state);
        everything.sort_by_key(|(_, line)| !line.contains("guard.sh"));
        assert!(everything.len() >= 12, "{everything:?}");
        for (pid, _) in everything {
            // Many end with the first process of their namespace already.
            let _ = send("KILL", u32::try_from(pid).unwrap());
        }
        program.signal("KILL");
        program.child.wait().unwrap();
        let _held = place(&state);
        eventually("the killed are gone", Duration::from_secs(30), || {
            Ok(processes_of(&state).is_empty().then_some(()))
        })
        .unwrap();
        let left = traces(&state);
        // Else somebody else has started a cluster there meanwhile and has tidied up.
        if !left.folders.is_empty() && !left.cgroups.is_empty() {
            return state;
        }
    }
    panic!("what a killed cluster leaves was never seen");
}

/// Starts clusters until one has the place of the one that was killed.
fn start_in_place_of(state: &Path) -> Cluster {
    let options = Options {
        fresh: true,
        ..Options::default()
    };
    let mut others = Vec::new();
    loop {
        let cluster = Cluster::start(&options).unwrap();
        if cluster.state() == Some(state) {
            return cluster;
        }
        others.push(cluster);
    }
}
