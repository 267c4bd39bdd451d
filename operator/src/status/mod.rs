//! What an object's status says: decided from what was seen, never asked for here. No client, no clock.

mod clean;
mod conditions;
mod decide;
mod reasons;
mod trouble;
mod write;
mod wrong;

pub use clean::clean;
pub use decide::{Outcome, Runners, Seen, Totals, decide};
pub use reasons::Reason;
pub use trouble::{Trouble, trouble};
pub use write::worth_writing;

#[cfg(test)]
mod tests;
