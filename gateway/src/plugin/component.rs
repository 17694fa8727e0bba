//! Compiles a component, and vets its imports and exports.

use std::{sync::Arc, time::Duration};

use wasmtime::component::{Component, Linker, ResourceType, types::ComponentItem};

use super::{
    Host, LoadError,
    bindings::PolicyPluginPre,
    call::CallState,
    code::Code,
    compiled::Found,
    convert, digest_hex,
    processor_time::{self, LimitReached},
    version,
};

/// Processor time. Compiling is not sandboxed: a crafted component of 300 KB takes 15 s. A Python component takes 10 s of a
/// server's processor; this leaves room for a slow one.
pub(super) const COMPILE_MAX: Duration = Duration::from_secs(120);

/// Loads the cached native code of this file, or compiles the file and caches the result. A built-in was compiled with
/// the gateway.
pub(super) async fn compile(host: &Host, plugin: &str, code: Code) -> Result<Component, LoadError> {
    if let Code::Builtin(_) = code {
        return compiled(host, plugin, code).await;
    }
    let digest = code.digest();
    let sha256 = digest_hex(&digest);
    if let Some(component) = cached(host, plugin, digest).await {
        tracing::info!(plugin, sha256, from = "kept", "plugin compiled before");
        return Ok(component);
    }
    let component = compiled(host, plugin, code).await?;
    tracing::info!(plugin, sha256, from = "file", "plugin compiled");
    store(host, plugin, digest, &component).await;
    Ok(component)
}

async fn compiled(host: &Host, plugin: &str, code: Code) -> Result<Component, LoadError> {
    let engine = host.engine.clone();
    match processor_time::within(COMPILE_MAX, move || code.compile(&engine)).await {
        Err(LimitReached) => Err(LoadError::CompileTime { plugin: plugin.into() }),
        Ok(Err(panic)) => Err(LoadError::Component { plugin: plugin.into(), detail: panic.to_string() }),
        Ok(Ok(made)) => made.map_err(|error| LoadError::Component { plugin: plugin.into(), detail: one_line(&error) }),
    }
}

async fn cached(host: &Host, plugin: &str, digest: [u8; 32]) -> Option<Component> {
    let folder = Arc::clone(host.compiled.as_ref()?);
    match tokio::task::spawn_blocking(move || folder.find(&digest)).await {
        Ok(Found::Cached(component)) => Some(component),
        Ok(Found::Nothing) => None,
        Ok(Found::Bad { path, why }) => {
            tracing::error!(plugin, path = %path.display(), %why, "a compiled plugin is not loaded, but compiled again");
            None
        }
        Err(panic) => {
            tracing::error!(plugin, error = %panic, "a compiled plugin cannot be looked at, so it is compiled again");
            None
        }
    }
}

/// The cache only makes the next start quicker, so a failure is not an error.
async fn store(host: &Host, plugin: &str, digest: [u8; 32], component: &Component) {
    let Some(folder) = host.compiled.clone() else { return };
    let component = component.clone();
    let work = tokio::task::spawn_blocking(move || folder.store(&digest, &component));
    if let Err(error) = work.await.unwrap_or_else(|panic| Err(panic.into())) {
        tracing::warn!(plugin, %error, "a compiled plugin cannot be kept in plugin_files.compiled");
    }
}

/// The imports and exports of a component, by the names of the interfaces.
pub struct Surface {
    /// The version of the interface that it was built for; None if it exports no policy.
    pub interface: Option<String>,
    pub imports: Vec<(String, Access)>,
    pub exports: Vec<String>,
}

/// How the gateway treats an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    Allowed,
    /// It exists, but a call of it ends the plugin's instance.
    Trapped,
    Refused,
}

pub(super) fn surface(host: &Host, component: &Component) -> Surface {
    let access = |import: String| match (is_ours(&import), is_wasi(&import)) {
        (true, _) => (import, Access::Allowed),
        (_, true) => (import, Access::Trapped),
        _ => (convert::printable(&import), Access::Refused),
    };
    let exports = component.component_type();
    Surface {
        interface: built_for(host, component),
        imports: imports(host, component).map(access).collect(),
        exports: exports.exports(&host.engine).map(|(name, _)| convert::printable(name)).collect(),
    }
}

/// Refuses another interface, and imports that no plugin may have. WASI imports pass here, because some toolchains
/// cannot leave them out.
pub(super) fn vet(host: &Host, plugin: &str, component: &Component) -> Result<(), LoadError> {
    if let Some(found) = built_for(host, component).filter(|found| !version::runs(found)) {
        return Err(LoadError::Version { plugin: plugin.into(), found });
    }
    match imports(host, component).find(|import| !is_ours(import) && !is_wasi(import)) {
        // The component chose this name, so it may hold any characters.
        Some(import) => Err(LoadError::ForeignImport { plugin: plugin.into(), import: convert::printable(&import) }),
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
    trap_wasi(host, component, &mut linker).map_err(world)?;
    PolicyPluginPre::new(linker.instantiate_pre(component).map_err(world)?).map_err(world)
}

/// Defines WASI imports as functions that trap. It defines only WASI's: a function from a later version of the
/// interface must be missing when the plugin is loaded, not when it is called.
fn trap_wasi(host: &Host, component: &Component, linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let imports = component.component_type();
    for (interface, item) in imports.imports(&host.engine).filter(|(import, _)| is_wasi(import)) {
        let ComponentItem::ComponentInstance(wanted) = item.ty else { continue };
        let mut stubs = linker.instance(interface)?;
        for (name, item) in wanted.exports(&host.engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let called = format!("{interface}#{name} is not granted to plugins");
                    stubs.func_new(name, move |_, _, _, _| Err(wasmtime::Error::msg(called.clone())))?;
                }
                ComponentItem::Resource(_) => stubs.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn imports(host: &Host, component: &Component) -> impl Iterator<Item = String> {
    let imports: Vec<String> =
        component.component_type().imports(&host.engine).map(|(name, _)| name.to_owned()).collect();
    imports.into_iter()
}

/// Explains an error of the linker in terms of the interface's versions.
pub(super) fn another_world(host: &Host, plugin: &str, component: &Component, found: &wasmtime::Error) -> LoadError {
    let (plugin, detail) = (plugin.to_owned(), one_line(found));
    match built_for(host, component).filter(|version| version::is_later(version)) {
        Some(found) => LoadError::Later { plugin, found, detail },
        None => LoadError::World { plugin, detail },
    }
}

/// The version of the interface that the component was built for; None if it exports no policy.
pub(super) fn built_for(host: &Host, component: &Component) -> Option<String> {
    component.component_type().exports(&host.engine).find_map(|(name, _)| version::of_export(name).map(str::to_owned))
}

fn is_ours(import: &str) -> bool {
    import.starts_with("metagate:policy/")
}

fn is_wasi(import: &str) -> bool {
    import.starts_with("wasi:")
}

/// Makes the text printable: wasmtime quotes names from the component, which may hold any characters.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    convert::printable(&format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" "))
}
