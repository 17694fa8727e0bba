//! Lists the files that `metagate plugin new` writes: the templates unchanged, the Rust SDK's sources, and the
//! interface. Also sets linker options that make the release binary smaller.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Files and folders that a build creates in a template's folder.
const BUILD_OUTPUTS: [&str; 5] = ["target", "Cargo.lock", "node_modules", ".venv", "__pycache__"];

fn main() {
    if let Err(error) = list() {
        println!("cargo::error={error}");
    }
    if is_released() && links_with_rust_lld() {
        // Identical functions are merged into one. No code here compares functions by their address.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        if glibc().is_some_and(|version| version >= PACKED_SINCE) {
            // A relocation of a position-independent program takes a few bits instead of 24 bytes. This saves 1.6 MiB.
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

fn is_released() -> bool {
    env::var("PROFILE").is_ok_and(|profile| profile == "release")
}

/// On this target Rust ships lld; another linker may not know these options.
fn links_with_rust_lld() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER");
    is("TARGET", "x86_64-unknown-linux-gnu")
        && is("HOST", "x86_64-unknown-linux-gnu")
        && is("CARGO_ENCODED_RUSTFLAGS", "")
        && env::var_os("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER").is_none()
}

/// The first glibc that reads packed relocations (its NEWS for 2.36). A program that is built on an older one also runs
/// there.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) = std::str::from_utf8(&output.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn list() -> Result<(), String> {
    let variable = |name| env::var(name).map(PathBuf::from).map_err(|error| format!("{name}: {error}"));
    let sdk = variable("CARGO_MANIFEST_DIR")?.join("../plugin-sdk");
    let sdk = sdk.canonicalize().map_err(|error| format!("{}: {error}", sdk.display()))?;
    let mut source = String::new();
    for (constant, template, sdk_folders) in [
        ("RUST", "rust", [("src", "sdk/src"), ("wit", "sdk/wit")].as_slice()),
        ("JAVASCRIPT", "javascript", &[("wit", "wit")]),
        ("PYTHON", "python", &[("wit", "wit")]),
    ] {
        let mut files = Vec::new();
        walk(&sdk.join("templates").join(template), "", &mut files)?;
        let templates = entries(&files);
        files.clear();
        for (from, to) in sdk_folders {
            walk(&sdk.join(from), to, &mut files)?;
        }
        let sdk_files = entries(&files);
        source += &format!(
            "pub(super) const {constant}: Template = Template {{\n    files: &[\n{templates}    ],\n    kept: &[\n{sdk_files}    ],\n}};\n"
        );
    }
    let out = variable("OUT_DIR")?.join("templates.rs");
    fs::write(&out, source).map_err(|error| format!("{}: {error}", out.display()))
}

/// All files below a folder, with the path that each is written to.
fn walk(folder: &Path, to: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let failed = |error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = if to.is_empty() { name.clone() } else { format!("{to}/{name}") };
        if path.is_dir() && !BUILD_OUTPUTS.contains(&name.as_str()) {
            walk(&path, &to, files)?;
        } else if path.is_file() && !BUILD_OUTPUTS.contains(&name.as_str()) {
            files.push((to, path));
        }
    }
    Ok(())
}

fn entries(files: &[(String, PathBuf)]) -> String {
    files
        .iter()
        .map(|(to, from)| format!("        ({to:?}, include_str!({:?})),\n", from.display().to_string()))
        .collect()
}
