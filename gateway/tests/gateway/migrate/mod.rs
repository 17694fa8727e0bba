//! Migration from kube2iam and kiam: what their manifests and flags become, and that nothing is ignored silently.

// clippy.toml's exemptions for tests apply only to code that is marked as a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use metagate::{
    app,
    clock::Clock,
    config::{Config, Sources, load},
    migrate::{Input, Kind, MANIFEST_MAX, Migration, Peer, migrate},
    telemetry::Telemetry,
};
mod flags;

const PEERS: [Peer; 2] = [Peer::Kube2iam, Peer::Kiam];

fn of_flags(peer: Peer, flags: &[impl AsRef<str>]) -> Migration {
    let flags: Vec<String> = flags.iter().map(|flag| flag.as_ref().to_owned()).collect();
    migrate(peer, Input::Flags(&flags)).unwrap()
}

fn loaded(config: &str) -> Config {
    let sources = Sources { file: Some(("metagate.toml".into(), config.to_owned())), ..Sources::default() };
    load(&sources).unwrap_or_else(|faults| panic!("{faults}\n{config}")).config
}

/// Checks as `metagate check` does: each plugin reads its configuration.
async fn check(config: &str) -> Config {
    let config = loaded(config);
    app::build_policy(&config, &Telemetry::unexported().unwrap(), Clock::system()).await.unwrap();
    config
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrate").join(name)
}

/// Manifests, and files with one flag per line.
fn cases(name: &str) -> Vec<(PathBuf, String)> {
    let paths = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == "yaml" || found == "args")).collect();
    cases.sort();
    cases.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn converted(peer: Peer, path: &Path, text: &str) -> Migration {
    if path.extension().is_some_and(|found| found == "args") {
        of_flags(peer, &text.lines().collect::<Vec<_>>())
    } else {
        migrate(peer, Input::Manifest(text)).unwrap()
    }
}

/// Returns the difference, or updates the file if that was requested.
fn golden(path: &Path, text: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).unwrap();
    }
    (fs::read_to_string(path).unwrap_or_default() != text).then(|| format!("--- {}\n{text}", path.display()))
}

#[tokio::test]
async fn manifests_and_flags_become_these_configurations_which_check_takes() {
    let mut different = Vec::new();
    for (peer, name, at_least) in [(Peer::Kube2iam, "kube2iam", 8), (Peer::Kiam, "kiam", 7)] {
        let cases = cases(name);
        assert!(cases.len() >= at_least, "{name}");
        for (path, text) in cases {
            let Migration { config, notes } = converted(peer, &path, &text);
            check(&config).await;
            different.extend(golden(&path.with_extension("toml"), &config));
            let verdict = if notes.is_complete() { "complete" } else { "incomplete" };
            different.extend(golden(&path.with_extension("notes"), &format!("{notes}\n({verdict})\n")));
            assert!(!config.contains("hunter2") && !notes.to_string().contains("hunter2"), "{}", path.display());
        }
    }
    assert!(different.is_empty(), "different from the file beside it:\n{}", different.join("\n"));
}

#[test]
fn manifests_that_cannot_be_read_are_refused_in_these_words() {
    let mut different = Vec::new();
    for (path, text) in cases("wrong") {
        let error = migrate(Peer::Kube2iam, Input::Manifest(&text)).expect_err(path.to_str().unwrap()).to_string();
        assert!(!error.contains("hunter2"), "{error}");
        different.extend(golden(&path.with_extension("stderr"), &format!("{error}\n")));
    }
    assert!(different.is_empty(), "different from the file beside it:\n{}", different.join("\n"));
}

#[test]
fn a_readable_manifest_of_the_other_peer_is_refused() {
    for (name, other) in [("kube2iam/calico.yaml", Peer::Kiam), ("kiam/calico.yaml", Peer::Kube2iam)] {
        let text = fs::read_to_string(folder(name)).unwrap();
        let error = migrate(other, Input::Manifest(&text)).unwrap_err().to_string();
        assert!(error.contains("it holds DaemonSet"), "{error}");
    }
}

