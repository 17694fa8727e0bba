use std::path::Path;

use wasmtime::Engine;

use crate::guest::Guest;
use crate::{engine, read, variable, write};

/// Compiles each guest's component, next to it. `false`, and nothing is done, where the build is for another architecture:
/// the compiler for it is not there.
pub(crate) fn put_code(guests: &[Guest], folder: &Path) -> Result<bool, String> {
    let (target, host) = (variable("TARGET")?, variable("HOST")?);
    if target.split('-').next() != host.split('-').next() {
        return Ok(false);
    }
    let mut settings = engine::compile_settings();
    // Naming the target leaves out what only this machine's CPU can do.
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
