//! From bytes to a component that could be started: compiled, and vetted for what it imports and exports.

use std::time::Duration;

use wasmtime::component::Component;

use super::{Host, LoadError, bindings::PolicyPluginPre, call::CallState, code::Code, convert, version};

/// Compiling is the unsandboxed part: a crafted component of 300 KB takes 15 s.
pub(super) const COMPILE_MAX: Duration = Duration::from_secs(30);

pub(super) async fn compile(host: &Host, plugin: &str, code: Code) -> Result<Component, LoadError> {
    let engine = host.engine.clone();
    let work = tokio::task::spawn_blocking(move || code.compile(&engine));
    match tokio::time::timeout(COMPILE_MAX, work).await {
        Err(_) => Err(LoadError::CompileTime { plugin: plugin.into() }),
        Ok(Err(panic)) => Err(LoadError::Component { plugin: plugin.into(), detail: panic.to_string() }),
        Ok(Ok(made)) => made.map_err(|error| LoadError::Component { plugin: plugin.into(), detail: one_line(&error) }),
    }
}

/// Refuses another interface, and what a plugin can never have. WASI is let through here: some toolchains cannot leave its
/// imports out.
pub(super) fn vet(host: &Host, plugin: &str, component: &Component) -> Result<(), LoadError> {
    if let Some(found) = built_for(host, component).filter(|found| !version::runs(found)) {
        return Err(LoadError::Version { plugin: plugin.into(), found });
    }
    match imports(host, component).find(|import| !is_ours(import) && !is_wasi(import)) {
        Some(import) => Err(LoadError::ForeignImport { plugin: plugin.into(), import }),
        None => Ok(()),
    }
}

pub(super) fn pre_instantiate(
    host: &Host,
    plugin: &str,
    component: &Component,
) -> Result<PolicyPluginPre<CallState>, LoadError> {
    let world = |error| another_world(host, plugin, component, &error);
    let mut linker = (*host.linker).clone();
    if imports(host, component).any(|import| is_wasi(&import)) {
        // Nothing real is granted: what is called of it traps.
        linker.define_unknown_imports_as_traps(component).map_err(world)?;
    }
    PolicyPluginPre::new(linker.instantiate_pre(component).map_err(world)?).map_err(world)
}

fn imports(host: &Host, component: &Component) -> impl Iterator<Item = String> {
    let imports: Vec<String> =
        component.component_type().imports(&host.engine).map(|(name, _)| name.to_owned()).collect();
    imports.into_iter()
}

/// What the linker found, in the words of the interface.
pub(super) fn another_world(host: &Host, plugin: &str, component: &Component, found: &wasmtime::Error) -> LoadError {
    let (plugin, detail) = (plugin.to_owned(), one_line(found));
    match built_for(host, component).filter(|version| version::is_later(version)) {
        Some(found) => LoadError::Later { plugin, found, detail },
        None => LoadError::World { plugin, detail },
    }
}

/// The version of the interface that the component is of; None where it exports no policy.
fn built_for(host: &Host, component: &Component) -> Option<String> {
    component.component_type().exports(&host.engine).find_map(|(name, _)| version::of_export(name).map(str::to_owned))
}

fn is_ours(import: &str) -> bool {
    import.starts_with("metagate:policy/")
}

fn is_wasi(import: &str) -> bool {
    import.starts_with("wasi:")
}

/// wasmtime quotes names of the component's, which may hold anything.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    convert::printable(&format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" "))
}
