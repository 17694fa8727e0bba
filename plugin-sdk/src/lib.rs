//! Write a Metagate policy plugin in Rust: a struct, a trait and one line.
//!
//! A policy answers up to three questions of the gateway: which role a workload has ([`Policy::resolve`]), whether it
//! may have it ([`Policy::authorize`]), and whether it may read a path of the instance metadata
//! ([`Policy::authorize_path`]). A policy abstains from a question that it does not implement, and the next plugin is
//! asked. If every plugin abstains, the answer is no.
//!
//! This policy gives the batch jobs of one team their role, and refuses that role to all other pods:
//!
//! ```
//! use metagate_plugin_sdk::{Interest, Policy, Resolution, Role, Verdict, Workload, export_policy};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Config {
//!     role: String,
//! }
//!
//! pub struct BatchJobs(Config);
//!
//! impl Policy for BatchJobs {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<Self, String> {
//!         Ok(Self(config))
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::none().labels(["app"])
//!     }
//!
//!     fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
//!         Ok(match workload.label("app") {
//!             Some("batch") => Resolution::Role(Role::named(&self.0.role)),
//!             _ => Resolution::Abstain,
//!         })
//!     }
//!
//!     fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
//!         if role.attribute("as-written") != Some(&self.0.role) {
//!             return Ok(Verdict::Abstain);
//!         }
//!         Ok(match workload.label("app") {
//!             Some("batch") => Verdict::Allow,
//!             _ => Verdict::deny("batch-only", "this role is for pods labelled app=batch"),
//!         })
//!     }
//! }
//!
//! export_policy!(BatchJobs);
//!
//! # fn main() -> Result<(), String> {
//! // Outside WebAssembly a policy is an ordinary value: this is a unit test of it.
//! let policy = BatchJobs::new(Config { role: "nightly".to_owned() })?;
//! let workload = Workload::of("jobs", "nightly-1").with_label("app", "batch");
//! assert_eq!(policy.resolve(&workload), Ok(Resolution::Role(Role::named("nightly"))));
//! # Ok(())
//! # }
//! ```
//!
//! That is the whole plugin: build it for `wasm32-unknown-unknown` as a `cdylib` and wrap it as a component; the README
//! has the commands. Outside `wasm32` [`export_policy!`] exports nothing, so `cargo test` and `cargo clippy` work as
//! usual.
//!
//! # What a plugin can rely on
//! - Each decision runs in a fresh instance, so no state of a policy survives into the next decision. Answers are
//!   cached, so an answer must depend only on the configuration and the arguments.
//! - A plugin has no files, network, environment or randomness. It has no clock, except the time by [`Interest::clock`]
//!   if the operator permits it. The gateway bounds time, memory, stack and the size of answers.
//! - A panic is logged and refuses the request (503), as do an `Err`, a timeout and a malformed answer. No failure of a
//!   plugin ever widens what a workload gets.

#![warn(missing_docs)]

mod answer;
mod arn;
#[doc(hidden)]
pub mod bindings;
mod config;
mod export;
mod glob;
mod interest;
mod log;
mod pattern;
mod policy;
mod regexp;
mod role;
mod workload;

pub use arn::{ArnFault, RoleArn, RolePath};
/// The level of a line in the gateway's log.
///
/// ```
/// use metagate_plugin_sdk::{Level, log};
///
/// log(Level::Warn, "label `team` is not a team's name");
/// ```
pub use bindings::metagate::policy::host::Level;
/// Where a role's credentials come from.
///
/// ```
/// use metagate_plugin_sdk::{CredentialSource, Role};
///
/// let role = Role::named("web").with_source(CredentialSource::WebIdentity("sts.amazonaws.com".to_owned()));
/// assert!(matches!(role.source, CredentialSource::WebIdentity(audience) if audience == "sts.amazonaws.com"));
/// ```
pub use bindings::metagate::policy::types::CredentialSource;
/// The answer to [`Policy::resolve`].
///
/// ```
/// use metagate_plugin_sdk::{Resolution, Role};
///
/// let answer = |team: Option<&str>| match team {
///     Some("") => Resolution::deny("no-team", "label `team` is empty: write the team's name"),
///     Some(team) => Resolution::Role(Role::named(format!("team/{team}"))),
///     None => Resolution::Abstain,
/// };
/// assert_eq!(answer(Some("a")), Resolution::Role(Role::named("team/a")));
/// ```
pub use bindings::metagate::policy::types::Resolution;
/// The answer to [`Policy::authorize`] and [`Policy::authorize_path`].
///
/// ```
/// use metagate_plugin_sdk::Verdict;
///
/// let answer = |tier: Option<&str>| match tier {
///     Some("trusted") => Verdict::Allow,
///     Some(_) => Verdict::deny("not-trusted", "this role is for pods labelled tier=trusted"),
///     None => Verdict::Abstain,
/// };
/// assert_eq!((answer(Some("trusted")), answer(None)), (Verdict::Allow, Verdict::Abstain));
/// ```
pub use bindings::metagate::policy::types::Verdict;
pub use bindings::metagate::policy::types::{Denial, Interest, Role, Workload};
pub use config::parse as parse_config;
pub use glob::Glob;
pub use log::log;
pub use pattern::{Pattern, PatternFault};
pub use policy::{NoConfig, Policy};
pub use regexp::Regexp;

/// For the expansion of [`export_policy!`]; not part of the public interface.
#[doc(hidden)]
pub mod __export {
    pub use crate::bindings::export;
    pub use crate::bindings::exports::metagate::policy::plugin::Guest;
    pub use crate::export::{Slot, is_policy};
}
