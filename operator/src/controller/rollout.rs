//! From the runners that are there to those that should be. Pure.
//!
//! Runners of two different pod templates never exist at once: what they read, and what their state means, may differ.
//! So a changed template first stops the old runners (they commit and leave), and takes their place when no pod of theirs
//! exists any more.

use super::apply::replicas;
use super::build::{Built, ChildKind, labels};
use super::dereference::{Found, is_stranger};
use super::failure::Failure;
use super::ownership::{self, Ownership};

/// What was found of the Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The template that it was given; None where somebody removed the mark.
    pub template: Option<String>,
    /// Runners that it was told to have.
    pub runners: i32,
    /// Whether it is being deleted, or belongs to an object of the same name that is gone: it will go by itself.
    pub going: bool,
}

/// What should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These runners.
    Runners {
        /// Of this template.
        template: String,
        /// So many.
        runners: i32,
    },
    /// It cannot be said, because the spec has problems.
    Unclear {
        /// Whether there should be none in any case.
        suspended: bool,
    },
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no Deployment: create all children.
    Create,
    /// Everything is as it should be; children that were changed are put right.
    Keep,
    /// More or fewer runners of the same template.
    Scale,
    /// No runners, on request.
    Suspend,
    /// Runners again.
    Resume,
    /// Stop the old runners; nothing else changes.
    Drain,
    /// Old runners are still there: wait.
    AwaitDrained,
    /// No old runner is left: the new ones take their place.
    Replace,
    /// Leave the runners as they are.
    Leave,
}

/// What was found of the Deployment, if it is ours.
pub fn live(found: &Found) -> Result<Option<Live>, Failure> {
    let Some(deployment) = &found.deployment else {
        return Ok(None);
    };
    let going = match ownership::of(deployment, ChildKind::Deployment, &found.declared) {
        Ownership::Ours => false,
        Ownership::Going => true,
        Ownership::Theirs(whose) => return Err(Failure::NameTaken(whose)),
    };
    Ok(Some(Live {
        template: labels::template(deployment),
        runners: replicas(deployment),
        going,
    }))
}

/// The next step from what was found to what was built.
pub fn next(found: &Found, live: Option<&Live>, built: &Built) -> Step {
    let strangers = found.pods.iter().any(|pod| is_stranger(pod, &built.template));
    let wanted = Wanted::Runners {
        template: built.template.clone(),
        runners: built.runners,
    };
    decide(live, strangers, &wanted)
}

/// `strangers`: whether pods of any other template than the wanted one exist.
pub fn decide(live: Option<&Live>, strangers: bool, wanted: &Wanted) -> Step {
    let (template, runners) = match wanted {
        Wanted::Runners { template, runners } => (template, *runners),
        Wanted::Unclear { suspended } => {
            let stop = *suspended && live.is_some_and(|live| live.runners > 0 && !live.going);
            return if stop { Step::Drain } else { Step::Leave };
        }
    };
    match live {
        Some(live) if live.going => Step::AwaitDrained,
        Some(live) if live.template.as_ref() == Some(template) => match (live.runners, runners) {
            (have, want) if have == want => Step::Keep,
            (_, 0) => Step::Suspend,
            (0, _) => Step::Resume,
            _ => Step::Scale,
        },
        Some(live) if live.runners != 0 => Step::Drain,
        _ if strangers => Step::AwaitDrained,
        Some(_) => Step::Replace,
        None => Step::Create,
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    fn live(template: &str, runners: i32) -> Live {
        Live {
            template: Some(template.to_owned()),
            runners,
            going: false,
        }
    }

    fn wanted(template: &str, runners: i32) -> Wanted {
        Wanted::Runners {
            template: template.to_owned(),
            runners,
        }
    }

    #[test]
    fn each_situation_has_one_next_step() {
        let going = Live {
            going: true,
            ..live("a", 2)
        };
        let unmarked = Live {
            template: None,
            ..live("a", 2)
        };
        let unclear = |suspended| Wanted::Unclear { suspended };
        for (have, strangers, want, expected) in [
            (None, false, wanted("a", 2), Step::Create),
            (None, false, wanted("a", 0), Step::Create),
            (None, true, wanted("a", 2), Step::AwaitDrained),
            (Some(live("a", 2)), false, wanted("a", 2), Step::Keep),
            (Some(live("a", 0)), false, wanted("a", 0), Step::Keep),
            (Some(live("a", 2)), false, wanted("a", 3), Step::Scale),
            (Some(live("a", 2)), false, wanted("a", 0), Step::Suspend),
            (Some(live("a", 0)), false, wanted("a", 2), Step::Resume),
            (Some(live("a", 2)), true, wanted("b", 2), Step::Drain),
            (Some(live("a", 2)), false, wanted("b", 0), Step::Drain),
            (Some(live("a", 0)), true, wanted("b", 2), Step::AwaitDrained),
            (Some(live("a", 0)), false, wanted("b", 2), Step::Replace),
            (Some(unmarked), false, wanted("a", 2), Step::Drain),
            (Some(going), false, wanted("a", 2), Step::AwaitDrained),
            (Some(live("a", 2)), false, unclear(false), Step::Leave),
            (Some(live("a", 2)), false, unclear(true), Step::Drain),
            (Some(live("a", 0)), false, unclear(true), Step::Leave),
            (None, false, unclear(true), Step::Leave),
        ] {
            assert_eq!(decide(have.as_ref(), strangers, &want), expected, "{have:?} {want:?}");
        }
    }
}
