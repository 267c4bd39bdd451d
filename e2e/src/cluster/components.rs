//! The processes of a cluster: how each is started, and their logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::enclosure::inside;
use super::network::Network;
use super::pki::NODE;
use crate::eventually::eventually;
use crate::process::Process;

/// One process of the cluster, in the order of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Keeps the objects.
    Etcd,
    /// Answers for them.
    ApiServer,
    /// Runs containers.
    Containerd,
    /// Deployments, garbage collection, autoscaling, volumes.
    ControllerManager,
    /// Gives pods their node.
    Scheduler,
    /// Runs the node's pods.
    Kubelet,
    /// Addresses of Services.
    Proxy,
    /// Names of Services.
    Dns,
}

impl Component {
    fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Containerd => "containerd",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::Dns => "coredns",
        }
    }

    /// What the program is started by. The folders of provisioned volumes belong to who runs the controller manager, and
    /// nobody else may write there: so it runs as the user that the images have.
    fn launcher(self) -> &'static [&'static str] {
        match self {
            Self::ControllerManager => &[
                "setpriv",
                "--reuid=65532",
                "--regid=65532",
                "--clear-groups",
                "--inh-caps=+dac_override",
                "--ambient-caps=+dac_override",
            ],
            _ => &[],
        }
    }

    fn arguments(self, network: Network) -> Vec<String> {
        let node = network.node();
        let text = match self {
            Self::Etcd => "--data-dir=/var/lib/etcd --unsafe-no-fsync --log-level=warn \
                 --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
                 --listen-peer-urls=http://127.0.0.1:2380"
                .to_owned(),
            Self::ApiServer => format!(
                "--etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 \
                 --advertise-address={node} --allow-privileged=true --service-cluster-ip-range={services} --authorization-mode=Node,RBAC \
                 --client-ca-file={PKI}/ca.pem --tls-cert-file={PKI}/api-server.pem \
                 --tls-private-key-file={PKI}/api-server.key --kubelet-client-certificate={PKI}/kubelet-client.pem \
                 --kubelet-client-key={PKI}/kubelet-client.key --kubelet-certificate-authority={PKI}/ca.pem \
                 --kubelet-preferred-address-types=InternalIP \
                 --service-account-issuer=https://kubernetes.default.svc \
                 --service-account-key-file={PKI}/service-accounts.key \
                 --service-account-signing-key-file={PKI}/service-accounts.key \
                 --requestheader-client-ca-file={PKI}/front-proxy-ca.pem --requestheader-allowed-names=front-proxy-client \
                 --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
                 --requestheader-extra-headers-prefix=X-Remote-Extra- \
                 --proxy-client-cert-file={PKI}/front-proxy.pem --proxy-client-key-file={PKI}/front-proxy.key \
                 --enable-aggregator-routing=true --enable-admission-plugins=NodeRestriction \
                 --audit-policy-file={CONF}/audit-policy.yaml --audit-log-path=/run/millrace/audit/audit.log \
                 --audit-log-mode=blocking --audit-log-maxsize=10000 --shutdown-delay-duration=0s --v=1",
                services = network.services()
            ),
            Self::Containerd => format!("--config {CONF}/containerd.toml"),
            Self::ControllerManager => format!(
                "--kubeconfig={CONF}/controller-manager.kubeconfig \
                 --authentication-kubeconfig={CONF}/controller-manager.kubeconfig \
                 --authorization-kubeconfig={CONF}/controller-manager.kubeconfig --root-ca-file={PKI}/ca.pem \
                 --service-account-private-key-file={PKI}/service-accounts.key --use-service-account-credentials=true \
                 --enable-hostpath-provisioner=true --horizontal-pod-autoscaler-sync-period=5s --leader-elect=false \
                 --controllers=*,-nodeipam,-cloud-node-lifecycle-controller --v=1"
            ),
            Self::Scheduler => format!(
                "--kubeconfig={CONF}/scheduler.kubeconfig --authentication-kubeconfig={CONF}/scheduler.kubeconfig \
                 --authorization-kubeconfig={CONF}/scheduler.kubeconfig --leader-elect=false --v=1"
            ),
            Self::Kubelet => format!(
                "--config={CONF}/kubelet.yaml --kubeconfig={CONF}/kubelet.kubeconfig --hostname-override={NODE} \
                 --node-ip={node} --root-dir=/var/lib/kubelet --v=1"
            ),
            Self::Proxy => format!(
                "--kubeconfig={CONF}/proxy.kubeconfig --proxy-mode=nftables --hostname-override={NODE} \
                 --conntrack-max-per-core=0 --cluster-cidr={} --v=1",
                network.pods()
            ),
            Self::Dns => format!("-conf {CONF}/Corefile"),
        };
        text.split_whitespace().map(str::to_owned).collect()
    }
}

