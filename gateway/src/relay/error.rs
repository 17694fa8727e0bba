//! The errors of the relay.

/// The texts are for the operator: a pod is told the status only. `path` is the catalogue's, below `/latest/`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// The node's metadata service has no such document or directory, or lists nothing in it that is admitted.
    #[error("the node's metadata service has no {path}")]
    NotFound { path: String },
    /// No usable answer, and no cached document that is fresh enough to serve instead.
    #[error("the node's metadata service gave no {path}: {detail}")]
    Unavailable { path: String, detail: String },
    #[error(
        "the node's metadata service answered {path} with more than {limit} bytes, which IMDS never does: check imds.endpoint"
    )]
    TooLarge { path: String, limit: usize },
    /// An answer to one of the gateway's own requests that is not what IMDS documents.
    #[error(
        "the node's metadata service answered {path} without {expected}: check imds.endpoint, or set the value in the configuration"
    )]
    Malformed { path: String, expected: &'static str },
}