#[test]
fn large_manifests_are_read_to_a_bound() {
    let manifest = |args: String| {
        format!("kind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - image: kube2iam\n    args:\n{args}")
    };
    let many = "    - --app-port=1\n    - --app-port=8282\n".repeat(30_000);
    let text = manifest(many + &"    - --odd\n".repeat(1000));
    assert!(text.len() > 1 << 20);
    let Migration { config, notes } = migrate(Peer::Kube2iam, Input::Manifest(&text)).unwrap();
    assert_eq!(loaded(&config).pods.listen.port(), 8282);
    assert!(notes.iter().count() < 30, "{notes}");

    let long = manifest(format!("    - --node={0}\n    - --{0}\n    - --iam-role-key={0}\n", "a".repeat(1 << 20)));
    let Migration { config, notes } = migrate(Peer::Kube2iam, Input::Manifest(&long)).unwrap();
    loaded(&config);
    assert!(config.len() + notes.to_string().len() < 10_000);

    let padded = format!("{}#{}", manifest(String::new()), " ".repeat(MANIFEST_MAX));
    let error = migrate(Peer::Kube2iam, Input::Manifest(&padded)).unwrap_err().to_string();
    assert!(error.contains("larger than 16 MiB"), "{error}");
}

#[tokio::test]
async fn the_examples_are_right_and_say_what_migrate_says() {
    for (name, peer, case) in
        [("kube2iam", Some(Peer::Kube2iam), "calico"), ("kiam", Some(Peer::Kiam), "calico"), ("irsa", None, "")]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../config/{name}.toml"));
        let example = check(&fs::read_to_string(path).unwrap()).await;
        let Some(peer) = peer else {
            assert!(example.plugins.iter().any(|plugin| plugin.name == "irsa-fallback"));
            continue;
        };
        let text = fs::read_to_string(folder(&format!("{name}/{case}.yaml"))).unwrap();
        let made = loaded(&migrate(peer, Input::Manifest(&text)).unwrap().config);
        let plugins = |config: &Config| -> Vec<_> {
            config.plugins.iter().map(|plugin| (plugin.name.clone(), plugin.config.clone())).collect()
        };
        assert_eq!(plugins(&example), plugins(&made), "{name}");
        assert_eq!(example.imds.allow, made.imds.allow, "{name}");
        assert_eq!(example.credentials.session_name, made.credentials.session_name, "{name}");
    }
}

// The program.

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metagate"));
    command.arg("migrate").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read its input closes the pipe.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn the_configuration_is_data_and_the_notes_are_diagnostics() {
    let path = folder("kube2iam/calico.yaml");
    let file = run(&["kube2iam", "--manifest", path.to_str().unwrap()], "");
    assert_eq!(file.code, 0, "{}", file.err);
    assert_eq!(file.out, fs::read_to_string(path.with_extension("toml")).unwrap());
    assert!(file.err.starts_with("Not needed:\n"), "{}", file.err);
    let stdin = run(&["kube2iam", "--manifest", "-"], &fs::read_to_string(&path).unwrap());
    assert_eq!((stdin.code, &stdin.out), (0, &file.out));
}

#[test]
fn what_was_lost_is_a_failure_that_still_prints_the_rest() {
    let flags =
        run(&["kiam", "--", "server", "--role-base-arn=arn:aws:iam::123456789012:role/", "--allow-ip-query"], "");
    assert_eq!(flags.code, 1);
    assert!(flags.out.contains("base_role_arn = \"arn:aws:iam::123456789012:role/\""), "{}", flags.out);
    assert!(flags.err.starts_with("Not carried over:\n  --allow-ip-query: "), "{}", flags.err);
}

#[test]
fn nothing_to_read_is_wrong_usage_and_nothing_readable_a_failure() {
    for arguments in [&["kube2iam"][..], &["kiam2", "--", "--port=1"], &["kiam", "--manifest", "a", "--", "--port=1"]] {
        let ran = run(arguments, "");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?} {}", ran.err);
    }
    let cut = run(&["kube2iam", "--manifest", "-"], "kind: [hunter2");
    assert_eq!((cut.code, cut.out.as_str()), (1, ""));
    assert!(cut.err.starts_with("metagate: the manifest is not YAML") && !cut.err.contains("hunter2"), "{}", cut.err);
    let missing = run(&["kube2iam", "--manifest", "no-such-file.yaml"], "");
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("cannot read no-such-file.yaml"), "{}", missing.err);
}
