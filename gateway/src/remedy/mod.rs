//! What mends each failure. Nothing else knows it: `doctor`, the status page, Events and `explain` render what is said here.
//!
//! Each match is exhaustive, so that a new kind of failure compiles only once somebody has said here what mends it.

mod fetch;
mod node;
mod owner;
mod permit;
mod plugin;
mod rejection;
#[cfg(test)]
mod tests;

pub use fetch::{of_fetch, of_own_identity, of_source};
pub use node::{of_foreign_rule, of_missing_redirect, of_outdated_roster, of_unready, of_unwatched_redirect};
pub use owner::for_owner;
pub use plugin::of_plugin;
pub use rejection::of_rejection;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// Sentences, with commands in backticks.
    pub say: String,
    /// For a shell, with a word in capitals where only a person knows what belongs there.
    pub command: Option<String>,
}

impl Remedy {
    pub(crate) fn say(say: impl Into<String>) -> Self {
        Self { say: say.into(), command: None }
    }

    fn with(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }
}
