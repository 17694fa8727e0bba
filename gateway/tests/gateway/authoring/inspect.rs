//! What `plugin inspect` prints of a file, whether the gateway would load it or not.

use metagate_plugin_artifacts::{
    EXAMPLE_TRUSTED_ADMIN,
    testing::{FOREIGN_IMPORT, HOSTILE, WANTS_WASI, WRONG_WORLD},
};
use serde_json::Value;

use super::{Folder, Ran, metagate};

fn inspected(wasm: &[u8], more: &[&str]) -> Ran {
    let folder = Folder::with(&[("my_guest.wasm", wasm)]);
    metagate(&[&["plugin", "inspect", "my_guest.wasm"], more].concat(), folder.path())
}

fn assert_printed(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{}", ran.out);
    for part in parts {
        assert!(ran.out.contains(part), "{part:?} is not in:\n{}", ran.out);
    }
}

#[test]
fn a_plugin_is_printed_with_its_cost_and_the_table_that_loads_it() {
    let ran = inspected(EXAMPLE_TRUSTED_ADMIN, &["--config", r#"{ "label": "clearance" }"#]);
    assert_printed(
        &ran,
        0,
        &[
            "kind        component",
            "interface   metagate:policy@0.1.0",
            "exports     metagate:policy/plugin@0.1.0",
            "metagate:policy/host@0.1.0           allowed",
            "reads       labels: clearance",
            "loads       yes",
            "[[plugin]]\nname = \"my-guest\"\npath = \"/",
            "config = { label = \"clearance\" }",
        ],
    );
    let table: toml_edit::DocumentMut = ran.out.split_once("\n\n").unwrap().1.parse().unwrap();
    let digest = ran.out.lines().find_map(|line| line.strip_prefix("sha256      ")).unwrap();
    assert_eq!(table["plugin"][0]["sha256"].as_str(), Some(digest));
}

#[test]
fn a_file_that_would_be_refused_is_described_with_the_reason() {
    assert_printed(
        &inspected(FOREIGN_IMPORT, &[]),
        78,
        &["evil:io/files@0.1.0                  refused", "loads       no: plugin my-guest: imports evil:io/files"],
    );
    assert_printed(
        &inspected(WRONG_WORLD, &[]),
        78,
        &[
            "interface   none: it exports no metagate:policy/plugin",
            "loads       no: plugin my-guest: is not of the world",
        ],
    );
    assert_printed(
        &inspected(b"\0asm\x01\0\0\0", &[]),
        78,
        &["kind        core module", "loads       no: is a core module", "wasm-component-ld"],
    );
    assert_printed(&inspected(b"#!/bin/sh", &[]), 78, &["kind        not WebAssembly", "is not a component"]);
    let ran = inspected(HOSTILE, &["--config", r#"{ "on": "init", "do": "loop" }"#]);
    assert_printed(&ran, 78, &["loads       no: plugin my-guest timed-out"]);
    assert!(!ran.out.contains("[[plugin]]"), "{}", ran.out);
}

#[test]
fn a_plugin_that_asks_for_the_time_needs_the_operators_grant() {
    let ran = inspected(HOSTILE, &["--config", r#"{ "interest": { "attributes": ["now"] } }"#]);
    assert_printed(
        &ran,
        0,
        &["attributes: now", "which the operator must permit with clock = true", "\nclock = true\n"],
    );
}

#[test]
fn a_plugins_names_cannot_control_the_terminal() {
    let ran = inspected(HOSTILE, &["--config", r#"{ "interest": { "labels": ["\u001b[2J"] } }"#]);
    assert_printed(&ran, 78, &["loads       no: plugin my-guest invalid-answer: its interest has"]);
    assert!(!ran.out.contains('\u{1b}'));
}

#[test]
fn wasi_imports_are_reported_as_traps() {
    assert_printed(
        &inspected(WANTS_WASI, &[]),
        0,
        &["wasi:cli/environment@0.2.6           trapped when called", "loads       yes"],
    );
}

#[test]
fn the_plugins_own_error_about_its_configuration_is_printed() {
    let strict = metagate_plugin_artifacts::builtin("namespace-regex").unwrap().wasm;
    assert_printed(&inspected(strict, &["--config", r#"{ "colour": 1 }"#]), 78, &["unknown field `colour`"]);
}

#[test]
fn json_says_the_same() {
    let json = inspected(HOSTILE, &["--output", "json"]);
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&found["kind"], &found["refused"], &found["imports"][0]["access"]),
        (&"component".into(), &Value::Null, &"allowed".into())
    );
}
