//! What an API server's refusal means, and what to do about it.

use std::error::Error;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Doing<'a> {
    /// The verb of Kubernetes' permissions: `get`, `list`, `patch`.
    pub verb: &'a str,
    /// The resource, as permissions name it: `streampipelines`, `pods/log`.
    pub resource: &'a str,
    /// In which namespace; None: in all.
    pub namespace: Option<&'a str>,
}

/// An error that says what to do.
pub fn explained(error: kube::Error, doing: Doing<'_>) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => refused(status.code, &status.message, doing),
        error => anyhow::anyhow!(
            "cannot {} {}: the cluster does not answer ({}). Is it up, and is the context the right one?",
            doing.verb,
            doing.resource,
            root(&error)
        ),
    }
}

fn refused(code: u16, message: &str, doing: Doing<'_>) -> anyhow::Error {
    let Doing {
        verb,
        resource,
        namespace,
    } = doing;
    let place = namespace.map_or("in all namespaces".to_owned(), |name| format!("in namespace `{name}`"));
    match code {
        401 => {
            anyhow::anyhow!("the cluster does not accept these credentials: log in again, or choose another --context")
        }
        403 => anyhow::anyhow!(
            "you may not {verb} {resource} {place}: ask for a role with the verb `{verb}` on `{resource}`, or name a \
             namespace of yours with -n"
        ),
        // Of an object that is missing the API server says so in JSON, of a kind that it does not know in plain text.
        404 if message.contains("page not found") || message.contains("could not find the requested resource") => {
            anyhow::anyhow!(
                "this cluster does not know {resource}: install Millrace with its Helm chart, or choose another --context"
            )
        }
        _ => anyhow::anyhow!("cannot {verb} {resource} {place}: {}", message.trim()),
    }
}

/// The innermost cause: what happened, without who passed it on.
fn root(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let doing = |namespace| Doing {
            verb: "list",
            resource: "streampipelines",
            namespace,
        };
        let said = |code, message: &str, namespace| refused(code, message, doing(namespace)).to_string();
        let forbidden = said(403, "forbidden: User \"x\"", Some("prod"));
        assert!(
            forbidden.contains("may not list streampipelines in namespace `prod`"),
            "{forbidden}"
        );
        assert!(said(403, "", None).contains("in all namespaces"));
        assert!(said(401, "Unauthorized", None).contains("log in again"));
        assert!(said(404, "404 page not found\n", None).contains("install Millrace"));
        assert_eq!(
            said(500, "etcd is away\n", Some("a")),
            "cannot list streampipelines in namespace `a`: etcd is away"
        );
    }
}
