//! `spec.source`: where records come from.

use millrace_crds::{KafkaSourceSpec, SaslMechanism, SecretKeyRef, SecuritySpec, Start as RawStart, TlsSpec};

use super::declared::Declared;
use super::problems::Problems;
use super::reference::Upstream;
use super::scope::Unique;
use crate::{Connection, GroupId, Sasl, SecretKey, Security, Source, Start, StateId, Tls, TopicName};

pub(super) fn check(
    declared: &Declared,
    upstream: Option<&Upstream>,
    state_id: Option<&StateId>,
    problems: &mut Problems,
) -> Option<Source> {
    match (&declared.source.kafka, &declared.source.pipeline) {
        (Some(kafka), None) => from_kafka(kafka, state_id, problems),
        (None, Some(reference)) => {
            let upstream = upstream?;
            Some(Source {
                connection: upstream.connection.clone(),
                topics: vec![upstream.topic.clone()],
                start: start(reference.start),
                group: default_group(state_id?, problems)?,
            })
        }
        _ => {
            problems.add("spec.source", "set exactly one of kafka and pipeline");
            None
        }
    }
}

fn from_kafka(spec: &KafkaSourceSpec, state_id: Option<&StateId>, problems: &mut Problems) -> Option<Source> {
    let path = "spec.source.kafka";
    let bootstrap_servers = bootstrap_servers(&format!("{path}.bootstrapServers"), &spec.bootstrap_servers, problems);
    let topics = topics(&format!("{path}.topics"), &spec.topics, problems);
    let group = match &spec.group {
        Some(group) => problems.take(format!("{path}.group"), GroupId::parse(group)),
        None => state_id.and_then(|state_id| default_group(state_id, problems)),
    };
    let security = match &spec.security {
        Some(spec) => security(&format!("{path}.security"), spec, problems),
        None => Some(Security::default()),
    };
    Some(Source {
        connection: Connection {
            bootstrap_servers: bootstrap_servers?,
            security: security?,
        },
        topics: topics?,
        start: start(spec.start),
        group: group?,
    })
}

pub(super) fn start(raw: RawStart) -> Start {
    match raw {
        RawStart::Earliest => Start::Earliest,
        RawStart::Latest => Start::Latest,
    }
}

fn default_group(state_id: &StateId, problems: &mut Problems) -> Option<GroupId> {
    problems.take("spec.stateId", GroupId::parse(&format!("millrace-{state_id}")))
}

fn bootstrap_servers(path: &str, servers: &[String], problems: &mut Problems) -> Option<Vec<String>> {
    let before = problems.len();
    if servers.is_empty() {
        problems.add(path, "needs at least one broker");
    }
    for (index, server) in servers.iter().enumerate() {
        let valid = server.split_once(':').is_some_and(|(host, port)| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !host.is_empty() && host.chars().all(known) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !valid {
            problems.add(format!("{path}[{index}]"), format!("`{server}` is not `host:port`"));
        }
    }
    (problems.len() == before).then(|| servers.to_vec())
}

pub(super) fn topics(path: &str, names: &[String], problems: &mut Problems) -> Option<Vec<TopicName>> {
    let before = problems.len();
    if names.is_empty() {
        problems.add(path, "needs at least one topic");
    }
    let mut unique = Unique::default();
    let mut topics = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = format!("{path}[{index}]");
        unique.insert("topic", name, &path, problems);
        topics.extend(problems.take(path, TopicName::parse(name)));
    }
    (problems.len() == before).then_some(topics)
}

fn security(path: &str, spec: &SecuritySpec, problems: &mut Problems) -> Option<Security> {
    let before = problems.len();
    let tls = spec
        .tls
        .as_ref()
        .and_then(|spec| tls(&format!("{path}.tls"), spec, problems));
    let sasl = spec.sasl.as_ref().and_then(|spec| {
        let path = format!("{path}.sasl");
        let username = secret(&format!("{path}.username"), &spec.username, problems);
        let password = secret(&format!("{path}.password"), &spec.password, problems);
        let mechanism = match spec.mechanism {
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            SaslMechanism::Plain => "PLAIN",
        };
        Some(Sasl {
            mechanism,
            username: username?,
            password: password?,
        })
    });
    if spec.tls.is_none()
        && spec
            .sasl
            .as_ref()
            .is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain)
    {
        let text = "PLAIN sends the password itself and needs `tls`; add `tls: {}`, or use SCRAM-SHA-512";
        problems.add(format!("{path}.sasl.mechanism"), text);
    }
    (problems.len() == before).then_some(Security { tls, sasl })
}

fn tls(path: &str, spec: &TlsSpec, problems: &mut Problems) -> Option<Tls> {
    let ca = spec.ca.as_ref().map(|ca| secret(&format!("{path}.ca"), ca, problems));
    let certificate = spec
        .certificate
        .as_ref()
        .map(|it| secret(&format!("{path}.certificate"), it, problems));
    let key = spec.key.as_ref().map(|it| secret(&format!("{path}.key"), it, problems));
    let client = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate?, key?)),
        (Some(_), None) => {
            problems.add(
                format!("{path}.key"),
                "is missing: a client certificate needs its private key",
            );
            return None;
        }
        (None, Some(_)) => {
            problems.add(
                format!("{path}.certificate"),
                "is missing: a private key needs its certificate",
            );
            return None;
        }
    };
    Some(Tls {
        ca: ca.flatten(),
        client,
    })
}

/// Both parts become parts of a file path, which must stay in its directory.
fn secret(path: &str, spec: &SecretKeyRef, problems: &mut Problems) -> Option<SecretKey> {
    let before = problems.len();
    for (part, text) in [("name", &spec.name), ("key", &spec.key)] {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || text.len() > 253 || !text.chars().all(known) || text.contains("..") || text == "." {
            problems.add(
                format!("{path}.{part}"),
                format!("`{text}` is not the {part} of a Secret"),
            );
        }
    }
    (problems.len() == before).then(|| SecretKey {
        name: spec.name.clone(),
        key: spec.key.clone(),
    })
}
