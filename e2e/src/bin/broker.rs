//! `make broker`: starts a Kafka broker for trying things out, prints its address, and stops it with Ctrl-C or at the end of
//! stdin. With a command behind `--` it runs that, its address in `MILLRACE_TEST_BOOTSTRAP`, and ends as the command does.

use std::io::{Read, Write, stdin, stdout};
use std::process::{Command, ExitCode};

use anyhow::Result;
use millrace_e2e::broker::{Broker, Options};

fn main() -> Result<ExitCode> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    let mut command = None;
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            command = arguments.next();
            break;
        }
        match (argument.as_str(), arguments.next()) {
            ("--host", Some(host)) => options.host = host,
            ("--port", Some(port)) => options.port = Some(port.parse()?),
            _ => anyhow::bail!("usage: millrace-broker [--host ADDRESS] [--port PORT] [-- COMMAND…]"),
        }
    }
    let broker = Broker::start_with(&options)?;
    if let Some(command) = command {
        let mut command = Command::new(command);
        let status = command
            .args(arguments)
            .env("MILLRACE_TEST_BOOTSTRAP", broker.bootstrap())
            .status()?;
        return Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    writeln!(stdout(), "{}", broker.bootstrap())?;
    stdout().flush()?;
    // Ctrl-C reaches the broker as well, which stops in an orderly way; the guard of the process sees to the rest.
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest)?;
    Ok(ExitCode::SUCCESS)
}
