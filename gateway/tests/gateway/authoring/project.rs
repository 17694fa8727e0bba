//! A new project: it builds with cargo alone, its cases pass, and they notice a change.

use std::{collections::BTreeMap, fs, path::Path};

use toml_edit::{DocumentMut, Item};

use super::{Folder, authors, lock, metagate, target};

fn cargo(arguments: &[&str], project: &Path, target: &Path) {
    let mut cargo = authors(env!("CARGO"), project);
    let ended = cargo.args(arguments).env("CARGO_TARGET_DIR", target).output().unwrap();
    assert!(ended.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_rust_project_builds_with_cargo_alone_and_its_cases_notice_a_change() {
    let folder = Folder::with(&[]);
    let ran = metagate(&["plugin", "new", "new-policy", "--lang", "rust"], folder.path());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let build = "cargo build --release --target wasm32-unknown-unknown";
    let test = "metagate plugin test target/wasm32-unknown-unknown/release/new_policy.wasm";
    assert_eq!(ran.out, format!("cd new-policy\ncargo test --release\n{build}\n{test}\n"));

    let project = folder.file("new-policy");
    let (target, _alone) = target();
    lock(&project);
    let build: Vec<&str> = build.split(' ').skip(1).collect();
    cargo(&["test", "--release"], &project, &target);
    cargo(&build, &project, &target);
    let wasm = target.join("wasm32-unknown-unknown/release/new_policy.wasm");
    let wasm = wasm.to_str().unwrap();
    // As large as the same rule within this repository, which is 131 KB.
    assert!(fs::metadata(wasm).unwrap().len() < 140_000);
    let passed = metagate(&["plugin", "test", wasm], &project);
    assert_eq!(passed.code, 0, "{}{}", passed.out, passed.err);
    let inspected = metagate(&["plugin", "inspect", wasm], &project);
    assert!(inspected.code == 0 && inspected.out.contains("name = \"new-policy\""), "{}", inspected.out);

    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let changed = text.replace("\"/admin/\"", "\"/root/\"").replace("\"tier\".to_owned()", "String::new()");
    fs::write(&source, changed).unwrap();
    cargo(&build, &project, &target);
    let failed = metagate(&["plugin", "test", wasm], &project);
    assert_eq!(failed.code, 3, "{}{}", failed.out, failed.err);
    assert!(failed.out.contains("FAIL  an admin role is for trusted pods"), "{}", failed.out);
    assert!(failed.out.contains("authorize                  expected  deny not-trusted"), "{}", failed.out);
    // Now the plugin has no default label, and says so.
    let inspected = metagate(&["plugin", "inspect", wasm], &project);
    let error = "not without a configuration (give one with --config): label: must not be empty";
    assert!(
        inspected.code == 78 && inspected.out.contains(error) && !inspected.out.contains("[[plugin]]"),
        "{}",
        inspected.out
    );
}

#[test]
fn every_language_has_a_project_without_a_placeholder_left() {
    let folder = Folder::with(&[]);
    for (language, interface) in
        [("rust", "sdk/wit/policy.wit"), ("js", "wit/policy.wit"), ("python", "wit/policy.wit")]
    {
        let name = format!("policy-{language}");
        let ran = metagate(&["plugin", "new", &name, "--lang", language, "--in", "deep/er"], folder.path());
        assert!(ran.code == 0 && ran.out.lines().count() > 1, "{}{}", ran.out, ran.err);
        let project = folder.file("deep/er").join(&name);
        let wit = fs::read_to_string(project.join(interface)).unwrap();
        assert_eq!(wit, include_str!("../../../../plugin-sdk/wit/policy.wit"));
        let readme = fs::read_to_string(project.join("README.md")).unwrap();
        assert!(readme.contains(&name) && !readme.contains("{{"), "{readme}");
    }
}

#[test]
fn existing_files_are_not_overwritten() {
    let folder = Folder::with(&[("notes.txt", b"mine")]);
    fs::create_dir(folder.file("empty")).unwrap();
    fs::create_dir_all(folder.file("taken/src")).unwrap();
    let new = |name: &str| metagate(&["plugin", "new", name, "--lang", "rust"], folder.path());
    assert_eq!(new("empty").code, 0);
    let again = new("empty");
    assert!(again.code == 1 && again.err.contains("is there and not empty"), "{}", again.err);
    assert_eq!(new("taken").code, 1);
    let bad = new("Office_Hours");
    assert!(bad.code == 1 && bad.err.contains("is no plugin's name"), "{}", bad.err);
    assert_eq!(fs::read_dir(folder.file("taken")).unwrap().count(), 1);
}

/// The project's SDK has the dependencies and package keys of this repository's SDK, without what only this repository
/// needs.
#[test]
fn the_projects_sdk_is_this_repositorys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap().parse::<DocumentMut>().unwrap();
    let (workspace, own) = (read("Cargo.toml"), read("plugin-sdk/Cargo.toml"));
    let written = read("plugin-sdk/templates/rust/sdk/Cargo.toml");
    let text = |item: &Item| item.to_string().trim().replace(' ', "");
    let dependencies = |table: &Item, resolved: bool| -> BTreeMap<String, String> {
        let entries = table.as_table_like().unwrap().iter();
        entries
            .map(|(name, item)| {
                let item = if resolved { &workspace["workspace"]["dependencies"][name] } else { item };
                (name.to_owned(), text(item))
            })
            .collect()
    };
    assert_eq!(dependencies(&written["dependencies"], false), dependencies(&own["dependencies"], true));
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        assert_eq!(text(&written["package"][key]), text(&workspace["workspace"]["package"][key]), "{key}");
    }
    assert_eq!(text(&written["package"]["name"]), text(&own["package"]["name"]));
    let project = read("plugin-sdk/templates/rust/Cargo.toml");
    assert_eq!(text(&project["package"]["edition"]), text(&workspace["workspace"]["package"]["edition"]));
    let mut profile = workspace["profile"]["plugin"].as_table().unwrap().clone();
    // A project's release has these anyway; this repository's profile inherits the development profile.
    for inherited in ["inherits", "debug", "debug-assertions", "overflow-checks", "incremental"] {
        profile.remove(inherited);
    }
    assert_eq!(project["profile"]["release"].as_table().unwrap().to_string().trim(), profile.to_string().trim());
}