const PKI: &str = "/run/millrace/pki";
const CONF: &str = "/run/millrace/conf";

/// The running processes.
pub(super) struct Components {
    state: PathBuf,
    network: Network,
    /// Those that were started here: another program may have started the others.
    running: Mutex<BTreeMap<Component, Process>>,
}

impl Components {
    pub fn new(state: &Path, network: Network) -> Self {
        Self {
            state: state.to_owned(),
            network,
            running: Mutex::default(),
        }
    }

    /// Starts one; does not wait for anything.
    pub fn start(&self, component: Component) -> Result<()> {
        let program = component.program();
        let mut words = component.launcher().iter().copied().chain([program]);
        let mut command = inside(&self.state, words.next().context("there is at least the program")?)?;
        command.args(words).args(component.arguments(self.network));
        let process = Process::start(program, command, &self.log(component))?;
        self.running().insert(component, process);
        Ok(())
    }

    /// Waits for `probe`, as long as nothing has ended.
    pub fn until(&self, what: &str, within: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
        let waited = eventually(what, within, || {
            for process in self.running().values_mut() {
                ensure!(process.is_running()?, "{} has ended", process.name());
            }
            Ok(probe().then_some(()))
        });
        waited.with_context(|| self.log_tails())
    }

    /// Sends a signal to one, by its name inside of the namespaces: what was started here only leads there.
    pub fn signal(&self, component: Component, signal: &str) -> Result<()> {
        let found = self.matching("pkill", &[&format!("-{signal}")], component)?;
        ensure!(found, "no {} to send SIG{signal} to", component.program());
        Ok(())
    }

    /// Kills one with SIGKILL and waits until it is gone.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.signal(component, "KILL")?;
        eventually("the killed component is gone", Duration::from_secs(20), || {
            Ok((!self.matching("pgrep", &[], component)?).then_some(()))
        })?;
        self.running().remove(&component);
        Ok(())
    }

    /// The last lines of every log.
    pub fn log_tails(&self) -> String {
        let tail = |component: &Component| {
            let text = fs::read_to_string(self.log(*component)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(8)..].join("\n");
            format!("--- {}\n{tail}", component.program())
        };
        self.running().keys().map(tail).collect::<Vec<_>>().join("\n")
    }

    /// Forgets all; the namespaces take them along.
    pub fn end(&self) {
        self.running().clear();
    }

    /// Runs `pkill` or `pgrep` inside; true if it found the component.
    fn matching(&self, program: &str, options: &[&str], component: Component) -> Result<bool> {
        // The kernel keeps 15 characters of a name.
        let name: String = component.program().chars().take(15).collect();
        let status = inside(&self.state, program)?
            .args(options)
            .args(["-x", &name])
            .stdout(Stdio::null())
            .status()
            .context("cannot start nsenter")?;
        match status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => bail!("{program} in the cluster: {status} (Debian package `procps`)"),
        }
    }

    fn log(&self, component: Component) -> PathBuf {
        self.state.join("logs").join(format!("{}.log", component.program()))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Component, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
