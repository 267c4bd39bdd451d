//! The command `millrace`, which kubectl also finds as `kubectl millrace` under the file name `kubectl-millrace`.

mod check;
mod cluster;
mod explain;
mod logs;
mod manifests;
mod output;
mod run;
mod status;
mod suspend;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::suspend::To;

/// Checks, explains and runs StreamPipelines and WindowAggregations, and shows how they do in a cluster.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, bin_name = called_as(), arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Says everything that is wrong with manifests. Exit code 1 if something is.
    Validate(validate::Arguments),
    /// Says in words what a manifest, or a pipeline of the cluster, will do: what it reads, remembers and writes.
    Explain(explain::Arguments),
    /// Runs a manifest: over a file or standard input on the embedded engine, or with --bootstrap on Kafka.
    Run(run::Arguments),
    /// Shows lag, rates and checkpoints of the pipelines in a cluster; with NAME also of each partition.
    Status(status::Arguments),
    /// Stops a pipeline: its runners commit and end, and everything else stays.
    Suspend(suspend::Arguments),
    /// Starts a suspended pipeline again, where it ended.
    Resume(suspend::Arguments),
    /// Prints the logs of all runners of a pipeline.
    Logs(logs::Arguments),
    /// Says whether an installation works: kinds, operator, webhook, metrics. Stores nothing. Exit code 1 if not.
    Check(check::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Validate(arguments) => validate::validate(&arguments),
        Verb::Explain(arguments) => explain::explain(&arguments),
        Verb::Run(arguments) => run::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Status(arguments) => status::status(&arguments),
        Verb::Suspend(arguments) => suspend::set(&arguments, To::Suspended),
        Verb::Resume(arguments) => suspend::set(&arguments, To::Resumed),
        Verb::Logs(arguments) => logs::logs(&arguments),
        Verb::Check(arguments) => check::check(&arguments),
    };
    match outcome {
        Ok(code) => code,
        // The reader of our output went away, as `head` does: there is nobody left to tell.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line for the person, beside the results on standard output.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Standard error being closed is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io)
}

/// Usage lines show what the person typed.
fn called_as() -> &'static str {
    let name = std::env::args_os().next();
    let name = name.as_deref().and_then(|name| std::path::Path::new(name).file_stem());
    if name.is_some_and(|name| name == "kubectl-millrace") {
        "kubectl millrace"
    } else {
        "millrace"
    }
}
