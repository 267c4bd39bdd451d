use axum::http::HeaderValue;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::*;

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn ca(name: &str) -> Ca {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Ca {
        issuer: Issuer::new(params, key),
        pem,
    }
}

fn client(ca: &Ca, name: &str, usage: ExtendedKeyUsagePurpose) -> Shown {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    Shown([params.signed_by(&key, &ca.issuer).unwrap().der().clone()].into())
}

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn trust(ca: &Ca, names: &str) -> Trust {
    Trust::parse(&data(&[
        ("requestheader-client-ca-file", &ca.pem),
        ("requestheader-allowed-names", names),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ]))
    .unwrap()
}

#[test]
fn only_the_certificate_of_the_right_authority_name_and_use_counts() {
    let (front, other) = (ca("front"), ca("front"));
    let use_as_client = ExtendedKeyUsagePurpose::ClientAuth;
    let now = UnixTime::now();
    let strict = trust(&front, r#"["front-proxy-client"]"#);
    let good = client(&front, "front-proxy-client", use_as_client.clone());
    assert_eq!(strict.verify(&good, now), Ok(()));
    let any = trust(&front, "[]");
    assert_eq!(
        any.verify(&client(&front, "whoever", use_as_client.clone()), now),
        Ok(())
    );
    for (shown, reason) in [
        (Shown([].into()), "no client certificate"),
        (client(&front, "admin", use_as_client.clone()), "`admin` is not one of"),
        (client(&other, "front-proxy-client", use_as_client), "certificate"),
        (
            client(&front, "front-proxy-client", ExtendedKeyUsagePurpose::ServerAuth),
            "certificate",
        ),
    ] {
        let refused = strict.verify(&shown, now).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn headers_name_the_user() {
    let trust = trust(&ca("front"), "[]");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-remote-user", ""),
        ("x-remote-user", "ann"),
        ("x-remote-group", "a"),
        ("x-remote-group", "b"),
        ("x-remote-extra-acme.com%2Fproject", "p+1"),
        ("x-remote-extra-scopes", "s1"),
        ("x-remote-extra-scopes", "s2"),
        ("x-other", "no"),
    ] {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static(value),
        );
    }
    let user = trust.user(&headers).unwrap();
    assert_eq!(
        (user.name.as_str(), user.groups),
        ("ann", vec!["a".to_owned(), "b".to_owned()])
    );
    let expected = [("acme.com/project", vec!["p+1"]), ("scopes", vec!["s1", "s2"])];
    let extra: Vec<_> = user
        .extra
        .iter()
        .map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    assert_eq!(extra, expected);
    assert!(trust.user(&HeaderMap::new()).is_err());
}

#[test]
fn a_config_map_that_is_no_use_says_what_is_wrong() {
    let refused = |pairs: &[(&str, &str)]| Trust::parse(&data(pairs)).unwrap_err().to_string();
    assert!(refused(&[]).contains("requestheader-client-ca-file is missing"));
    let pem = ca("front").pem;
    let broken = [
        ("requestheader-client-ca-file", pem.as_str()),
        ("requestheader-allowed-names", "front"),
    ];
    assert_eq!(refused(&broken), "requestheader-allowed-names is not a list of strings");
    assert!(refused(&[("requestheader-client-ca-file", "")]).contains("requestheader-client-ca-file:"));
}
