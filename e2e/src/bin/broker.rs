//! `make broker`: starts a Kafka broker for trying things out, prints its address, and stops it with Ctrl-C or at the end of stdin.

use std::io::{Read, Write, stdin, stdout};

use anyhow::Result;
use millrace_e2e::broker::{Broker, Options};

fn main() -> Result<()> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--host", Some(host)) => options.host = host,
            ("--port", Some(port)) => options.port = Some(port.parse()?),
            _ => anyhow::bail!("usage: millrace-broker [--host ADDRESS] [--port PORT]"),
        }
    }
    let broker = Broker::start_with(&options)?;
    writeln!(stdout(), "{}", broker.bootstrap())?;
    stdout().flush()?;
    // Ctrl-C reaches the broker as well, which stops in an orderly way; the guard of the process sees to the rest.
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest)?;
    Ok(())
}
