//! `millrace explain`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::manifests;

/// Says in words what a manifest will do: what it reads, remembers and writes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// YAML file; `-` is standard input. Further files hold objects that its source refers to.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which object to explain. Default: the first.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Prints the explanation.
pub fn explain(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = manifests::plan(&arguments.files, arguments.name.as_deref())?;
    write!(std::io::stdout().lock(), "{}", millrace_plan::explain(&plan))?;
    Ok(ExitCode::SUCCESS)
}
