//! One look at one object, both kinds alike. This is the table of contents: each step is a file.

use std::time::Duration;

use super::carry_out::carry_out;
use super::context::Context;
use super::dereference::dereference;
use super::failure::Failure;
use super::observe::observe;
use super::report::report;
use super::validate::validate;
use crate::key::ObjectKey;

/// When to look again where nothing asks for it.
pub const SAFETY_NET: Duration = Duration::from_secs(300);

/// Looks at one object and does what is next. Returns when to look again.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Duration, Failure> {
    let Some(found) = dereference(context, key) else {
        context.forget(key);
        return Ok(SAFETY_NET);
    };
    let checked = validate(context, &found);
    observe(context, &found, &checked);
    if found.declared.being_deleted || !context.leadership.is_leader() {
        return Ok(SAFETY_NET);
    }
    let done = carry_out(context, &found, &checked).await;
    report(context, &found, &checked, done).await
}
