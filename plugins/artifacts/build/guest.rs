use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::ComponentEncoder;

use crate::{read, variable, write};

const TARGET: &str = "wasm32-unknown-unknown";
/// Names a folder with components built elsewhere, `NAME.wasm` each, which are used instead of building them.
const PREBUILT: &str = "METAGATE_PLUGIN_DIR";

/// Variables that the guests' build must not inherit: flags for the gateway's target, a wrapper such as clippy's
/// driver, and the target folder that the outer cargo has locked.
const NOT_INHERITED: [&str; 11] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_INCREMENTAL",
];

/// The sources of the guests, relative to the workspace's root.
const SOURCES: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "plugin-sdk/Cargo.toml",
    "plugin-sdk/src",
    "plugin-sdk/wit",
    "plugins/annotations",
    "plugins/namespace-regex",
    "plugins/irsa-fallback",
    "plugins/testing",
    "plugins/artifacts/Cargo.toml",
];

/// A plugin of this repository.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

impl Guest {
    pub(crate) fn file(&self) -> String {
        format!("{}.wasm", self.name)
    }

    pub(crate) fn code_file(&self) -> String {
        format!("{}.cwasm", self.name)
    }
}

/// Puts each guest's component into the folder.
pub(crate) fn put_components(guests: &[Guest], out: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={PREBUILT}");
    if let Some(folder) = env::var_os(PREBUILT).map(PathBuf::from) {
        for guest in guests {
            let path = folder.join(guest.file());
            println!("cargo::rerun-if-changed={}", path.display());
            let component = read(&path).map_err(|error| format!("{PREBUILT}: {error}"))?;
            write(&out.join(guest.file()), &component)?;
        }
        return Ok(());
    }
    let modules = build(guests, &out.join("guests"))?;
    for guest in guests {
        let module = read(&modules.join(format!("{}.wasm", guest.package.replace('-', "_"))))?;
        let component = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| format!("{} is not a component: {error:#}", guest.name))?;
        write(&out.join(guest.file()), &component)?;
    }
    Ok(())
}

/// Builds the guests' modules and returns their folder.
fn build(guests: &[Guest], target_folder: &Path) -> Result<PathBuf, String> {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    for example in guests.iter().filter(|guest| guest.package.starts_with("metagate-example-")) {
        // Not the whole folder: its cases and its README are not part of the component.
        for part in ["Cargo.toml", "src"] {
            println!(
                "cargo::rerun-if-changed={}",
                root.join("plugins/examples").join(example.name).join(part).display()
            );
        }
    }
    let sysroot = target_installed(&root)?;

    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(&root).args(["build", "--profile", "plugin", "--locked", "--target", TARGET, "--target-dir"]);
    cargo.arg(target_folder).args(guests.iter().flat_map(|guest| ["-p", guest.package]));
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    // Panic messages hold source paths, which must be the same on every machine.
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let mut remaps = vec![(sysroot, "/rust"), (root.display().to_string(), "/metagate")];
    remaps.extend(home.ok().map(|home| (home, "/cargo")));
    let flags: Vec<String> = remaps.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let status = cargo.status().map_err(|error| format!("cargo for the plugins: {error}"))?;
    if !status.success() {
        return Err(format!("the plugins do not build, see above ({status})"));
    }
    Ok(target_folder.join(TARGET).join("plugin"))
}

/// Checks that the target's standard library is installed, and returns the toolchain's folder. Without the check the
/// compiler would report a missing crate `core`.
fn target_installed(root: &Path) -> Result<String, String> {
    let rustc = variable("RUSTC")?;
    let print = |what: &[&str]| {
        let output = Command::new(&rustc).current_dir(root).args(what).output();
        let output = output.map_err(|error| format!("{rustc}: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if Path::new(&print(&["--print", "target-libdir", "--target", TARGET])?).is_dir() {
        print(&["--print", "sysroot"])
    } else {
        Err(format!(
            "the plugins need the target {TARGET}: run `rustup target add {TARGET}`, \
             or set {PREBUILT} to a folder with the components, NAME.wasm each"
        ))
    }
}
