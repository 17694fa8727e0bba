//! Which plugins load, and what the errors of the others say.

use metagate::{
    config::{self, PluginCode},
    plugin::{LoadError, Plugin, digest_hex},
};
use metagate_plugin_artifacts::{
    BUILTINS,
    testing::{FOREIGN_IMPORT, HOSTILE, WANTS_WASI, WRONG_TYPES, WRONG_WORLD},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    bench::Bench,
    guests::{builtin, host, load, settings},
    pods::{does, much, pod},
};

/// Refuses the component with a message that contains every part.
async fn refused(wasm: &[u8], config: Value, parts: &[&str]) {
    let refusal = load(wasm, |guest| config::Plugin { config, ..guest }).await.map(|_| "loaded").unwrap_err();
    assert_says(&refusal, parts);
}

fn assert_says(refusal: &LoadError, parts: &[&str]) {
    let message = refusal.to_string();
    assert!(message.starts_with("plugin guest"), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

async fn refused_code(code: PluginCode, parts: &[&str]) {
    let refusal = Plugin::load(host(), settings("guest", code, json!({}))).await.map(|_| "loaded").unwrap_err();
    assert_says(&refusal, parts);
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    for not in [&b"#!/bin/sh"[..], b"", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0broken"] {
        refused(not, json!({}), &["is not a component", "build it as plugin-sdk/README.md says"]).await;
    }
}

#[tokio::test]
async fn a_component_of_another_world_is_refused() {
    let parts = ["policy-plugin@0.1.0", "no exported instance named `metagate:policy/plugin@0.1.0`", "plugin-sdk/wit"];
    refused(WRONG_WORLD, json!({}), &parts).await;
}

#[tokio::test]
async fn a_component_with_other_types_is_refused_as_one_of_another_world() {
    let parts = ["policy-plugin@0.1.0", "type mismatch", "build it for the interface in plugin-sdk/wit"];
    refused(WRONG_TYPES, json!({}), &parts).await;
}

#[tokio::test]
async fn a_component_that_imports_anything_else_is_refused() {
    refused(
        FOREIGN_IMPORT,
        json!({}),
        &["imports evil:io/files@0.1.0", "metagate:policy/host and nothing else", "build it without WASI"],
    )
    .await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((32 << 20) + 1).unwrap();
    let path = file.path().to_owned();
    let name = path.display().to_string();
    refused_code(PluginCode::File { path, sha256: None }, &[&name, "33554433 bytes", "may have 33554432", "strip"])
        .await;
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let path = std::path::PathBuf::from("no-such-folder/office-hours.wasm");
    refused_code(PluginCode::File { path, sha256: None }, &["no-such-folder/office-hours.wasm", "No such file"]).await;
}

#[tokio::test]
async fn a_file_with_another_digest_than_pinned_is_refused() {
    let found: [u8; 32] = Sha256::digest(HOSTILE).into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), HOSTILE).unwrap();
    let code = PluginCode::File { path: file.path().to_owned(), sha256: Some([7; 32]) };
    refused_code(code, &[&digest_hex(&found), &"07".repeat(32), "pin the new one"]).await;
}

#[tokio::test]
async fn an_unknown_builtin_is_refused_with_the_known_ones() {
    let code = PluginCode::Builtin("office-hours".into());
    refused_code(code, &["office-hours", "annotations, irsa-fallback, namespace-regex"]).await;
}

#[tokio::test]
async fn a_plugin_that_refuses_its_configuration_is_refused_in_its_own_words() {
    let code = PluginCode::Builtin("annotations".into());
    let refusal = Plugin::load(host(), settings("guest", code, json!({ "colour": 1 }))).await.map(|_| ()).unwrap_err();
    assert_says(&refusal, &["failed", "unknown field `colour`", "its config may be at fault"]);
}

#[tokio::test]
async fn a_plugin_that_fails_in_init_is_refused() {
    refused(HOSTILE, does("init", "trap"), &["trapped"]).await;
    refused(HOSTILE, does("init", "loop"), &["timed-out"]).await;
    refused(HOSTILE, much("init", "many-pairs", 257), &["invalid-answer", "more than 256 keys"]).await;
}

#[tokio::test]
async fn a_plugin_that_needs_the_clock_and_is_not_granted_it_is_refused_by_name() {
    for asked in ["now", "n*"] {
        let config = json!({ "interest": { "attributes": [asked] } });
        refused(HOSTILE, config.clone(), &["asks for the time", "not granted", "set clock = true"]).await;
        assert!(load(HOSTILE, |guest| config::Plugin { config, clock: true, ..guest }).await.unwrap().reads_clock());
    }
}

#[tokio::test]
async fn a_component_that_was_built_with_wasi_loads_and_fails_where_it_uses_it() {
    let bench = Bench::new([load(WANTS_WASI, |guest| guest).await.unwrap()]);
    let fault = bench.failed(pod(&[])).await;
    assert_eq!(fault.kind, metagate::plugin::PluginErrorKind::Trap);
    assert!(fault.detail.contains("wasi:cli/environment"), "{}", fault.detail);
}

#[tokio::test]
async fn every_builtin_loads_from_its_native_code_under_the_digest_of_its_component() {
    for embedded in BUILTINS {
        assert!(embedded.precompiled.is_some());
        let plugin = Plugin::load(host(), builtin(embedded.name, json!({}))).await.unwrap();
        assert_eq!(plugin.digest()[..], Sha256::digest(embedded.wasm)[..], "{}", embedded.name);
    }
}

#[tokio::test]
async fn the_pinned_file_loads_and_reports_its_digest() {
    let pinned: [u8; 32] = Sha256::digest(WANTS_WASI).into();
    let pin = |guest: config::Plugin| {
        let PluginCode::File { path, .. } = guest.code else { panic!("not from a file") };
        config::Plugin { code: PluginCode::File { path, sha256: Some(pinned) }, ..guest }
    };
    assert_eq!(load(WANTS_WASI, pin).await.unwrap().digest(), &pinned);
}
