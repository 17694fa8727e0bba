//! Converts the flags of kube2iam or kiam to a configuration that means the same.
//!
//! Text in, text out. `metagate check` accepts the resulting configuration, whatever the input: a value that the
//! configuration refuses becomes a note instead.

mod allow;
mod changes;
mod conversion;
mod flags;
mod kiam;
mod kube2iam;
mod manifest;
mod notes;
mod render;
mod rules;
mod settings;

use conversion::Conversion;
use flags::Flag;
use manifest::Container;
pub use notes::{Kind, Note, Notes};
use settings::Settings;

/// Manifests of both peers are a few KiB; 16 MiB is a whole cluster's objects in one file.
pub const MANIFEST_MAX: usize = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Kube2iam,
    Kiam,
}

/// What the peer runs with.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A command line, with or without the program's name.
    Flags(&'a [String]),
    /// YAML or JSON, any number of documents.
    Manifest(&'a str),
}

#[derive(Debug)]
pub struct Migration {
    /// A `metagate.toml`.
    pub config: String,
    pub notes: Notes,
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the manifest is not YAML that Kubernetes accepts: {problem}; try `kubectl apply --dry-run=client`")]
    Yaml { problem: String },
    #[error(
        "the manifest is larger than {} MiB; give only the peer's DaemonSet and Deployment",
        MANIFEST_MAX >> 20
    )]
    TooLarge,
    #[error(
        "the manifest has no container that runs {peer} ({found}); give its DaemonSet, Deployment, Pod or a List of \
         these, or its flags after `--`"
    )]
    NoContainer { peer: &'static str, found: String },
}

/// # Errors
/// Where the manifest cannot be read, or runs another program. Flags are never an error: the notes list those that
/// cannot be carried over.
pub fn migrate(peer: Peer, input: Input<'_>) -> Result<Migration, MigrateError> {
    let containers = match input {
        Input::Flags(flags) => vec![Container::of_flags(peer, flags)],
        Input::Manifest(text) => manifest::containers(peer, text)?,
    };
    let mut conversion = Conversion::default();
    let settings = Settings::read(peer, &containers, &mut conversion);
    match peer {
        Peer::Kube2iam => kube2iam::convert(&settings, &mut conversion),
        Peer::Kiam => kiam::convert(&settings, &mut conversion),
    }
    let config = render::config(peer, &conversion);
    Ok(Migration { config, notes: Notes::new(conversion.notes) })
}

impl Peer {
    /// The program, the image's last part, and what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kube2iam => "kube2iam",
            Self::Kiam => "kiam",
        }
    }

    fn flags(self) -> &'static [Flag] {
        match self {
            Self::Kube2iam => kube2iam::FLAGS,
            Self::Kiam => kiam::FLAGS,
        }
    }
}
