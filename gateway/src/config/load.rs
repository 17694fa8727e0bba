//! From texts to a checked configuration.

use std::path::Path;

use super::{
    Config,
    check::check,
    diagnostic::{Diagnostic, Diagnostics},
    effective::Effective,
    extract::extract,
    layers::Layers,
    raw::Raw,
    sources::Sources,
};

#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub effective: Effective,
}

/// Defaults, then the file, then the environment, then the command line; checked whole. All faults are told at once,
/// but for text that is no TOML at all: nothing can be said of its keys.
pub fn load(sources: &Sources) -> Result<Loaded, Diagnostics> {
    let layers = Layers::of(sources)?;
    let (raw, mut faults) = extract::<Raw>(&layers);
    let mut outcome = None;
    if let Some(raw) = raw {
        let folder = sources.file.as_ref().and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
        let (config, found) = check(&raw, &faults, sources.node_name(), folder, &layers);
        faults.extend(found);
        outcome = config.map(|config| Loaded { config, effective: Effective::of(&raw, &layers, sources.node_name()) });
    }
    match (Diagnostics::of(faults), outcome) {
        (None, Some(loaded)) => Ok(loaded),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(unexplained().into()),
    }
}

/// A check that refuses without a fault would be a defect of ours; it must still refuse.
fn unexplained() -> Diagnostic {
    Diagnostic {
        origin: super::Origin::Default,
        key: String::new(),
        problem: "the configuration is refused, and no check says why".to_owned(),
        help: Some("report this with the configuration".to_owned()),
        excerpt: None,
    }
}
