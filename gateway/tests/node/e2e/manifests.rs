//! What deploy/ installs, on this API server.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{cluster::Cluster, lab::Lab};

/// The name that deploy/ gives both.
pub(crate) const NAMESPACE: &str = "metagate";
pub(crate) const SERVICE_ACCOUNT: &str = "metagate";
const BASE: &str = "base";
/// The overlays that are applied to the base, each with the rights that it needs.
const OVERLAYS: [&str; 2] = ["irsa", "startup-taint"];
const RIGHTS: [&str; 4] = ["namespace.yaml", "service-account.yaml", "cluster-role.yaml", "cluster-role-binding.yaml"];

/// The gateway's service account, with exactly the rights that the base and both overlays give it.
pub(crate) async fn apply_rights(cluster: &Cluster) {
    let files: Vec<PathBuf> = files().into_iter().filter(|file| gives_rights(file)).collect();
    let files: Vec<String> = files.iter().map(|file| format!("--filename={}", file.display())).collect();
    let applied = cluster.kubectl([vec!["apply"], files.iter().map(String::as_str).collect()].concat()).await;
    assert!(applied.status.success(), "{applied:?}");
}

#[tokio::test]
async fn the_api_server_takes_every_manifest() {
    let Some(lab) = Lab::start().await else { return };
    apply_rights(&lab.cluster).await;
    let mut taken = Vec::new();
    for file in files() {
        let kind = try_out(&lab.cluster, &file).await;
        let right = kind.contains("Role") || kind == "ServiceAccount";
        assert!(!right || gives_rights(&file), "these tests run without a right of {}", file.display());
        taken.push(kind);
    }
    taken.sort();
    println!("taken: {}", taken.join(", "));
    let expected = ["DaemonSet", "ConfigMap", "ClusterRole", "ValidatingAdmissionPolicy"];
    assert!(expected.iter().all(|kind| taken.iter().any(|taken| taken == kind)));
}

/// The kind of the file's object. The API server and kubectl refuse a field that they do not know.
async fn try_out(cluster: &Cluster, file: &Path) -> String {
    let name = file.display().to_string();
    let options = ["apply", "--dry-run=server", "--validate=strict", "--output=json", "--filename", &name];
    let tried = cluster.kubectl(options).await;
    assert!(tried.status.success(), "{name}: {tried:?}");
    let object: Value = serde_json::from_str(&tried.stdout).unwrap();
    object["kind"].as_str().unwrap().to_owned()
}

/// The files, with one object each.
fn files() -> Vec<PathBuf> {
    let kustomize = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize");
    let folders = [BASE].into_iter().chain(OVERLAYS).map(|folder| kustomize.join(folder));
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.file_name() != Some(OsStr::new("kustomization.yaml")))
        .collect();
    // A namespace comes before what is in it.
    files.sort_by_key(|file| (file.file_name() != Some(OsStr::new("namespace.yaml")), file.clone()));
    files
}

fn gives_rights(file: &Path) -> bool {
    RIGHTS.iter().any(|name| file.file_name() == Some(OsStr::new(name)))
}
