//! The command: its output, and its exit code.

use std::process::{Command, Output};

use metagate_testkit::Setup;
use serde_json::Value;

use super::*;

/// The program with the sandbox's configuration, without those variables of this process's environment that it would
/// read.
async fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metagate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("METAGATE_") {
            command.env_remove(name);
        }
    }
    command.args(["doctor", "--sandbox"]).args(arguments).env("METAGATE_ADMIN__LISTEN", admin(folder));
    // The gateway that it asks runs in this process, so waiting must not block it.
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_running_sandbox_exits_with_0_and_prints_aligned_lines() {
    let folder = tempfile::tempdir().unwrap();
    let _gateway = Setup::default().set("admin.listen", &admin(&folder)).start().await.unwrap();
    let (code, out, err) = run(&folder, &[]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("pass  readiness              ready\n"), "{out}");
    assert!(out.contains("skip  sts                    sandbox\n"), "{out}");
    assert!(out.ends_with("\n6 pass, 0 warn, 0 fail, 17 skip\n"), "{out}");
}

#[tokio::test]
async fn a_failure_exits_with_1_and_prints_its_cure_below() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(&folder, &[]).await;
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let mut lines = out.lines().skip_while(|line| !line.starts_with("fail  gateway                no gateway answers"));
    assert!(lines.nth(1).unwrap().starts_with(&format!("{:29}-> Run this where", "")), "{out}");
}

#[tokio::test]
async fn json_has_every_check_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = run(&folder, &["--output", "json"]).await;
    assert_eq!(code, Some(1));
    let findings: Vec<Value> = serde_json::from_str(&out).unwrap();
    let checks: Vec<_> = findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(checks, CHECKS);
    assert_eq!((findings[1]["verdict"].as_str(), findings[6]["verdict"].as_str()), (Some("fail"), Some("skip")));
    assert!(findings[1]["cure"].is_string() && findings[6]["cure"].is_null());
}

#[tokio::test]
async fn a_missing_configuration_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml").display().to_string();
    let status = folder.path().join("status.json").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_metagate"));
    let output = command.args(["doctor", "--config", &missing, "--status-file", &status]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(out.starts_with(&format!("fail  configuration    {missing}: there is no such file\n")), "{out}");
}
