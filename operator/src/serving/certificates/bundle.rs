//! The certificate authorities that the API server trusts us by, as they stand in a `caBundle`. No clock, no client.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::rotation::BACKDATED;

/// Authorities in one bundle. A crash loop adds one with each start, and the object that holds the bundle is bounded.
const MOST: usize = 64;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One authority. Two are the same if their bytes are.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pem: String,
    der: Vec<u8>,
    until: SystemTime,
}

impl Authority {
    /// Reads one PEM block; None: not a certificate.
    pub(super) fn parse(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let until = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
        Some(Self {
            pem: format!("{}\n", pem.trim()),
            until: UNIX_EPOCH + Duration::from_secs(until),
            der: der.to_vec(),
        })
    }

    #[cfg(test)]
    pub(super) fn fake(number: u32, until: SystemTime) -> Self {
        Self {
            pem: number.to_string(),
            der: number.to_be_bytes().to_vec(),
            until,
        }
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

/// All authorities of one `caBundle`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bundle(Vec<Authority>);

impl Bundle {
    /// Reads a bundle; what is no certificate in it is left out.
    pub(super) fn parse(pem: &[u8]) -> Self {
        let text = String::from_utf8_lossy(pem);
        let blocks = text
            .split_inclusive(END)
            .filter_map(|piece| piece.find(BEGIN).map(|start| &piece[start..]));
        Self(blocks.filter_map(Authority::parse).collect())
    }

    /// Writes it as it stands in an object.
    pub(super) fn to_pem(&self) -> Vec<u8> {
        self.0.iter().flat_map(|authority| authority.pem.bytes()).collect()
    }

    pub(super) fn holds(&self, authority: &Authority) -> bool {
        self.0.contains(authority)
    }

    pub(super) fn holds_all<'a>(&self, mut authorities: impl Iterator<Item = &'a Authority>) -> bool {
        authorities.all(|authority| self.holds(authority))
    }

    /// The same with the needed authorities, without expired ones. Other replicas' authorities stay; where there are
    /// too many, those that expire first go, and a replica that misses its own adds it again.
    pub(super) fn with<'a>(&self, needed: impl Iterator<Item = &'a Authority> + Clone, now: SystemTime) -> Self {
        let is_needed = |authority: &Authority| needed.clone().any(|one| one == authority);
        let mut others: Vec<_> = self
            .0
            .iter()
            .filter(|authority| authority.until + BACKDATED > now && !is_needed(authority))
            .cloned()
            .collect();
        others.sort_by_key(|authority| std::cmp::Reverse(authority.until));
        let needed: Vec<_> = needed.clone().cloned().collect();
        others.truncate(MOST.saturating_sub(needed.len()));
        others.reverse();
        Self([others, needed].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::certificates::generation;
    use crate::serving::certificates::rotation::Validity;

    fn real(lifetime: u64) -> Authority {
        let validity = Validity::from(SystemTime::now(), Duration::from_secs(lifetime));
        generation::make(&["a.b.svc".to_owned()], validity).unwrap().authority
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bundle = Bundle(vec![real(60), real(3_600)]);
        assert_eq!(Bundle::parse(&bundle.to_pem()), bundle);
    }

    #[test]
    fn rubbish_around_certificates_does_not_hide_them() {
        let one = real(60);
        let text = format!("# note\n{BEGIN}\nAAAA\n{END}\nnonsense {}tail{BEGIN}", one.pem);
        assert_eq!(Bundle::parse(text.as_bytes()), Bundle(vec![one]));
        assert_eq!(Bundle::parse(b"\xff\xfe"), Bundle::default());
    }

    #[test]
    fn others_stay_until_they_have_expired_for_a_while() {
        let (ours, other) = (Authority::fake(1, at(100)), Authority::fake(2, at(50)));
        let bundle = Bundle(vec![other.clone()]);
        let valid = bundle.with([&ours].into_iter(), at(49));
        assert!(valid.holds(&ours) && valid.holds(&other));
        assert!(
            bundle.with([&ours].into_iter(), at(51)).holds(&other),
            "another node's clock may be behind"
        );
        assert!(!bundle.with([&ours].into_iter(), at(50) + BACKDATED).holds(&other));
    }

    #[test]
    fn a_full_bundle_keeps_what_is_needed_and_what_expires_last() {
        let many = Bundle(
            (0..100)
                .map(|number| Authority::fake(number, at(number.into())))
                .collect(),
        );
        let first = Authority::fake(0, at(0));
        let kept = many.with([&first].into_iter(), at(0));
        assert_eq!(kept.0.len(), MOST);
        assert!(kept.holds(&first) && kept.holds(&many.0[99]) && !kept.holds(&many.0[1]));
    }
}
