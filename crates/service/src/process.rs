//! A process from its first log line to its exit code.

use std::process::ExitCode;

use crate::{LogFormat, Shutdown, init_logs};

/// Starts logging and listening for signals, does `work` until it ends, and says how it ended.
pub async fn live<W: Future<Output = anyhow::Result<()>>>(
    logs: LogFormat,
    work: impl FnOnce(Shutdown) -> W,
) -> ExitCode {
    init_logs(logs);
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.on_signals() {
        tracing::error!(%error, "cannot listen for signals");
        return ExitCode::FAILURE;
    }
    match Box::pin(work(shutdown)).await {
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
