//! How to mend each failure. Only this module knows it: `doctor`, the status page, Events and `explain` render what it says.
//!
//! Its matches are exhaustive: a new kind of failure does not compile until this module says how to mend it.

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
    /// For a shell. A word in capitals is for a person to fill in.
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
