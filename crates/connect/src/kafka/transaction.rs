//! How a commit ended. Three answers are possible, and the caller must be able to believe each of them:
//!
//! - committed: every request was answered, and none was sent twice;
//! - aborted: something was refused *before* the request that ends the transaction, and aborting was acknowledged;
//! - everything else is indefinite. A request that was lost on the way may still arrive, and would then hit the next
//!   transaction of the same producer; so that producer must never have one.

use super::client::Context;
use super::native::{Failure, GroupMetadata, Native};
use crate::CommitError;
use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The end of one transaction.
pub(super) struct Ending {
    pub(super) client: Arc<Native>,
    /// Positions, and who commits them.
    pub(super) positions: Option<(TopicPartitionList, Arc<GroupMetadata>)>,
    pub(super) timeout: Duration,
    pub(super) begun: Instant,
}

/// Which request failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Positions,
    Commit,
}

impl Ending {
    /// Commits; blocks until it is known how that ended, or longer than it may take.
    pub(super) fn commit(self) -> Result<(), CommitError> {
        // Old reports first, so that what is counted below belongs to this commit.
        self.client.serve(Duration::ZERO);
        let before = self.context().disturbances();
        let result = self.attempt();
        self.client.serve(Duration::ZERO);
        let undisturbed = self.context().disturbances() == before;
        match result {
            Ok(()) if undisturbed => Ok(()),
            Ok(()) => Err(CommitError::Indefinite(
                "acknowledged, but only after a request was lost".to_owned(),
            )),
            Err((step, failure)) if failure.requires_abort && undisturbed && !is_about_the_end(step, &failure) => {
                Err(self.abort_after(&failure))
            }
            Err((_, failure)) => Err(self.ended_by(&failure)),
        }
    }

    /// Aborts; an error means that the outcome is unknown.
    pub(super) fn abort(&self) -> Result<(), CommitError> {
        self.client.serve(Duration::ZERO);
        let before = self.context().disturbances();
        let result = self.client.abort_transaction(self.timeout);
        self.client.serve(Duration::ZERO);
        match result {
            Ok(()) if self.context().disturbances() == before => Ok(()),
            Ok(()) => Err(CommitError::Indefinite(
                "aborted, but only after a request was lost".to_owned(),
            )),
            Err(failure) => Err(self.ended_by(&failure)),
        }
    }

    fn attempt(&self) -> Result<(), (Step, Failure)> {
        if let Some((offsets, membership)) = &self.positions {
            let sent = self.client.send_offsets(offsets, membership, self.timeout);
            sent.map_err(|failure| (Step::Positions, failure))?;
        }
        self.client
            .commit_transaction(self.timeout)
            .map_err(|failure| (Step::Commit, failure))
    }

    fn abort_after(&self, cause: &Failure) -> CommitError {
        match self.abort() {
            Ok(()) => CommitError::Aborted(cause.to_string()),
            Err(CommitError::Fenced(why)) => CommitError::Fenced(why),
            Err(error) => CommitError::Indefinite(format!("{cause}; then {error}")),
        }
    }

    /// What a failure means that cannot be undone by aborting.
    fn ended_by(&self, failure: &Failure) -> CommitError {
        // The coordinator fences a producer whose transaction timed out, too, and says the same. Such a one may go on
        // under its own name; a truly replaced one must not.
        let timed_out = self.begun.elapsed() >= self.timeout.mul_f32(0.8);
        if is_fencing(failure.code) && !timed_out {
            return CommitError::Fenced(failure.to_string());
        }
        CommitError::Indefinite(failure.to_string())
    }

    fn context(&self) -> &Context {
        self.client.context()
    }
}

/// Whether a failure came from the request that ends the transaction (EndTxn), so that the end may have happened.
/// librdkafka's other failures of a commit (records not delivered, an earlier refusal) come before that request.
fn is_about_the_end(step: Step, failure: &Failure) -> bool {
    step == Step::Commit && failure.message.starts_with("EndTxn")
}

/// Whether a code says that a newer producer has our name.
pub(super) fn is_fencing(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> Failure {
        let message = message.to_owned();
        Failure {
            code: Code::Inconsistent,
            message,
            fatal: false,
            retriable: false,
            requires_abort: true,
        }
    }

    #[test]
    fn only_what_failed_before_the_end_was_requested_may_be_aborted() {
        assert!(!is_about_the_end(
            Step::Commit,
            &failure("1 message(s) failed delivery")
        ));
        assert!(!is_about_the_end(
            Step::Positions,
            &failure("EndTxn commit failed: so to speak")
        ));
        assert!(is_about_the_end(
            Step::Commit,
            &failure("EndTxn commit failed: Broker: Unknown producer id")
        ));
    }
}
