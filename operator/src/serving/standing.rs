//! How it stands with being served: what a readiness probe and whoever wants to autoscale should know.

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether everything was done that this process can do: the API server trusts the certificate that is served, or
    /// there is nothing of ours that it could be told to trust.
    pub settled: bool,
    /// What keeps the API server from calling us, in words for whoever installed it.
    pub troubles: Vec<String>,
}

impl Standing {
    /// Nothing more to do, nothing wrong.
    pub fn settled() -> Self {
        Self {
            settled: true,
            troubles: Vec::new(),
        }
    }
}
