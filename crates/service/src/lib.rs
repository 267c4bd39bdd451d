//! What every process of Millrace has: logs, `/healthz` `/readyz` `/metrics`, and one stop signal.

mod admin;
mod process;
mod shutdown;
mod telemetry;

pub use admin::{Admin, Health};
pub use process::live;
pub use shutdown::Shutdown;
pub use telemetry::{LogFormat, init as init_logs};
