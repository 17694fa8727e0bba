//! Lists the files that `metagate plugin new` writes: the templates as they are, the Rust SDK's sources, and the interface.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What building in a template's folder leaves behind.
const LEFT_BEHIND: [&str; 5] = ["target", "Cargo.lock", "node_modules", ".venv", "__pycache__"];

fn main() {
    if let Err(error) = list() {
        println!("cargo::error={error}");
    }
}

fn list() -> Result<(), String> {
    let variable = |name| env::var(name).map(PathBuf::from).map_err(|error| format!("{name}: {error}"));
    let sdk = variable("CARGO_MANIFEST_DIR")?.join("../plugin-sdk");
    let sdk = sdk.canonicalize().map_err(|error| format!("{}: {error}", sdk.display()))?;
    let mut source = String::new();
    for (constant, template, beside) in [
        ("RUST", "rust", [("src", "sdk/src"), ("wit", "sdk/wit")].as_slice()),
        ("JAVASCRIPT", "javascript", &[("wit", "wit")]),
        ("PYTHON", "python", &[("wit", "wit")]),
    ] {
        let mut files = Vec::new();
        walk(&sdk.join("templates").join(template), "", &mut files)?;
        let templates = entries(&files);
        files.clear();
        for (from, to) in beside {
            walk(&sdk.join(from), to, &mut files)?;
        }
        let kept = entries(&files);
        source += &format!(
            "pub(super) const {constant}: Template = Template {{\n    files: &[\n{templates}    ],\n    kept: &[\n{kept}    ],\n}};\n"
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
        if path.is_dir() && !LEFT_BEHIND.contains(&name.as_str()) {
            walk(&path, &to, files)?;
        } else if path.is_file() && !LEFT_BEHIND.contains(&name.as_str()) {
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
