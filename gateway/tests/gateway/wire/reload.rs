//! Plugin files and a configuration that change under a running gateway, as pods and operators see it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signer as _, SigningKey};
use metagate::plugin::{Plugin, digest_hex};
use metagate_plugin_artifacts::{
    builtin,
    testing::{FOREIGN_IMPORT, HOSTILE, WRONG_WORLD},
};
use metagate_testkit::FakeSource;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{admin::look, *};

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

/// Allows what the pod's namespace permits.
fn allowing() -> &'static [u8] {
    builtin("namespace-regex").unwrap().wasm
}

/// Abstains from everything, so that no plugin allows anything.
const SILENT: &[u8] = HOSTILE;

/// The same component in other bytes: an empty custom section is appended.
fn again(wasm: &[u8], name: u8) -> Vec<u8> {
    [wasm, &[0, 2, 1, name]].concat()
}

/// A gateway over files.
struct Lab {
    folder: TempDir,
    gateway: TestGateway,
    source: Arc<FakeSource>,
}

impl Lab {
    /// A lab whose last plugin is `own.wasm`.
    async fn with(own: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        replace(&folder.path().join("own.wasm"), own);
        Self::over(folder).await
    }

    async fn over(folder: TempDir) -> Self {
        let config = folder.path().join("metagate.toml");
        replace(&config, config_with(&own("")).as_bytes());
        let source = Arc::new(FakeSource::default());
        let gateway = setup().file(&config).source(Arc::clone(&source) as _).start().await.unwrap();
        Self { folder, gateway, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, plugins: &str) {
        replace(&self.path("metagate.toml"), config_with(plugins).as_bytes());
    }

    async fn reloads(&self, result: &str, what: &str, times: usize) {
        let line = format!("metagate_reloads_total{{result=\"{result}\",what=\"{what}\"}} {times}");
        until_metric(&self.gateway, &line).await;
    }

    async fn status(&self) -> u16 {
        get(&self.gateway, CHECKOUT, CREDENTIAL).await.status
    }

    async fn state(&self) -> serde_json::Value {
        serde_json::from_slice(&look(&self.gateway, "/api/v1/state").await.body).unwrap()
    }

    fn plugins(&self) -> Vec<Plugin> {
        self.gateway.gateway().policy.rules().plugins.clone()
    }
}

fn own(more: &str) -> String {
    format!("[[plugin]]\nname = 'own'\npath = 'own.wasm'\ntimeout = '2s'\n{more}\n")
}

/// A role for each pod that has its annotation, and these plugins.
fn config_with(plugins: &str) -> String {
    format!(
        "credentials.base_role_arn = 'arn:aws:iam::123456789012:role/'\ncredentials.region = 'eu-west-1'\n\
         credentials.wait = '10s'\nimds.endpoint = 'sandbox'\nroster.source = 'sandbox'\n\
         [[plugin]]\nname = 'annotations'\nbuiltin = 'annotations'\ntimeout = '2s'\n{plugins}"
    )
}

/// Replaces a file as editors and package managers do: another file takes the name.
fn replace(path: &Path, bytes: &[u8]) {
    let next = path.with_extension("next");
    fs::write(&next, bytes).unwrap();
    fs::rename(&next, path).unwrap();
}

fn digest(wasm: &[u8]) -> String {
    digest_hex(&Sha256::digest(wasm))
}

#[tokio::test]
async fn a_changed_plugin_file_decides_from_then_on_whether_it_was_replaced_or_written_to() {
    let lab = Lab::with(allowing()).await;
    assert_eq!(lab.status().await, 200);
    replace(&lab.path("own.wasm"), SILENT);
    lab.reloads("accepted", "plugin", 1).await;
    assert_eq!(lab.status().await, 403, "nobody allows it any more");
    fs::write(lab.path("own.wasm"), allowing()).unwrap();
    lab.reloads("accepted", "plugin", 2).await;
    assert_eq!(lab.status().await, 200);
    let state = lab.state().await;
    assert_eq!((&state["configuration"]["generation"], &state["configuration"]["refused"]), (&3.into(), &().into()));
    assert_eq!(state["plugins"][1]["sha256"], digest(allowing()));
}

#[tokio::test]
async fn a_plugin_in_a_mounted_volume_follows_the_swap_of_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, wasm) in [("..1", allowing()), ("..2", SILENT)] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("own.wasm"), wasm).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/own.wasm", at("own.wasm")).unwrap();
    let lab = Lab::over(folder).await;
    assert_eq!(lab.status().await, 200);
    symlink("..2", lab.path("..data_tmp")).unwrap();
    fs::rename(lab.path("..data_tmp"), lab.path("..data")).unwrap();
    lab.reloads("accepted", "plugin", 1).await;
    assert_eq!(lab.status().await, 403);
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_plugin_and_is_reported_until_it_is_put_back() {
    let lab = Lab::with(allowing()).await;
    let half = &allowing()[..allowing().len() / 2];
    let bad: [(&[u8], &str); 5] = [
        (b"garbage", "not a component"),
        (half, "not a component"),
        (FOREIGN_IMPORT, "imports "),
        (WRONG_WORLD, "not of the world"),
        (b"", "not a component"),
    ];
    for (times, (bad, reason)) in bad.into_iter().enumerate() {
        fs::write(lab.path("own.wasm"), bad).unwrap();
        lab.reloads("refused", "plugin", times + 1).await;
        assert_eq!(lab.status().await, 200);
        let refused = &lab.state().await["configuration"]["refused"];
        let error = refused["error"].as_str().unwrap();
        assert!(error.starts_with("plugin own: ") && error.contains(reason) && refused["at"].is_string(), "{error}");
    }
    fs::remove_file(lab.path("own.wasm")).unwrap();
    lab.reloads("refused", "plugin", 6).await;
    assert_eq!(lab.status().await, 200);
    until_metric(&lab.gateway, "metagate_reload_refused 1").await;
    let ready = look(&lab.gateway, "/readyz").await;
    let (status, text) = (ready.status, ready.text());
    assert_eq!((status, text.lines().count()), (200, 2), "{text}");
    assert!(text.starts_with("ok\nthe last reload was refused: plugin own: "), "{text}");
    assert!(text.contains("own.wasm: No such file"), "{text}");

    replace(&lab.path("own.wasm"), allowing());
    lab.reloads("accepted", "plugin", 1).await;
    until_metric(&lab.gateway, "metagate_reload_refused 0").await;
    assert_eq!(look(&lab.gateway, "/readyz").await.text(), "ok\n");
    let configuration = &lab.state().await["configuration"];
    assert!(configuration["refused"].is_null());
    assert_eq!(configuration["generation"], 1, "it is what ran all the time");
}

