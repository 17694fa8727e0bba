//! From texts to a checked configuration.

use std::path::Path;

use super::{
    Config, check::check, collector::Collector, diagnostic::Diagnostics, effective::Effective, layers::Layers,
    raw::Raw, sources::Sources,
};

#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub effective: Effective,
}

/// Merges defaults, file, environment and command line, in this order, and checks the result. The error has everything
/// that is wrong; only where the file is not TOML at all are its keys not checked.
pub fn load(sources: &Sources) -> Result<Loaded, Diagnostics> {
    let layers = Layers::of(sources)?;
    let folder = sources.file.as_ref().and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
    let mut collector = Collector::new(&layers);
    let loaded = collector.extract::<Raw>().and_then(|raw| {
        let config = check(&raw, sources.node_name(), folder, &mut collector)?;
        Some(Loaded { config, effective: Effective::of(&raw, &layers, sources.node_name()) })
    });
    collector.finish(loaded)
}
