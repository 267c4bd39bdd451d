//! The process `millrace-runner`.

use std::process::ExitCode;

use clap::Parser;
use millrace_runner::{Settings, last_words};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let termination_log = settings.termination_log.clone();
    millrace_service::live(settings.log, |shutdown| async move {
        let outcome = millrace_runner::run(settings, shutdown).await;
        if let (Err(error), Some(path)) = (&outcome, &termination_log) {
            last_words::leave(path, error);
        }
        outcome
    })
    .await
}