#[tokio::test]
async fn a_bad_configuration_is_refused_whole_and_its_plugins_files_are_followed_all_the_same() {
    let lab = Lab::with(allowing()).await;
    let another = "[[plugin]]\nname = 'another'\npath = 'another.wasm'\ntimeout = '2s'\n";
    for (times, (plugins, reason)) in [
        (own("timeout = 'long'"), "metagate.toml:"),
        (own("config = { colour = 1 }"), "unknown field `colour`"),
        (format!("{}{another}", own("")), "another.wasm: No such file"),
    ]
    .into_iter()
    .enumerate()
    {
        lab.configure(&plugins);
        lab.reloads("refused", "config", times + 1).await;
        let error = lab.state().await["configuration"]["refused"]["error"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "{error}");
        assert_eq!((lab.status().await, lab.plugins().len()), (200, 2));
    }
    replace(&lab.path("another.wasm"), SILENT);
    lab.reloads("accepted", "plugin", 1).await;
    assert_eq!((lab.status().await, lab.plugins().len()), (200, 3));
    replace(&lab.path("another.wasm"), b"garbage");
    lab.reloads("refused", "plugin", 1).await;
    lab.configure(&own(""));
    lab.reloads("accepted", "config", 1).await;
    assert_eq!(look(&lab.gateway, "/readyz").await.text(), "ok\n", "a plugin that is not configured cannot be wrong");
}

