//! A roster file that changes under a running gateway.

use std::path::{Path, PathBuf};

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// Replaces a file as editors and Kubernetes do: another file takes the name.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, path).unwrap();
}

async fn over(folder: &Path, text: &str) -> (TestGateway, PathBuf) {
    let file = folder.join("roster.toml");
    replace(&file, text);
    let setup = Setup::default().set("roster.source", "fixed").set("roster.file", file.to_str().unwrap());
    (setup.start().await.unwrap(), file)
}

#[tokio::test]
async fn a_changed_file_is_the_roster_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, file) = over(folder.path(), &one_pod("a", "payments-old")).await;
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-old");
    let mut changes = gateway.gateway().feed.changes();

    replace(&file, &one_pod("a", "payments-new"));
    tokio::time::timeout(Duration::from_secs(60), changes.changed()).await.unwrap().unwrap();
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-new");
    assert_eq!(get(&gateway, CHECKOUT, &format!("{ROLE}payments-old")).await.status, 404);

    // A blank file would be taken for one that is being written.
    replace(&file, "# nobody runs here\n");
    tokio::time::timeout(Duration::from_secs(60), changes.changed()).await.unwrap().unwrap();
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.status, 404);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_the_next_good_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, file) = over(folder.path(), &one_pod("a", "payments-old")).await;
    for (times, bad) in ["[[workload]", "[[workload]]\nnamespace = 'a'\n", "[[workloads]]\n"].iter().enumerate() {
        replace(&file, &format!("{}\n{bad}", one_pod("a", "payments-new")));
        let refused = format!("metagate_reloads_total{{result=\"refused\",what=\"roster\"}} {}", times + 1);
        until_metric(&gateway, &refused).await;
        assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-old", "after {bad}");
    }
    replace(&file, &one_pod("a", "payments-new"));
    until_metric(&gateway, "metagate_reloads_total{result=\"accepted\",what=\"roster\"} 1").await;
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-new");
}
