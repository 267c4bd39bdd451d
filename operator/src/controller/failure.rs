//! What the API server said no to, and what that means for the object.

use thiserror::Error;

/// Why a step did not succeed.
#[derive(Debug, Error)]
pub enum Failure {
    /// Another replica writes now, or may.
    #[error("this replica does not lead")]
    NotLeader,
    /// A child of that name belongs to somebody else.
    #[error("{0}")]
    NameTaken(String),
    /// We lack a right.
    #[error("{0}")]
    Forbidden(String),
    /// The API server refuses what we say.
    #[error("{0}")]
    Refused(String),
    /// Somebody else changed it in between, or it is gone: look again.
    #[error("{0} changed meanwhile")]
    Changed(String),
    /// The API server cannot answer.
    #[error("cannot {action}: {source}")]
    Unavailable {
        /// What was tried.
        action: String,
        /// What came of it.
        source: Box<kube::Error>,
    },
    /// It took too long.
    #[error("a look took more than {0} s")]
    TimedOut(u64),
}

impl Failure {
    /// What `error` means, after we tried to `verb` the `resource` called `name`.
    pub fn of(error: kube::Error, verb: &str, resource: &str, name: &str) -> Self {
        let action = format!("{verb} {resource} `{name}`");
        match error {
            kube::Error::Api(status) => match status.code {
                // Quotas and admission plug-ins refuse with the same code.
                403 if is_about_rights(&status.message) => {
                    Self::Forbidden(format!("the operator may not {verb} {resource}: {}", status.message))
                }
                400 | 403 | 422 => Self::Refused(format!("cannot {action}: {}", status.message)),
                404 | 409 | 410 => Self::Changed(format!("{resource} `{name}`")),
                _ => Self::Unavailable {
                    action,
                    source: Box::new(kube::Error::Api(status)),
                },
            },
            other => Self::Unavailable {
                action,
                source: Box::new(other),
            },
        }
    }
}

fn is_about_rights(message: &str) -> bool {
    message.contains("cannot") && message.contains("resource \"")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failure(code: u16, message: &str) -> Failure {
        let mut status = Status::failure(message, "");
        status.code = code;
        Failure::of(kube::Error::Api(status.boxed()), "patch", "deployments.apps", "d")
    }

    #[test]
    fn a_missing_right_is_told_from_a_refusal() {
        let rights =
            r#"deployments.apps "d" is forbidden: User "u" cannot patch resource "deployments" in API group "apps""#;
        let Failure::Forbidden(message) = failure(403, rights) else {
            panic!("a missing right");
        };
        assert!(
            message.starts_with("the operator may not patch deployments.apps"),
            "{message}"
        );
        assert!(matches!(
            failure(403, "exceeded quota: q, requested: cpu=1"),
            Failure::Refused(_)
        ));
        assert!(matches!(failure(422, "is invalid"), Failure::Refused(_)));
        assert!(matches!(failure(409, "conflict"), Failure::Changed(_)));
        assert!(matches!(failure(503, "away"), Failure::Unavailable { .. }));
    }
}
