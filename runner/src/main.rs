//! The process `millrace-runner`.

use std::process::ExitCode;

use clap::Parser;
use millrace_runner::{Settings, last_words};
use millrace_service::{Shutdown, init_logs};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    init_logs(settings.log);
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.on_signals() {
        tracing::error!(%error, "cannot listen for signals");
        return ExitCode::FAILURE;
    }
    let termination_log = settings.termination_log.clone();
    match millrace_runner::run(settings, shutdown).await {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{error:#}");
            if let Some(path) = termination_log {
                last_words::leave(&path, &error);
            }
            ExitCode::FAILURE
        }
    }
}
