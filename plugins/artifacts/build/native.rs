use std::env;
use std::path::Path;

use wasmtime::Engine;

use crate::guest::Guest;
use crate::{engine, read, variable, write};

/// Compiles each guest's component to a file next to it. If the build is for another architecture and without the feature
/// `cross`, it does nothing and returns `false`: wasmtime has no compiler for it here.
pub(crate) fn put_code(guests: &[Guest], folder: &Path) -> Result<bool, String> {
    let (target, host) = (variable("TARGET")?, variable("HOST")?);
    let cross = env::var_os("CARGO_FEATURE_CROSS").is_some();
    if !cross && target.split('-').next() != host.split('-').next() {
        return Ok(false);
    }
    let mut settings = engine::compile_settings();
    // A named target excludes CPU features that only this machine has.
    let engine = settings.target(&target).and_then(|settings| Engine::new(settings));
    let engine = engine.map_err(|error| format!("no engine for {target}: {error:#}"))?;
    for guest in guests {
        let component = read(&folder.join(guest.file()))?;
        let code = engine.precompile_component(&component);
        let code = code.map_err(|error| format!("{} does not compile: {error:#}", guest.name))?;
        write(&folder.join(guest.code_file()), &code)?;
    }
    Ok(true)
}
