//! Certificates and kubeconfigs of one cluster, made with the `openssl` program. Good for two days.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::network::Network;
use crate::certificates::{Authority, openssl};

/// Name of the cluster's node.
pub const NODE: &str = "node";

/// Makes all certificates in `state/pki` and all kubeconfigs in `state/conf`, and the administrator's in
/// `state/kubeconfig`.
pub(super) fn make(state: &Path, network: Network) -> Result<()> {
    let dir = state.join("pki");
    fs::create_dir_all(&dir)?;
    let cluster = Authority::new(&dir, "ca", "millrace test cluster")?;
    let (node, service) = (network.node(), network.api_service());
    cluster.server(
        "api-server",
        "kube-apiserver",
        &format!(
            "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
             DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{node},IP:{service}"
        ),
    )?;
    cluster.server("kubelet-server", NODE, &format!("DNS:{NODE},IP:{node}"))?;
    cluster.client("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")?;
    // Another authority than that of the users: who has a certificate of theirs could else claim to be anybody.
    let front = Authority::new(&dir, "front-proxy-ca", "millrace test cluster front proxy")?;
    front.client("front-proxy", "/CN=front-proxy-client")?;
    openssl(
        &dir,
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "service-accounts.key",
        ],
    )?;
    for (file, subject) in [
        ("controller-manager", "/CN=system:kube-controller-manager".to_owned()),
        ("scheduler", "/CN=system:kube-scheduler".to_owned()),
        ("proxy", "/CN=system:kube-proxy".to_owned()),
        ("dns", "/CN=system:dns".to_owned()),
        ("kubelet", format!("/O=system:nodes/CN=system:node:{NODE}")),
        ("admin", "/O=system:masters/CN=admin".to_owned()),
    ] {
        cluster.client(file, &subject)?;
        let path = match file {
            "admin" => state.join("kubeconfig"),
            other => state.join(format!("conf/{other}.kubeconfig")),
        };
        fs::write(path, kubeconfig(&dir, file, network)?)?;
    }
    Ok(())
}

/// YAML is a superset of JSON. Certificates stand in the file itself: it can be copied, and read inside and outside.
fn kubeconfig(dir: &Path, user: &str, network: Network) -> Result<String> {
    let data = |file: String| -> Result<String> {
        let encoded = dir.join(format!("{file}.base64"));
        openssl(dir, &["base64", "-A", "-in", &file, "-out", &encoded.to_string_lossy()])?;
        Ok(fs::read_to_string(encoded)?)
    };
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "millrace", "cluster": {
            "server": format!("https://{}:6443", network.node()),
            "certificate-authority-data": data("ca.pem".to_owned())?,
        }}],
        "users": [{ "name": user, "user": {
            "client-certificate-data": data(format!("{user}.pem"))?,
            "client-key-data": data(format!("{user}.key"))?,
        }}],
        "contexts": [{ "name": "millrace", "context": { "cluster": "millrace", "user": user } }],
        "current-context": "millrace",
    });
    Ok(serde_json::to_string_pretty(&value)?)
}
