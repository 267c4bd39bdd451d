//! A real Kubernetes of one node: etcd, API server, controller manager, scheduler, kubelet with containerd, kube-proxy and
//! DNS, built from their sources and started as root in namespaces of their own (`e2e/cluster/guard.sh`), which take
//! everything with them when they end.

mod audit;
mod build;
mod components;
mod enclosure;
mod network;
mod pki;
mod start;

use std::env;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use audit::AuditEvent;
pub use build::programs;
pub use components::Component;

use self::components::Components;
use self::enclosure::{Enclosure, inside};
use self::network::Network;
use crate::kubectl::Kubectl;

/// What a cluster should be like.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folder for its state; its logs stay there. Default: a temporary one.
    pub state: Option<PathBuf>,
    /// Whether to start one even where [`STATE`] names another: for who breaks it.
    pub fresh: bool,
}

/// A running cluster. One that was started here ends with this value, however the program ends.
pub struct Cluster {
    kubectl: Kubectl,
    programs: PathBuf,
    host: IpAddr,
    /// What only a cluster of this harness has.
    own: Option<Own>,
}

/// A cluster that this harness has started, here or in another program.
struct Own {
    // The order matters: components are asked to end before the namespaces are taken from them.
    components: Components,
    state: PathBuf,
    network: Network,
    enclosure: Option<Enclosure>,
}

/// Names the state of a cluster that another program of this harness has started. Then that one is used.
pub const STATE: &str = "MILLRACE_CLUSTER_STATE";

/// Longest time until the node is ready.
const READY: Duration = Duration::from_secs(60);

impl Cluster {
    /// Starts a cluster and waits until its node is ready, or uses the one that [`STATE`] names. Builds Kubernetes first
    /// where that was not done yet.
    pub fn start(options: &Options) -> Result<Self> {
        if let Some(state) = env::var_os(STATE).filter(|_| !options.fresh) {
            return Self::started_elsewhere(state.into());
        }
        let programs = programs()?;
        let enclosure = Enclosure::new(options.state.as_deref(), &programs)?;
        let (state, network) = (enclosure.state.clone(), enclosure.network);
        pki::make(&state, network)?;
        start::write_settings(&state, network)?;
        let cluster = Self::own(state, network, programs, Some(enclosure));
        start::bring_up(&cluster)?;
        Ok(cluster)
    }

    /// Somebody's cluster: what `kubectl` and `helm` can do works, and images must be where its nodes find them.
    pub fn given(kubeconfig: &Path) -> Result<Self> {
        // With an empty folder the programs are looked for in PATH.
        let found = ["kubectl", "helm"].map(|program| Command::new(program).arg("version").output().is_ok());
        let programs = if found == [true, true] {
            PathBuf::new()
        } else {
            programs()?
        };
        let kubectl = Kubectl::new(&programs, kubeconfig);
        let server = kubectl.run(&[
            "config",
            "view",
            "--minify",
            "--output=jsonpath={.clusters[0].cluster.server}",
        ])?;
        Ok(Self {
            host: address_towards(&server)?,
            kubectl,
            programs,
            own: None,
        })
    }

    /// A cluster that another program of this harness has started, with this state.
    pub fn started_elsewhere(state: PathBuf) -> Result<Self> {
        let slot = fs::read_to_string(state.join("pids/slot"))
            .with_context(|| format!("{STATE}: no cluster runs with the state {}", state.display()))?;
        Ok(Self::own(state, Network::new(slot.trim().parse()?), programs()?, None))
    }

    fn own(state: PathBuf, network: Network, programs: PathBuf, enclosure: Option<Enclosure>) -> Self {
        Self {
            kubectl: Kubectl::new(&programs, &state.join("kubeconfig")),
            programs,
            host: network.host().into(),
            own: Some(Own {
                components: Components::new(&state, network),
                state,
                network,
                enclosure,
            }),
        }
    }

    /// Waits until the API server answers, the node is ready, and pods can be made.
    pub fn until_ready(&self) -> Result<()> {
        self.until_api_server_ready()?;
        let components = &self.own_one()?.components;
        let node = ["wait", "--for=condition=Ready", "node", "--all", "--timeout=1s"];
        components.until("the node is ready", READY, || self.kubectl.run(&node).is_ok())?;
        let account = ["get", "serviceaccount", "default", "--namespace", "default"];
        components.until("namespaces have their accounts", READY, || {
            self.kubectl.run(&account).is_ok()
        })
    }

