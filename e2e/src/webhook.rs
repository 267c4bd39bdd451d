//! A mutating webhook that adds things to every Deployment, and contradicts one thing that ours says: as service meshes,
//! injectors and policies do. The API server calls it over TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::certificates;
use crate::served::Served;

/// Label that it adds, with the value `injected`.
pub const LABEL: &str = "example.com/team";
/// Key of the toleration that it adds to the pod template.
pub const TOLERATION: &str = "example.com/dedicated";
/// What it makes of `spec.revisionHistoryLimit`, whatever was asked for.
pub const HISTORY: u64 = 3;

/// The webhook's server; it ends with this.
pub struct Webhook {
    address: SocketAddr,
    ca: Vec<u8>,
    calls: Arc<AtomicUsize>,
    _served: Served,
}

impl Webhook {
    /// Listens on a free port of `host`, with certificates made in `folder`.
    pub fn start(host: &str, folder: &Path) -> Result<Self> {
        let certificates = certificates::make(folder, host)?;
        let both = fs::read(&certificates.server)?;
        let chain = CertificateDer::pem_slice_iter(&both).collect::<Result<Vec<_>, _>>()?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&both)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tcp = runtime.block_on(TcpListener::bind((host, 0)))?;
        let address = tcp.local_addr()?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let calls = Arc::<AtomicUsize>::default();
        let router = Router::new().route("/", post(review)).with_state(Arc::clone(&calls));
        Ok(Self {
            address,
            ca: fs::read(certificates.ca)?,
            calls,
            _served: Served::start("webhook", runtime, Tls { tcp, tls }, router)?,
        })
    }

    /// The MutatingWebhookConfiguration that has the API server call it for Deployments of `namespace`; its name is the
    /// namespace's.
    pub fn configuration(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": namespace},
            "webhooks": [{
                "name": "deployments.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "timeoutSeconds": 5,
                "clientConfig": {"url": format!("https://{}/", self.address), "caBundle": ByteString(self.ca.clone())},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["deployments"],
                }],
            }],
        })
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn review(State(calls): State<Arc<AtomicUsize>>, body: Bytes) -> Response {
    let Ok(review) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    calls.fetch_add(1, Ordering::Relaxed);
    let patch = json!([
        {"op": "add", "path": format!("/metadata/labels/{}", LABEL.replace('/', "~1")), "value": "injected"},
        {"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": TOLERATION, "operator": "Exists"}]},
        {"op": "add", "path": "/spec/revisionHistoryLimit", "value": HISTORY},
    ]);
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes()),
        },
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// TLS over TCP. One handshake at a time: the API server is the only client.
struct Tls {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.tcp).await;
            // Who fails comes again, or reports it.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
