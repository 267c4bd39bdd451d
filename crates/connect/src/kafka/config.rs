//! Client settings: what the plan says of a connection, what its secrets hold, and what exactly once demands.
//!
//! Secrets are read from files each time a client is made, so a rotated one is used by the next; they appear in no
//! argument, no log and no `Debug` output.

use crate::Error;
use millrace_plan::{Connection, GroupId, SecretKey, Security};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::path::PathBuf;
use std::time::Duration;

/// What a process decides about its clients, besides the plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where secrets are mounted: `<dir>/<name>/<key>`.
    pub secrets_dir: PathBuf,
    /// What brokers call this client in their logs and quotas.
    pub client_id: String,
    /// How long the group waits for a silent member before its partitions go to others.
    pub session_timeout: Duration,
    /// How long the group waits for a member that lives but does not poll: it must be able to load its state meanwhile.
    /// Not below the session time-out.
    pub max_poll_interval: Duration,
    /// How long a silent producer's transaction blocks readers, and how long one commit may take.
    pub transaction_timeout: Duration,
    /// Records fetched ahead, in bytes, for all partitions together.
    pub prefetch_bytes: u64,
    /// Records sent and not yet acknowledged, in bytes.
    pub send_buffer_bytes: u64,
    /// How long a question to the cluster may take.
    pub request_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secrets_dir: PathBuf::from("/etc/millrace/secrets"),
            client_id: "millrace".to_owned(),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(300),
            transaction_timeout: Duration::from_secs(15),
            prefetch_bytes: 16 << 20,
            send_buffer_bytes: 32 << 20,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Largest record that a producer takes, key, value and headers together; a little below what brokers take by default.
pub(super) const MAX_RECORD_BYTES: usize = 1_000_000;

/// Settings of every client.
pub(super) fn common(connection: &Connection, settings: &Settings) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", connection.bootstrap_servers.join(","))
        .set("client.id", &settings.client_id)
        .set("socket.keepalive.enable", "true")
        // An idle connection that the broker closes is nothing to report.
        .set("log.connection.close", "false")
        .set("enable.metrics.push", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    secure(&mut config, &connection.security, settings)?;
    Ok(config)
}

/// Settings of a client that only asks questions.
pub(super) fn reader(connection: &Connection, settings: &Settings) -> Result<ClientConfig, Error> {
    let mut config = common(connection, settings)?;
    // Asking for a topic must not bring it into being.
    config
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_committed");
    Ok(config)
}

/// Settings of a client that looks at a cluster from outside, for as long as the process lives: quick to see that brokers
/// are back, and content with the first record of what it reads.
pub(super) fn inspector(connection: &Connection, settings: &Settings) -> Result<ClientConfig, Error> {
    let mut config = reader(connection, settings)?;
    config
        // A group that it never joins: librdkafka 2.12 looks for the coordinator of its own group when that of the group that
        // it asks about moves, and a client without one reads from address 0.
        .set("group.id", "millrace-inspector")
        .set("reconnect.backoff.max.ms", "2000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        // Says that there is no record, instead of letting us wait for one.
        .set("enable.partition.eof", "true")
        // At least as much as partitions are read at once: each counts as a message in one fetch request.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "64")
        .set("fetch.queue.backoff.ms", "5")
        .set("max.partition.fetch.bytes", "16384")
        .set("fetch.wait.max.ms", "50");
    Ok(config)
}

/// Settings of a client that reads so many partitions of whole topics without a group.
pub(super) fn follower(connection: &Connection, settings: &Settings, partitions: usize) -> Result<ClientConfig, Error> {
    let mut config = reader(connection, settings)?;
    // Each partition has a queue, and the limit counts for each queue.
    let prefetch_kb = (settings.prefetch_bytes >> 10) / (partitions as u64).max(1);
    let prefetch_kb = prefetch_kb.max(256);
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        // Says where the end is when the last that stands there is a control marker.
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", prefetch_kb.to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100");
    Ok(config)
}

/// Settings of a member of `group`.
pub(super) fn consumer(connection: &Connection, settings: &Settings, group: &GroupId) -> Result<ClientConfig, Error> {
    let mut config = reader(connection, settings)?;
    let session = settings.session_timeout;
    let prefetch_kb = (settings.prefetch_bytes >> 10).max(1 << 10);
    config
        .set("group.id", group.as_str())
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.as_millis().to_string())
        .set(
            "heartbeat.interval.ms",
            (session / 3).min(Duration::from_secs(1)).as_millis().to_string(),
        )
        .set(
            "max.poll.interval.ms",
            session.max(settings.max_poll_interval).as_millis().to_string(),
        )
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is gone is an error to be seen, never a reason to start somewhere else.
        .set("auto.offset.reset", "error")
        // librdkafka takes an end of partition for a record when it notes where to go on after a rebalance, and would
        // skip one. The position says the same.
        .set("enable.partition.eof", "false")
        .set("queued.min.messages", "50000")
        .set("queued.max.messages.kbytes", prefetch_kb.to_string())
        .set(
            "fetch.max.bytes",
            (prefetch_kb << 10).min(i32::MAX as u64 - 512).to_string(),
        )
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100")
        .set("statistics.interval.ms", "1000");
    Ok(config)
}

