//! A real Kafka broker (KRaft, one node) on free ports, with its data in a temporary folder. Stopped and removed on drop.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::certificates;
use crate::client::Client;
use crate::eventually::eventually;
use crate::jars::kafka_class_path;
use crate::process::Process;

/// What a broker should be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Java heap in MiB.
    pub heap: u32,
    /// Whether there is a second listener with TLS and SASL/SCRAM, where [`USER`] and [`PASSWORD`] are known.
    pub secure: bool,
    /// Address to listen on, and to tell clients.
    pub host: String,
    /// Port of the plain listener. Default: a free one.
    pub port: Option<u16>,
    /// Further lines for `server.properties`.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heap: 512,
            secure: false,
            host: "127.0.0.1".to_owned(),
            port: None,
            settings: Vec::new(),
        }
    }
}

/// User of the secure listener.
pub const USER: &str = "millrace";
/// Password of [`USER`]. A canary as well: it must never show up in a log.
pub const PASSWORD: &str = "canary-7f3a1c-password";

/// A running broker.
pub struct Broker {
    process: Process,
    plain: String,
    secure: Option<Secure>,
    // Last, so that the data goes after the process.
    _data: TempDir,
}

/// The listener with TLS and SASL/SCRAM-SHA-256.
pub struct Secure {
    /// `host:port`.
    pub bootstrap: String,
    /// PEM certificate of the authority that vouches for the broker.
    pub ca: PathBuf,
}

impl Broker {
    /// Starts a broker with one plain listener and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::default())
    }

    /// Starts a broker and waits until it answers.
    pub fn start_with(options: &Options) -> Result<Self> {
        // Between choosing free ports and binding them somebody else may take one.
        let mut failure = None;
        for _ in 0..3 {
            match Self::try_start(options) {
                Ok(broker) => return Ok(broker),
                Err(error) if format!("{error:?}").contains("Address already in use") => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.context("three tries, three times another program took the port")?)
    }

    fn try_start(options: &Options) -> Result<Self> {
        let class_path = kafka_class_path()?;
        let data = tempfile::Builder::new().prefix("millrace-broker-").tempdir()?;
        let [free, secure, controller] = free_ports()?;
        let plain = options.port.unwrap_or(free);
        let properties = data.path().join("server.properties");
        let mut text = settings(data.path(), &options.host, plain, controller);
        if options.secure {
            text = with_secure_listener(
                &text,
                &options.host,
                secure,
                &certificates::make(&data.path().join("tls"), &options.host)?.server,
            );
        }
        for (name, value) in &options.settings {
            text.push_str(&format!("{name}={value}\n"));
        }
        fs::write(&properties, text)?;
        format_storage(&class_path, &properties, options.secure)?;

        let mut java = Command::new("java");
        java.arg(format!("-Xmx{}m", options.heap))
            .args([
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            ])
            .args(["-cp", &class_path, "kafka.Kafka"])
            .arg(&properties);
        let process = Process::start_with_scratch("Kafka broker", java, &data.path().join("broker.log"), data.path())?;
        let secure = options.secure.then(|| Secure {
            bootstrap: format!("{}:{secure}", options.host),
            ca: data.path().join("tls/ca.pem"),
        });
        let mut broker = Self {
            process,
            plain: format!("{}:{plain}", options.host),
            secure,
            _data: data,
        };
        broker.wait_until_it_answers()?;
        Ok(broker)
    }

    /// `host:port` of the plain listener.
    pub fn bootstrap(&self) -> &str {
        &self.plain
    }

    /// The secure listener. Only with [`Options::secure`].
    pub fn secure(&self) -> Result<&Secure> {
        self.secure
            .as_ref()
            .context("this broker was started without a secure listener")
    }

    /// A client on the plain listener.
    pub fn client(&self) -> Client {
        Client::new(&self.plain)
    }

    /// The broker's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let client = self.client();
        eventually("the broker answers", Duration::from_secs(60), || {
            if !self.process.is_running()? {
                bail!("the broker has ended:\n{}", self.process.log_tail());
            }
            Ok(client.is_answered().then_some(()))
        })
    }
}

/// A plain broker that all tests of one program share. It ends with the program.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| Broker::start().expect("a broker starts"))
}

fn settings(data: &Path, host: &str, plain: u16, controller: u16) -> String {
    format!(
        "node.id=1\n\
         process.roles=broker,controller\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAIN\n\
         listeners=PLAIN://{host}:{plain},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAIN://{host}:{plain}\n\
         listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={log}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=16777216\n\
         # Test data is years old: by its timestamps it would be deleted at once.\n\
         log.retention.ms=-1\n",
        log = data.join("log").display(),
    )
}

fn with_secure_listener(text: &str, host: &str, port: u16, key_store: &Path) -> String {
    let text = text
        .replace(",CONTROLLER://", &format!(",SECURE://{host}:{port},CONTROLLER://"))
        .replace(
            "advertised.listeners=",
            &format!("advertised.listeners=SECURE://{host}:{port},"),
        )
        .replace("PLAIN:PLAINTEXT,", "PLAIN:PLAINTEXT,SECURE:SASL_SSL,");
    format!(
        "{text}\
         listener.name.secure.ssl.keystore.type=PEM\n\
         listener.name.secure.ssl.keystore.location={}\n\
         listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-256\n\
         listener.name.secure.scram-sha-256.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n",
        key_store.display(),
    )
}

fn format_storage(class_path: &str, properties: &Path, secure: bool) -> Result<()> {
    let mut java = Command::new("java");
    java.args([
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ])
    .args([
        "-cp",
        class_path,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        &cluster_id(),
        "-c",
    ])
    .arg(properties);
    if secure {
        java.args([
            "--add-scram",
            &format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]"),
        ]);
    }
    let output = java.output().context("cannot start java (a JDK 17 or newer)")?;
    ensure!(
        output.status.success(),
        "Kafka's StorageTool failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Another one for every broker, as checkpoints name the cluster: 22 characters of URL-safe base64 that decode to 16 bytes.
fn cluster_id() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!(
        "{:0>21}A",
        format!("{:x}{:x}", std::process::id(), now & 0xff_ffff_ffff)
    )
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All at once, so that they differ.
    let held = (0..N)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    let ports = held
        .iter()
        .map(|socket| Ok(socket.local_addr()?.port()))
        .collect::<Result<Vec<_>>>()?;
    ports.try_into().ok().context("as many ports as were asked for")
}