#[tokio::test]
async fn a_pinned_plugin_and_its_pin_may_change_in_either_order() {
    let lab = Lab::with(allowing()).await;
    let pinned = |wasm| own(&format!("sha256 = '{}'", digest(wasm)));
    lab.configure(&pinned(allowing()));
    lab.reloads("accepted", "config", 1).await;
    replace(&lab.path("own.wasm"), SILENT);
    lab.reloads("refused", "plugin", 1).await;
    assert_eq!(lab.status().await, 200);
    lab.configure(&pinned(SILENT));
    lab.reloads("accepted", "config", 2).await;
    assert_eq!(lab.status().await, 403);

    lab.configure(&pinned(allowing()));
    lab.reloads("refused", "config", 1).await;
    assert_eq!(lab.status().await, 403);
    replace(&lab.path("own.wasm"), allowing());
    lab.reloads("accepted", "plugin", 1).await;
    assert_eq!(lab.status().await, 200);
}

#[tokio::test]
async fn an_unchanged_plugin_is_not_loaded_again() {
    let lab = Lab::with(allowing()).await;
    let before = lab.plugins();
    lab.configure(&own("mode = 'audit'"));
    lab.reloads("accepted", "config", 1).await;
    let after = lab.plugins();
    assert!(after[0].is(&before[0]) && !after[1].is(&before[1]), "the second has another mode");
    assert_eq!(lab.status().await, 200);
    // A file that was only touched causes no report: the next report is about the garbage.
    fs::write(lab.path("own.wasm"), allowing()).unwrap();
    lab.configure(&format!("{}[policy]\nmode = 'audit'\n", own("mode = 'audit'")));
    lab.reloads("accepted", "config", 2).await;
    fs::write(lab.path("own.wasm"), "garbage").unwrap();
    lab.reloads("refused", "plugin", 1).await;
    assert!(lab.plugins().iter().zip(&after).all(|(now, then)| now.is(then)));
    let metrics = look(&lab.gateway, "/metrics").await.text();
    assert!(!metrics.contains("metagate_reloads_total{result=\"accepted\",what=\"plugin\"}"), "{metrics}");
    assert_eq!(lab.state().await["configuration"]["generation"], 3);
}

