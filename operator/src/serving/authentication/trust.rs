//! Whose word counts: what the ConfigMap `kube-system/extension-apiserver-authentication` says, checked. No client.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};
use thiserror::Error;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;
use crate::serving::listener::Shown;

/// What is wrong with the ConfigMap.
#[derive(Debug, Error, PartialEq)]
pub(super) enum Error {
    #[error("{0} is missing: the API server runs without aggregation")]
    Missing(&'static str),
    #[error("{0} is not a list of strings")]
    List(&'static str),
    #[error("requestheader-client-ca-file: {0}")]
    Authorities(String),
}

/// Whose client certificate counts, and which headers name the user.
#[derive(Debug)]
pub(in crate::serving) struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Common names of the API server's certificate; empty: any.
    allowed_names: Vec<String>,
    user_headers: Vec<String>,
    uid_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

impl Trust {
    /// Reads the ConfigMap's data.
    pub(super) fn parse(data: &BTreeMap<String, String>) -> Result<Self, Error> {
        const AUTHORITIES: &str = "requestheader-client-ca-file";
        let authorities = data.get(AUTHORITIES).ok_or(Error::Missing(AUTHORITIES))?;
        Ok(Self {
            verifier: verifier(authorities).map_err(Error::Authorities)?,
            allowed_names: list(data, "requestheader-allowed-names")?,
            user_headers: list(data, "requestheader-username-headers")?,
            uid_headers: list(data, "requestheader-uid-headers")?,
            group_headers: list(data, "requestheader-group-headers")?,
            extra_prefixes: list(data, "requestheader-extra-headers-prefix")?,
        })
    }

    /// Whether the client is the API server.
    pub(super) fn verify(&self, shown: &Shown, now: UnixTime) -> Result<(), String> {
        let (own, intermediates) = shown.0.split_first().ok_or("no client certificate")?;
        self.verifier
            .verify_client_cert(own, intermediates, now)
            .map_err(|error| error.to_string())?;
        let (_, certificate) = X509Certificate::from_der(own).map_err(|error| error.to_string())?;
        let name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok());
        let name = name.unwrap_or_default();
        match self.allowed_names.is_empty() || self.allowed_names.iter().any(|allowed| allowed == name) {
            true => Ok(()),
            false => Err(format!(
                "the client certificate's name `{name}` is not one of {:?}",
                self.allowed_names
            )),
        }
    }

    /// The user that the headers name.
    pub(super) fn user(&self, headers: &HeaderMap) -> Result<User, String> {
        let first = |names: &[String]| {
            let values = names.iter().flat_map(|name| headers.get_all(name.as_str()));
            values
                .filter_map(|value| value.to_str().ok())
                .find(|value| !value.is_empty())
                .map(str::to_owned)
        };
        let groups = self
            .group_headers
            .iter()
            .flat_map(|name| headers.get_all(name.as_str()));
        Ok(User {
            name: first(&self.user_headers).ok_or("no user is named")?,
            uid: first(&self.uid_headers),
            groups: groups
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect(),
            extra: self.extra(headers),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in headers {
            let (Some(key), Ok(value)) = (self.extra_key(name), value.to_str()) else {
                continue;
            };
            extra.entry(key).or_default().push(value.to_owned());
        }
        extra
    }

    fn extra_key(&self, name: &HeaderName) -> Option<String> {
        // Header names are in lower case already.
        let key = |prefix: &String| name.as_str().strip_prefix(&prefix.to_ascii_lowercase()).map(unescaped);
        self.extra_prefixes.iter().find_map(key)
    }
}

fn verifier(pem: &str) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| error.to_string())
}

/// A list written as JSON; one that is missing is empty.
fn list(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<String>, Error> {
    match data.get(key) {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|_| Error::List(key)),
    }
}

/// Keys of extra values may hold what a header name cannot: the API server escapes it as in an address.
fn unescaped(key: &str) -> String {
    let pair = format!("k={}", key.replace('+', "%2B"));
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
