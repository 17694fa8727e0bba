//! Sandboxed policy plugins: WebAssembly components for the world in `plugin-sdk/wit`.

mod artifact;
mod bindings;
mod call;
mod code;
mod compiled;
mod component;
mod convert;
mod engine;
mod processor_time;
mod signature;
mod threads;
mod version;

pub use artifact::{Compiled, LoadError, Plugin, digest_hex};
pub use bindings::types::{CredentialSource as SourceView, Role as RoleView, Workload as WorkloadView};
pub use call::Instance;
pub(crate) use code::FILE_MAX;
pub use compiled::{CompiledError, make as make_compiled};
pub use component::{Access, Surface};
pub use convert::{RoleAnswer, TooMuch, role_view, workload_view};
pub(crate) use convert::{bounded_attributes, bounded_pairs, printable};
pub(crate) use engine::INSTANCES;
pub use engine::{Host, HostError};
pub use signature::{SignatureError, path_for as signature_path};
pub use version::INTERFACE;

/// A plugin's answer to which role a workload has.
#[derive(Clone, Debug)]
pub enum Resolution {
    Abstain,
    Role(RoleAnswer),
    Deny(Denied),
}

/// A plugin's answer to whether a workload may have a role or read a path.
#[derive(Clone, Debug)]
pub enum Verdict {
    Abstain,
    Allow,
    Deny(Denied),
}

/// A plugin's denial, within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub code: String,
    pub reason: String,
}

/// A plugin gave no valid answer. The request is refused, no later plugin is asked, and nothing is cached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin} {}: {detail}", kind.label())]
pub struct PluginError {
    pub plugin: String,
    pub kind: PluginErrorKind,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginErrorKind {
    Trap,
    Timeout,
    /// The plugin answered `err`.
    Error,
    /// The answer is invalid: too long, malformed or out of bounds.
    Answer,
    /// No instance was free.
    Exhausted,
}

impl PluginErrorKind {
    pub const ALL: [Self; 5] = [Self::Trap, Self::Timeout, Self::Error, Self::Answer, Self::Exhausted];

    /// A metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Trap => "trapped",
            Self::Timeout => "timed-out",
            Self::Error => "failed",
            Self::Answer => "invalid-answer",
            Self::Exhausted => "no-instance",
        }
    }
}
