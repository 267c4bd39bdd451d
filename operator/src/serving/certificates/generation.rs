//! Makes a certificate and the authority that vouches for it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use uuid::Uuid;

use super::bundle::Authority;
use super::rotation::{BACKDATED, Generation, Validity};

/// Makes a server certificate for the names, and an authority that has signed nothing else and never will: its key ends
/// with this call.
pub(super) fn make(names: &[String], validity: Validity) -> anyhow::Result<Generation<Arc<CertifiedKey>>> {
    let authority_key = KeyPair::generate()?;
    // Verifiers look authorities up by name, so each has its own.
    let mut authority = params(
        Vec::new(),
        &format!("millrace-operator authority {}", Uuid::new_v4()),
        validity,
    )?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut server = params(names.to_vec(), "millrace-operator", validity)?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;

    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let authority = Authority::parse(&authority_certificate.pem())
        .ok_or_else(|| anyhow::anyhow!("the new authority cannot be read back"))?;
    let key = Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        any_supported_type(&private)?,
    ));
    Ok(Generation {
        authority,
        validity,
        key,
    })
}

fn params(names: Vec<String>, common_name: &str, validity: Validity) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = (validity.made - BACKDATED).into();
    params.not_after = validity.until.into();
    Ok(params)
}
