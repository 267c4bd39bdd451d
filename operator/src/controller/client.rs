//! How to reach the API server: one client for watches, one for everything else.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

use super::watchdog::Signs;

/// Longer than any call may take, shorter than a look.
const ANSWER: Duration = Duration::from_secs(20);
/// How much longer than it lives a watch may be silent. The watcher notices it before, and resumes the watch at once.
const SILENCE: Duration = Duration::from_secs(40);
const REQUESTS_IN_FLIGHT: usize = 256;

/// For everything but watches. Tries again soon and gives up soon: a look that fails is done again anyway, and one that
/// waits for long holds up others.
pub fn for_calls(config: &Config) -> anyhow::Result<Client> {
    let retries = RetryPolicy::new(Duration::from_millis(200), Duration::from_secs(2), 3, true)?;
    let builder = ClientBuilder::try_from(own(config, ANSWER))?;
    let builder = builder
        .with_layer(&BufferLayer::new(REQUESTS_IN_FLIGHT))
        .with_layer(&RetryLayer::new(retries));
    Ok(builder.build())
}

/// For watches of this lifetime: they have their own back-off, and the watchdog sees every answer.
pub fn for_watches(config: &Config, lifetime: Duration, signs: Signs) -> anyhow::Result<Client> {
    Ok(ClientBuilder::try_from(own(config, lifetime + SILENCE))?
        .with_layer(&signs)
        .build())
}

fn own(config: &Config, read_timeout: Duration) -> Config {
    let mut config = config.clone();
    config.read_timeout = Some(read_timeout);
    config.default_retry = false;
    config.reset_reader_on_write = true;
    config.connect_timeout = Some(Duration::from_secs(5));
    config
}
