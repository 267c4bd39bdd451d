//! The next step from what is to what should be: decided by `rollout`, made of what `build` says, done by `apply`.

use super::apply::{apply, drain, is_drained};
use super::build::{Blueprint, Built, build_like};
use super::context::Context;
use super::dereference::Found;
use super::failure::Failure;
use super::memory::Checked;
use super::rollout::{self, Step};
use super::scale;
use super::validate::refused;
use crate::status::Outcome;

/// Takes the next step from what is to what should be.
pub async fn carry_out(
    context: &Context,
    found: &Found,
    checked: &Checked,
) -> Result<(Outcome, Option<Built>), Failure> {
    if let Some(message) = &found.forbidden {
        return Err(Failure::Forbidden(message.clone()));
    }
    let live = rollout::live(found)?;
    let (plan, manifest) = match (refused(found, checked), checked, &found.declared.manifest) {
        (None, Ok(plan), Ok(manifest)) => (plan, manifest),
        (why, _, _) => {
            let wanted = rollout::Wanted::Unclear {
                suspended: found.declared.suspended,
            };
            if rollout::decide(live.as_ref(), false, &wanted) == Step::Drain {
                drain(context, found).await?;
            }
            return Ok((why.unwrap_or(Outcome::Invalid(Vec::new())), None));
        }
    };
    let owner = found.declared.owner_reference();
    let blueprint = Blueprint {
        key: &found.declared.key,
        owner: &owner,
        manifest,
        neighbours: &found.neighbours.manifests,
        plan,
        runners: scale::runners(&plan.workload, found.partitions),
        partitions: found.partitions,
        image: &context.runner.image,
        pull_policy: &context.runner.pull_policy,
        pull_secrets: &context.runner.pull_secrets,
    };
    let built = build_like(found.deployment.as_deref(), &blueprint);
    let outcome = match rollout::next(found, live.as_ref(), &built) {
        Step::Keep | Step::Scale | Step::Suspend | Step::Resume => {
            apply(context, found, &built).await?;
            Outcome::Applied
        }
        Step::Create | Step::Replace if is_drained(context, found, &built.template).await? => {
            apply(context, found, &built).await?;
            Outcome::Applied
        }
        Step::Drain => {
            drain(context, found).await?;
            Outcome::RollingOut
        }
        Step::Create | Step::Replace | Step::AwaitDrained | Step::Leave => Outcome::RollingOut,
    };
    Ok((outcome, Some(built)))
}
