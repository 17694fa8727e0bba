//! From `metagate plugin new` to a decision.

use std::fs;

use serde_json::{Value, json};

use crate::{
    gateway::{load, outcome, pod, policy},
    toolchains::{Language, NAME, Project, Toolchains},
};

#[tokio::test]
async fn a_javascript_project_becomes_a_plugin_that_decides() {
    let Some(toolchains) = Toolchains::installed() else { return };
    decides(&toolchains, toolchains.project(Language::JavaScript)).await;
}

#[tokio::test]
async fn a_python_project_becomes_a_plugin_that_decides() {
    let Some(toolchains) = Toolchains::installed() else { return };
    decides(&toolchains, toolchains.project(Language::Python)).await;
}

async fn decides(toolchains: &Toolchains, project: &Project) {
    let inspect = format!("metagate plugin inspect {NAME}.wasm");
    let found = toolchains.run(&format!("{inspect} --output json"), project.path());
    let found: Value = serde_json::from_str(&found).unwrap();
    let imports = found["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["access"] == "allowed"), "{imports:?}");
    assert_eq!(
        (&found["kind"], &found["interface"], &found["refused"], &found["interest"][0][1]),
        (&json!("component"), &json!("0.1.0"), &Value::Null, &json!(["tier"]))
    );
    check(toolchains, project, found["table"].as_str().unwrap());

    let policy = policy(load(&[], &project.component(), json!({})).await.unwrap()).await;
    let mut trusted = pod("dba-0", "admin/dba");
    trusted.labels = trusted.labels.with([("tier", "trusted")]);
    assert_eq!(outcome(&policy, trusted).await, "granted arn:aws:iam::123456789012:role/admin/dba");
    assert_eq!(
        outcome(&policy, pod("dba-1", "admin/dba")).await,
        "denied not-trusted: roles under /admin/ are for pods labelled tier=trusted"
    );
    assert_eq!(outcome(&policy, pod("web-0", "checkout")).await, "granted arn:aws:iam::123456789012:role/checkout");
    let refused = load(&[], &project.component(), json!({ "lable": "tier" })).await.err().unwrap().to_string();
    assert!(refused.contains("unknown field `lable`, expected `label` or `value`"), "{refused}");
}

/// The table that `inspect` prints, in the configuration of the sandbox.
fn check(toolchains: &Toolchains, project: &Project, table: &str) {
    let sandbox = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/sandbox.toml")).unwrap();
    fs::write(project.path().join("metagate.toml"), format!("{sandbox}\n{table}")).unwrap();
    let printed = toolchains.run("metagate check --config metagate.toml", project.path());
    assert!(printed.starts_with("ok: ") && printed.ends_with(" 4 plugins load\n"), "{printed}");
}