/// Settings of the producer called `transactional_id`.
pub(super) fn producer(
    connection: &Connection,
    settings: &Settings,
    transactional_id: &str,
    batch_bytes: usize,
) -> Result<ClientConfig, Error> {
    let mut config = common(connection, settings)?;
    let timeout = settings.transaction_timeout.as_millis().to_string();
    config
        .set("transactional.id", transactional_id)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("transaction.timeout.ms", &timeout)
        .set("message.timeout.ms", &timeout)
        .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
        .set("batch.size", batch_bytes.to_string())
        .set("linger.ms", "5")
        .set("compression.type", "none")
        .set(
            "queue.buffering.max.kbytes",
            (settings.send_buffer_bytes >> 10).max(2 << 10).to_string(),
        )
        .set("queue.buffering.max.messages", "200000");
    Ok(config)
}

fn secure(config: &mut ClientConfig, security: &Security, settings: &Settings) -> Result<(), Error> {
    let protocol = match (&security.tls, &security.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &security.tls {
        if let Some(ca) = &tls.ca {
            config.set("ssl.ca.pem", secret(settings, ca)?);
        }
        if let Some((certificate, key)) = &tls.client {
            config.set("ssl.certificate.pem", secret(settings, certificate)?);
            config.set("ssl.key.pem", secret(settings, key)?);
        }
    }
    if let Some(sasl) = &security.sasl {
        config.set("sasl.mechanism", sasl.mechanism);
        config.set(
            "sasl.username",
            secret(settings, &sasl.username)?.trim_end_matches(['\r', '\n']),
        );
        config.set(
            "sasl.password",
            secret(settings, &sasl.password)?.trim_end_matches(['\r', '\n']),
        );
    }
    Ok(())
}

fn secret(settings: &Settings, key: &SecretKey) -> Result<String, Error> {
    let path = settings.secrets_dir.join(&key.name).join(&key.key);
    std::fs::read_to_string(&path).map_err(|error| {
        let (name, key, path) = (&key.name, &key.key, path.display());
        Error::user(format!(
            "failed to read key {key} of secret {name} from {path}: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_plan::{Sasl, Tls};

    fn key(name: &str, key: &str) -> SecretKey {
        SecretKey {
            name: name.to_owned(),
            key: key.to_owned(),
        }
    }

    fn secured(directory: &std::path::Path) -> (Connection, Settings) {
        let security = Security {
            tls: Some(Tls {
                ca: Some(key("tls", "ca.crt")),
                client: None,
            }),
            sasl: Some(Sasl {
                mechanism: "SCRAM-SHA-512",
                username: key("login", "username"),
                password: key("login", "password"),
            }),
        };
        let connection = Connection {
            bootstrap_servers: vec!["a:9092".to_owned(), "b:9092".to_owned()],
            security,
        };
        (
            connection,
            Settings {
                secrets_dir: directory.to_owned(),
                ..Settings::default()
            },
        )
    }

    #[test]
    fn secrets_come_from_their_files() {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("tls/ca.crt", "PEM\n"),
            ("login/username", "me\n"),
            ("login/password", "let me in"),
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let (connection, settings) = secured(directory.path());
        let config = common(&connection, &settings).unwrap();
        let expected = [
            ("bootstrap.servers", "a:9092,b:9092"),
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.pem", "PEM\n"),
            ("sasl.username", "me"),
            ("sasl.password", "let me in"),
        ];
        for (name, value) in expected {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        assert!(!format!("{connection:?}{settings:?}").contains("let me in"));
    }

    #[test]
    fn missing_secret_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (connection, settings) = secured(directory.path());
        let error = common(&connection, &settings).unwrap_err();
        assert!(error.message.contains("key ca.crt of secret tls"), "{error}");
    }

    #[test]
    fn offsets_are_never_committed_nor_reset_behind_our_back() {
        let group = GroupId::parse("job").unwrap();
        let config = consumer(&Connection::default(), &Settings::default(), &group).unwrap();
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
    }
}
