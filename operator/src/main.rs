//! The process `millrace-operator`.

use std::process::ExitCode;

use clap::Parser;
use millrace_operator::settings::Settings;
use millrace_service::{Shutdown, init_logs};

// One thread: the work is waiting, and memory counts.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    init_logs(settings.log);
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.on_signals() {
        tracing::error!(%error, "cannot listen for signals");
        return ExitCode::FAILURE;
    }
    match Box::pin(millrace_operator::run(settings, shutdown)).await {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