#[tokio::test]
async fn a_swap_whose_answers_are_the_same_interrupts_nobody() {
    let lab = Lab::with(allowing()).await;
    assert_eq!(lab.status().await, 200);
    let before = lab.plugins();
    let next = again(allowing(), b'a');
    replace(&lab.path("own.wasm"), &next);
    let mut asked = 0;
    // Decisions before the swap, during the compilation, and after.
    while lab.plugins()[1].is(&before[1]) || asked < 3 {
        assert_eq!(lab.status().await, 200);
        asked += 1;
        // A client that never pauses leaves the compiler, which has a lower priority, little of a small machine.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lab.status().await, 200);
    assert_eq!(lab.state().await["plugins"][1]["sha256"], digest(&next));
    let fetched = lab.source.asked().iter().filter(|role| role.ends_with("/payments-checkout")).count();
    assert_eq!(fetched, 1, "the cached credential is served");
}

#[tokio::test]
async fn after_changes_in_quick_succession_the_newest_applies() {
    let lab = Lab::with(allowing()).await;
    let newest = again(allowing(), b'z');
    for wasm in [SILENT, b"garbage", &again(SILENT, b'y'), &newest] {
        fs::write(lab.path("own.wasm"), wasm).unwrap();
        tokio::task::yield_now().await;
    }
    let arrived = async {
        while digest_hex(lab.plugins()[1].digest()) != digest(&newest) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arrived).await.unwrap();
    assert_eq!(lab.status().await, 200);
    until_metric(&lab.gateway, "metagate_reload_refused 0").await;
}

#[tokio::test]
async fn a_signature_that_comes_after_its_file_is_seen() {
    use base64::prelude::*;
    let signing = SigningKey::from_bytes(&[1; 32]);
    let spki = [&BASE64_STANDARD.decode("MCowBQYDK2VwAyEA").unwrap(), &signing.verifying_key().to_bytes()[..]].concat();
    let keys = format!("[plugin_files]\npublic_keys = ['{}']\n", BASE64_STANDARD.encode(spki));
    let lab = Lab::with(allowing()).await;
    let sign = |wasm| replace(&lab.path("own.wasm.sig"), &signing.sign(wasm).to_bytes());

    lab.configure(&format!("{}{keys}", own("")));
    lab.reloads("refused", "config", 1).await;
    sign(allowing());
    lab.reloads("accepted", "plugin", 1).await;
    replace(&lab.path("own.wasm"), SILENT);
    lab.reloads("refused", "plugin", 1).await;
    assert_eq!(lab.status().await, 200);
    sign(SILENT);
    lab.reloads("accepted", "plugin", 2).await;
    assert_eq!(lab.status().await, 403);
    sign(allowing());
    lab.reloads("refused", "plugin", 2).await;
    let error = lab.state().await["configuration"]["refused"]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("plugin own: ") && error.contains("own.wasm.sig"), "{error}");
}

/// No watched file holds the key's mode.
#[tokio::test]
async fn a_refused_reload_is_retried_without_a_change_of_any_file() {
    let lab = Lab::with(allowing()).await;
    let key = lab.path("key");
    fs::write(&key, format!("{}=\n", "A".repeat(43))).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    lab.configure(&format!("{}[plugin_files]\ncompiled = 'compiled'\ncompiled_key_file = 'key'\n", own("")));
    lab.reloads("refused", "config", 1).await;
    pass_seconds(31).await;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for _ in 0..3 {
        pass_seconds(70).await;
        // Waits for the attempt in flight.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    lab.reloads("accepted", "config", 1).await;
    lab.reloads("refused", "config", 1).await;
    assert_eq!(look(&lab.gateway, "/readyz").await.text(), "ok\n");
}

#[tokio::test]
async fn after_a_configured_account_is_removed_the_nodes_account_applies_again() {
    let folder = tempfile::tempdir().unwrap();
    replace(&folder.path().join("own.wasm"), allowing());
    let with_base = |base: &str| {
        let text = config_with(&format!("{}[policy]\nmode = 'audit'\n", own("")));
        text.replace("'arn:aws:iam::123456789012:role/'", base).into_bytes()
    };
    let config = folder.path().join("metagate.toml");
    replace(&config, &with_base("'auto'"));
    let source = Arc::new(FakeSource::default());
    let gateway = setup().file(&config).source(Arc::clone(&source) as _).start().await.unwrap();
    let lab = Lab { folder, gateway, source };
    let account = async || {
        let explained: serde_json::Value =
            serde_json::from_slice(&look(&lab.gateway, "/api/v1/explain?pod=payments/checkout-0").await.body).unwrap();
        explained["role_arn"].as_str().unwrap_or_default().split(':').nth(4).unwrap_or_default().to_owned()
    };
    // The sandbox's instance reports this account, a moment after the start.
    while account().await != "123456789012" {
        tokio::task::yield_now().await;
    }
    replace(&lab.path("metagate.toml"), &with_base("'arn:aws:iam::210987654321:role/'"));
    lab.reloads("accepted", "config", 1).await;
    assert_eq!(account().await, "210987654321");
    replace(&lab.path("metagate.toml"), &with_base("'auto'"));
    lab.reloads("accepted", "config", 2).await;
    assert_eq!(account().await, "123456789012");
}
