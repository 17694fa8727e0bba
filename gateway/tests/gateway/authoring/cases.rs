//! Wrong cases files, and their errors word for word.

use std::{fs, path::Path};

use metagate::authoring::Cases;
use metagate_plugin_artifacts::EXAMPLE_TRUSTED_ADMIN;

use super::{Folder, metagate};

#[test]
fn wrong_cases_are_refused_in_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/authoring");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == "toml"));
    files.sort();
    assert!(files.len() >= 8, "only {} in {}", files.len(), folder.display());
    let mut different = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let message =
            Cases::parse(Path::new(name), &fs::read_to_string(&file).unwrap()).expect_err(name).to_string() + "\n";
        let expected = file.with_extension("stderr");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, message).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != message {
            different.push(format!("--- {name}\n{message}"));
        }
    }
    assert!(different.is_empty(), "different from the .stderr file beside it:\n{}", different.join("\n"));
}

#[test]
fn unusable_files_exit_with_78_and_an_error_on_standard_error() {
    let folder = Folder::with(&[
        ("plugin.wasm", EXAMPLE_TRUSTED_ADMIN),
        ("text.wasm", b"#!/bin/sh"),
        ("one.toml", b"[[case]]\nname = 'a'\nworkload = { namespace = 'a', pod = 'b' }\nexpect.resolve = 'abstain'\n"),
        ("none.toml", b"[plugin]\n"),
    ]);
    for (arguments, message) in [
        (&["plugin", "test", "plugin.wasm"][..], "there is no cases.toml here\nhelp: name the cases with --cases"),
        (&["plugin", "test", "plugin.wasm", "--cases", "none.toml"], "none.toml: has no case\nhelp: add a [[case]]"),
        (&["plugin", "test", "plugin.wasm", "--cases", "no.toml"], "no.toml: No such file"),
        (&["plugin", "test", "text.wasm", "--cases", "one.toml"], "plugin text: is not a component"),
        (&["plugin", "test", "no.wasm", "--cases", "one.toml"], "plugin no: no.wasm: No such file"),
        (&["plugin", "inspect", "no.wasm"], "no.wasm: No such file"),
        (&["plugin", "inspect", "plugin.wasm", "--config", "tier"], "--config is not JSON"),
        (&["plugin", "inspect", "plugin.wasm", "--config", "[]"], "--config: expected a JSON object"),
    ] {
        let ran = metagate(arguments, folder.path());
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(message), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn cases_beside_the_plugin_take_precedence_over_those_in_the_current_folder() {
    let case = |name: &str| {
        format!("[[case]]\nname = '{name}'\nworkload = {{ namespace = 'a', pod = 'b' }}\nexpect.resolve = 'abstain'\n")
    };
    let (beside, here) = (case("beside"), case("here"));
    let folder = Folder::with(&[("cases.toml", here.as_bytes())]);
    fs::create_dir(folder.file("target")).unwrap();
    fs::write(folder.file("target/plugin.wasm"), EXAMPLE_TRUSTED_ADMIN).unwrap();
    let ran = metagate(&["plugin", "test", "target/plugin.wasm"], folder.path());
    assert!(ran.code == 0 && ran.out.starts_with("ok    here  "), "{}{}", ran.out, ran.err);
    fs::write(folder.file("target/cases.toml"), beside).unwrap();
    let ran = metagate(&["plugin", "test", "target/plugin.wasm"], folder.path());
    assert!(ran.code == 0 && ran.out.starts_with("ok    beside  "), "{}{}", ran.out, ran.err);
}
