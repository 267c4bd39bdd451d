//! The spec checked, once for each change in its namespace. Pure but for what it remembers.

use std::sync::Arc;

use super::context::Context;
use super::dereference::Found;
use super::memory::Checked;
use crate::status::Outcome;

/// The plan, or all problems.
pub fn validate(context: &Context, found: &Found) -> Arc<Checked> {
    let revision = found.neighbours.revision;
    context
        .memories
        .of(&found.declared.key, |memory| match &memory.checked {
            Some((of, checked)) if *of == revision => checked.clone(),
            _ => {
                let checked = Arc::new(check(found));
                memory.checked = Some((revision, checked.clone()));
                checked
            }
        })
}

fn check(found: &Found) -> Checked {
    match &found.declared.manifest {
        Ok(manifest) => millrace_plan::validate(manifest, &found.neighbours.manifests).map(Arc::new),
        Err(message) => Err(vec![millrace_plan::Problem {
            path: String::new(),
            message: message.clone(),
        }]),
    }
}

/// Why nothing may be made of a spec, if so: it has problems, or it has no use for state that exists. Old runners go on.
pub fn refused(found: &Found, checked: &Checked) -> Option<Outcome> {
    let plan = match checked {
        Ok(plan) => plan,
        Err(problems) => return Some(Outcome::Invalid(problems.iter().map(ToString::to_string).collect())),
    };
    let saved = found.saved.as_ref()?;
    if saved.state_id != plan.state_id.as_str() {
        return None;
    }
    let lost = plan.would_lose(&saved.operator_states());
    (!lost.is_empty()).then(|| Outcome::StateWouldBeLost(lost.iter().map(ToString::to_string).collect()))
}
