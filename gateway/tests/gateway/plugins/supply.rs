//! Plugin files: their signatures, and the compiled copies that are stored.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use ed25519_dalek::{Signer, SigningKey};
use metagate::{
    config::{self, Compiled, PluginCode, PluginFiles},
    plugin::{Host, LoadError, Plugin, make_compiled},
};
use metagate_plugin_artifacts::testing::{HOSTILE, WRONG_WORLD};
use serde_json::json;
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::guests::{builtin, host, settings};

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The public keys whose files are accepted, as a configuration has them.
fn keys(seeds: &[u8]) -> PluginFiles {
    use base64::prelude::*;
    let spki = |seed: &u8| {
        let head = BASE64_STANDARD.decode("MCowBQYDK2VwAyEA").unwrap();
        BASE64_STANDARD.encode([head, signing(*seed).verifying_key().to_bytes().to_vec()].concat())
    };
    let public_keys = seeds.iter().map(|seed| spki(seed).parse().unwrap()).collect();
    PluginFiles { public_keys, compiled: None }
}

fn of_file(path: &Path) -> config::Plugin {
    settings("guest", PluginCode::File { path: path.to_owned(), sha256: None }, json!({}))
}

async fn refusal(host: &Host, path: &Path) -> LoadError {
    Plugin::load(host, of_file(path)).await.map(|_| "loaded").unwrap_err()
}

#[tokio::test]
async fn with_public_keys_a_file_loads_only_if_one_of_them_signed_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, signature) = (folder.path().join("guest.wasm"), folder.path().join("guest.wasm.sig"));
    fs::write(&path, HOSTILE).unwrap();
    let host = host().with_files(&keys(&[1, 2])).unwrap();
    let error = refusal(&host, &path).await.to_string();
    assert!(error.starts_with("plugin guest: ") && error.contains("guest.wasm.sig is missing"), "{error}");
    for wrong in [signing(3).sign(HOSTILE), signing(1).sign(WRONG_WORLD)] {
        fs::write(&signature, wrong.to_bytes()).unwrap();
        let error = refusal(&host, &path).await;
        assert!(matches!(error, LoadError::Signature { .. }), "{error}");
    }
    fs::write(&signature, signing(2).sign(HOSTILE).to_bytes()).unwrap();
    Plugin::load(&host, of_file(&path)).await.unwrap();
}

#[tokio::test]
async fn a_signature_does_not_replace_the_pin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, HOSTILE).unwrap();
    fs::write(folder.path().join("guest.wasm.sig"), signing(1).sign(HOSTILE).to_bytes()).unwrap();
    let code = PluginCode::File { path, sha256: Some([7; 32]) };
    let host = host().with_files(&keys(&[1])).unwrap();
    let error = Plugin::load(&host, settings("guest", code, json!({}))).await.map(|_| "loaded").unwrap_err();
    assert!(matches!(error, LoadError::Pin { .. }), "{error}");
}

#[tokio::test]
async fn a_builtin_needs_no_signature() {
    let host = host().with_files(&keys(&[1])).unwrap();
    Plugin::load(&host, builtin("annotations", json!({}))).await.unwrap();
}

/// A plugin's file, and a folder for its compiled copies.
struct Place {
    root: TempDir,
    from: Arc<Mutex<Vec<String>>>,
}

/// Collects where each component came from, and why a stored copy was not loaded.
struct Collector(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = LogLine(Vec::new());
        event.record(&mut line);
        self.0.lock().unwrap().append(&mut line.0);
    }
}

struct LogLine(Vec<String>);

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if ["from", "why"].contains(&field.name()) {
            self.0.push(format!("{value:?}").trim_matches('"').to_owned());
        }
    }
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap(), from: Arc::default() };
        fs::write(place.file(), HOSTILE).unwrap();
        make_compiled(place.files().compiled.as_ref().unwrap()).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("guest.wasm")
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("compiled")
    }

    fn files(&self) -> PluginFiles {
        let compiled = Compiled { folder: self.folder(), key_file: self.root.path().join("key") };
        PluginFiles { compiled: Some(compiled), ..PluginFiles::default() }
    }

    /// Loads the plugin as a starting gateway does: in an engine of its own.
    async fn start(&self) -> Plugin {
        let host = Host::new().unwrap().with_files(&self.files()).unwrap();
        let subscriber = tracing_subscriber::registry().with(Collector(Arc::clone(&self.from)));
        let _here = crate::log_capture::capture(subscriber);
        let plugin = Plugin::load(&host, of_file(&self.file())).await.unwrap();
        plugin.instance(&host).await.unwrap();
        plugin
    }

    fn from(&self) -> Vec<String> {
        std::mem::take(&mut self.from.lock().unwrap())
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn a_second_start_compiles_nothing_unless_the_stored_copy_was_changed() {
    let place = Place::new();
    let first = place.start().await;
    assert_eq!(place.from(), ["file"]);
    let second = place.start().await;
    assert_eq!((place.from(), second.digest()), (vec!["kept".to_owned()], first.digest()));

    let [entry] = <[PathBuf; 1]>::try_from(place.entries()).unwrap();
    let sound = fs::read(&entry).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&entry, changed).unwrap();
    place.start().await;
    assert_eq!(place.from(), ["was not made by this gateway, or was changed", "file"]);
    place.start().await;
    assert_eq!(place.from(), ["kept"]);

    // Another file at the same path gets its own entry.
    fs::write(place.file(), [HOSTILE, &[0, 2, 1, b'x']].concat()).unwrap();
    place.start().await;
    assert_eq!((place.from(), place.entries().len()), (vec!["file".to_owned()], 2));
}

#[tokio::test]
async fn a_plugin_loads_even_if_nothing_can_be_stored() {
    let place = Place::new();
    fs::remove_dir(place.folder()).unwrap();
    let host = host().with_files(&place.files()).unwrap();
    Plugin::load(&host, of_file(&place.file())).await.unwrap();
}
