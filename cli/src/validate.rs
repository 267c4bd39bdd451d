//! `millrace validate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use millrace_crds::manifest::Manifest;

use crate::manifests;

/// Says everything that is wrong with manifests. Exit code 1 if something is.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// YAML files, each with one or more objects; `-` is standard input. Objects may refer to each other across files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Prints one line for every object that is right and one for every problem.
pub fn validate(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (found, mut problems) = manifests::load(&arguments.files)?;
    let all: Vec<Manifest> = found.iter().map(|object| object.manifest.clone()).collect();
    let mut out = std::io::stdout().lock();
    for object in &found {
        match manifests::check(object, &all) {
            Ok(plan) => writeln!(out, "{}: {} {} is valid", object.path.display(), plan.kind, plan.name)?,
            Err(wrong) => problems.extend(wrong),
        }
    }
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    anyhow::ensure!(!found.is_empty() || !problems.is_empty(), "the files hold no object");
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