    fn until_api_server_ready(&self) -> Result<()> {
        self.own_one()?.components.until("the API server is ready", READY, || {
            self.kubectl
                .run(&["get", "--raw", "/readyz", "--request-timeout=5s"])
                .is_ok()
        })
    }

    /// `kubectl` and `helm` for the cluster's administrator.
    pub fn kubectl(&self) -> Kubectl {
        self.kubectl.clone()
    }

    /// Folder of `kubectl`, `helm` and the cluster's other programs; empty where they are in `PATH`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Folder of its state: `logs`, `audit`, `kubeconfig`. None where somebody else has started it.
    pub fn state(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.state.as_path())
    }

    /// The host as pods see it, and as it sees itself: what listens there is reached by both.
    pub fn host_for_pods(&self) -> String {
        self.host.to_string()
    }

    /// Takes an image archive over to the node. A given cluster fetches images itself: there this does nothing.
    pub fn import_image(&self, archive: &Path) -> Result<()> {
        let Some(own) = &self.own else {
            return Ok(());
        };
        // A name of its own: two tests may bring the same image.
        let shared = tempfile::Builder::new()
            .suffix(".tar")
            .tempfile_in(own.state.join("images"))?;
        fs::copy(archive, shared.path()).with_context(|| archive.display().to_string())?;
        let name = shared.path().file_name().and_then(|name| name.to_str());
        let inner = format!("/run/millrace/images/{}", name.context("a name of UTF-8")?);
        ctr(&own.state, &["--namespace", "k8s.io", "images", "import", &inner])
    }

    /// A command that runs on the node: in its network, and with its processes and mounts.
    pub fn on_node(&self, program: &str) -> Result<Command> {
        inside(&self.own_one()?.state, program)
    }

    /// Sends a signal to a component: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, component: Component, signal: &str) -> Result<()> {
        self.own_one()?.components.signal(component, signal)
    }

    /// Kills a component with SIGKILL and waits until it is gone.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.own_one()?.components.kill(component)
    }

    /// Starts a component that was killed. [`Self::until_ready`] waits for what it does.
    pub fn restart(&self, component: Component) -> Result<()> {
        self.own_one()?.components.start(component)
    }

    /// Every write that the API server has answered so far, oldest first.
    pub fn audit(&self) -> Result<Vec<AuditEvent>> {
        let calls = self.calls()?;
        Ok(calls.into_iter().filter(AuditEvent::is_write).collect())
    }

    /// The same, and what an operator in the namespace `millrace-system` has read.
    pub fn calls(&self) -> Result<Vec<AuditEvent>> {
        audit::read(&self.own_one()?.state.join("audit/audit.log"))
    }

    /// Ends everything and waits until it is gone. A cluster that was started elsewhere stays.
    pub fn stop(mut self) -> Result<()> {
        match self.own.take() {
            Some(mut own) => own.end(),
            None => Ok(()),
        }
    }

    fn own_one(&self) -> Result<&Own> {
        self.own
            .as_ref()
            .context("this works only in a cluster that the tests have started themselves")
    }
}

impl Own {
    fn end(&mut self) -> Result<()> {
        self.components.end();
        self.enclosure.as_mut().map_or(Ok(()), Enclosure::end)
    }
}

/// The address by which this machine reaches a URL's host: there it is most likely reached itself.
fn address_towards(url: &str) -> Result<IpAddr> {
    let authority = url.split("://").last().unwrap_or(url).split('/').next().unwrap_or(url);
    let target = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:443")
    };
    // Nothing is sent: connecting only asks the routing table.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(&target).with_context(|| target.clone())?;
    Ok(socket.local_addr()?.ip())
}

/// Talks to the containerd of the cluster with this state.
fn ctr(state: &Path, arguments: &[&str]) -> Result<()> {
    let output = inside(state, "ctr")?.args(arguments).output()?;
    ensure!(
        output.status.success(),
        "ctr {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
