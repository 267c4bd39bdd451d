//! `millrace run`: over a file on the embedded engine, or on Kafka.

mod inputs;
mod kafka;
mod keys;
mod lines;
mod local;
mod report;
mod tables;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::ensure;

use crate::manifests;

/// Runs a manifest: over a file or standard input on the embedded engine, or with --bootstrap on Kafka.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// YAML file; `-` is standard input. Further files hold objects that its source refers to.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Which object to run. Default: the first.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Records to read, one JSON object a line; `-` is standard input, a name that ends in .gz is unpacked. The records of a
    /// stream that a join reads come from `NAME=PATH`.
    #[arg(long, value_name = "[NAME=]PATH", default_value = "-", conflicts_with = "bootstrap")]
    pub input: Vec<OsString>,
    /// Where results go, one JSON object a line; `-` is standard output.
    #[arg(long, value_name = "PATH", default_value = "-", conflicts_with = "bootstrap")]
    pub output: PathBuf,
    /// Where bad records go, one JSON object a line with reason, error, operator, topic, offset and value. Default: they are
    /// counted, and the first are described.
    #[arg(long, value_name = "PATH", conflicts_with = "bootstrap")]
    pub dead_letters: Option<PathBuf>,
    /// Where late records go, one a line as they came. Default: they are counted.
    #[arg(long, value_name = "PATH", conflicts_with = "bootstrap")]
    pub late: Option<PathBuf>,
    /// Directory that holds ConfigMaps as `<name>/<key>` files: the tables of joins.
    #[arg(long, value_name = "DIR")]
    pub config_maps_dir: Option<PathBuf>,
    /// Rows of a table that is a topic, one JSON object a line: `<table>=<path>`, once for each such table. Their record
    /// keys are made of the table's key.
    #[arg(long = "table", value_name = "NAME=PATH", conflicts_with = "bootstrap", value_parser = named_path)]
    pub tables: Vec<(String, PathBuf)>,
    /// Partitions of the in-memory source topic. Records go to a partition by their key, as on Kafka; each partition
    /// has a watermark of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), conflicts_with = "bootstrap")]
    pub partitions: u16,
    /// Runs on Kafka: brokers to use, `host:port`, several separated by commas. Until Ctrl-C, which commits and leaves.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub bootstrap: Vec<String>,
    /// On Kafka: stops at the offsets that were the end when the run began.
    #[arg(long, requires = "bootstrap")]
    pub until_end: bool,
    /// On Kafka: directory that holds Secrets as `<name>/<key>` files.
    #[arg(long, value_name = "DIR", requires = "bootstrap")]
    pub secrets_dir: Option<PathBuf>,
    /// On Kafka: directory for checkpoints. Default: `$XDG_STATE_HOME/millrace`, or `~/.local/state/millrace`.
    #[arg(long, value_name = "DIR", requires = "bootstrap")]
    pub state_dir: Option<PathBuf>,
    /// On Kafka: name of this runner, unique among those that run the pipeline at the same time.
    #[arg(long, value_name = "ID", requires = "bootstrap", default_value = "cli")]
    pub runner_id: String,
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("write the table's name, `=`, and the path of a file".to_owned()),
    }
}

/// Runs to the end of the input, or until told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let manifest_from_stdin = arguments.files.iter().any(|path| path.as_os_str() == "-");
    ensure!(
        !(manifest_from_stdin && arguments.bootstrap.is_empty() && arguments.input.iter().any(|input| input == "-")),
        "manifest and records cannot both come from standard input: name a file with --input"
    );
    let (plan, path) = manifests::located(&arguments.files, arguments.name.as_deref())?;
    let tables = millrace_runner::tables::read(&plan, path.parent(), arguments.config_maps_dir.as_deref())?;
    if arguments.bootstrap.is_empty() {
        local::run(plan, &tables, arguments)
    } else {
        kafka::run(plan, &tables, arguments)
    }
}
