//! The process `millrace-operator`.

use std::process::ExitCode;

use clap::Parser;
use millrace_operator::settings::Settings;

// One thread: the work is waiting, and memory counts.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    millrace_service::live(settings.log, |shutdown| millrace_operator::run(settings, shutdown)).await
}
