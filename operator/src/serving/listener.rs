//! TLS connections in, requests out, each with the certificate that its client showed. Bounded in connections and in
//! the time that a client may take; whom to believe is decided later.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use millrace_service::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

/// Connections at once: the API server opens a few.
const CONNECTIONS: usize = 256;
/// Longest handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time without a request: longer than the 90 s after which the API server closes a connection of its own
/// accord, because one that we close may just then carry a request.
const IDLE: Duration = Duration::from_secs(120);
/// Longest time for connections to end once shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(5);

/// The certificates that a client showed in its handshake, its own first; it has proven that it holds the key of that
/// one, and nothing else. Empty: none shown.
#[derive(Clone, Debug)]
pub(super) struct Shown(pub(super) Arc<[CertificateDer<'static>]>);

/// Settings for TLS with the certificate that `identity` shows.
pub(super) fn tls(identity: Arc<dyn ResolvesServerCert>) -> anyhow::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(AnyClient(provider)))
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would go on with what an earlier handshake had shown.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections until shutdown, then lets those that exist end.
pub(super) async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = shutdown.requested() => break,
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, _))) => {
                    tokio::spawn(connection(stream, place, tls.clone(), router.clone(), shutdown.clone()));
                }
                (_, Err(error)) => {
                    // No file descriptors left, most likely: trying again at once would only burn time.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                (Err(_), _) => break,
            }
        }
    }
    let all = places.acquire_many(CONNECTIONS as u32);
    let _ended_in_time = tokio::time::timeout(FAREWELL, all).await;
}

async fn connection(
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    tls: TlsAcceptor,
    router: Router,
    shutdown: Shutdown,
) {
    let stream = match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("handshake took too long"),
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let shown = Shown(
        certificates
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
    );
    let service = Requests {
        router: TowerToHyperService::new(router),
        shown,
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection failed");
    }
}

/// Puts what the client showed beside each of its requests.
struct Requests {
    router: TowerToHyperService<Router>,
    shown: Shown,
}

impl Service<hyper::Request<Incoming>> for Requests {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<hyper::Request<Incoming>>>::Future;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.shown.clone());
        self.router.call(request)
    }
}

/// Asks for a client certificate and takes any, or none, if the client holds its key. Whether it is one that counts is
/// decided with each request, because the authority may change while a connection lives, and because a client without a
/// good one is to read a 401 and not to see a broken handshake.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<tokio_rustls::rustls::client::danger::HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<tokio_rustls::rustls::client::danger::HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
