//! The start of a cluster: settings, then one component after the other, each when it can do something.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::network::Network;
use super::{Cluster, Component, READY, ctr};
use crate::eventually::eventually;
use crate::images;

/// The settings of all components, with this cluster's addresses.
pub(super) fn write_settings(state: &Path, network: Network) -> Result<()> {
    let conf = state.join("conf");
    fs::create_dir_all(conf.join("cni"))?;
    for (file, template) in [
        (
            "audit-policy.yaml",
            include_str!("../../cluster/conf/audit-policy.yaml"),
        ),
        ("containerd.toml", include_str!("../../cluster/conf/containerd.toml")),
        ("kubelet.yaml", include_str!("../../cluster/conf/kubelet.yaml")),
        (
            "cni/10-millrace.conflist",
            include_str!("../../cluster/conf/network.conflist"),
        ),
        ("Corefile", include_str!("../../cluster/conf/Corefile")),
    ] {
        fs::write(conf.join(file), network.fill_in(template))?;
    }
    fs::write(conf.join("resolv.conf"), format!("nameserver {}\n", network.dns()))?;
    // For who finds the cluster by its state.
    Ok(fs::write(state.join("pids/slot"), network.slot().to_string())?)
}

/// Starts all components and waits until pods can run.
pub(super) fn bring_up(cluster: &Cluster) -> Result<()> {
    let own = cluster.own_one()?;
    for component in [Component::Etcd, Component::ApiServer, Component::Containerd] {
        own.components.start(component)?;
    }
    cluster.until_api_server_ready()?;
    for component in [Component::ControllerManager, Component::Scheduler] {
        own.components.start(component)?;
    }
    make_first_objects(cluster)?;
    own.components
        .until("containerd answers", READY, || ctr(&own.state, &["version"]).is_ok())?;
    // The kubelet comes after its image: it would wait before it tries again.
    cluster.import_image(&images::pause()?)?;
    for component in [Component::Kubelet, Component::Proxy, Component::Dns] {
        own.components.start(component)?;
    }
    let dns = SocketAddr::from((own.network.dns(), 53));
    own.components.until("Services and names are there", READY, || {
        TcpStream::connect_timeout(&dns, Duration::from_secs(1)).is_ok()
    })?;
    cluster.until_ready()
}

fn make_first_objects(cluster: &Cluster) -> Result<()> {
    let network = cluster.own_one()?.network;
    let objects = network.fill_in(include_str!("../../cluster/conf/setup.yaml"));
    let mut refusal = String::new();
    let made = eventually("the first objects are there", READY, || {
        let applied = cluster.kubectl.apply_all(&objects);
        Ok(applied.map_err(|why| refusal = format!("{why:#}")).ok())
    });
    made.map(drop).with_context(|| refusal)
}
