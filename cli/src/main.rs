//! The command `millrace`, which kubectl also finds as `kubectl millrace` under the file name `kubectl-millrace`.

mod explain;
mod manifests;
mod run;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks, explains and runs StreamPipelines and WindowAggregations.
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
    /// Says in words what a manifest will do: what it reads, remembers and writes.
    Explain(explain::Arguments),
    /// Runs a manifest: over a file or standard input on the embedded engine, or with --bootstrap on Kafka.
    Run(run::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Validate(arguments) => validate::validate(&arguments),
        Verb::Explain(arguments) => explain::explain(&arguments),
        Verb::Run(arguments) => run::run(&arguments).map(|()| ExitCode::SUCCESS),
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
