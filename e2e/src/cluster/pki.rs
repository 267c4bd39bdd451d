//! Certificates and kubeconfigs of one cluster, made with the `openssl` program. Good for two days.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::network::Network;
use crate::certificates::openssl;

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

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

/// A key that vouches for others.
struct Authority {
    dir: PathBuf,
    name: &'static str,
}

impl Authority {
    fn new(dir: &Path, name: &'static str, title: &str) -> Result<Self> {
        let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={title}"));
        let arguments = [
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        openssl(dir, &[&arguments[..], &NEW_KEY].concat())?;
        Ok(Self {
            dir: dir.to_owned(),
            name,
        })
    }

    fn server(&self, file: &str, name: &str, alternatives: &str) -> Result<()> {
        let extensions = format!("extendedKeyUsage=serverAuth\nsubjectAltName={alternatives}\n");
        self.sign(file, &format!("/CN={name}"), &extensions)
    }

    fn client(&self, file: &str, subject: &str) -> Result<()> {
        self.sign(file, subject, "extendedKeyUsage=clientAuth\n")
    }

    fn sign(&self, file: &str, subject: &str, extensions: &str) -> Result<()> {
        let dir = &self.dir;
        let [key, request, certificate, extension_file] =
            ["key", "csr", "pem", "extensions"].map(|kind| format!("{file}.{kind}"));
        let arguments = ["req", "-subj", subject, "-keyout", &key, "-out", &request];
        openssl(dir, &[&arguments[..], &NEW_KEY].concat())?;
        fs::write(dir.join(&extension_file), extensions)?;
        let (ca, ca_key) = (format!("{}.pem", self.name), format!("{}.key", self.name));
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-extfile",
                &extension_file,
                "-out",
                &certificate,
            ],
        )
    }
}
