//! What the API server gets to see, over real TLS: a listener with a fake API server behind it and an API server's
//! certificate in front of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod authentication;
mod caller;
mod cluster;
mod eventually;
mod external_metrics;
mod replica;
mod rotation;
mod webhook;
