//! The certificate in use: written by the rotation, read by every handshake.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// What new connections are shown. Without a certificate handshakes fail.
#[derive(Debug, Default)]
pub(in crate::serving) struct Identity(RwLock<Option<Arc<CertifiedKey>>>);

impl Identity {
    /// Shows this one from now on. Connections that exist go on.
    pub(super) fn serve(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
