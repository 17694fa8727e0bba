//! A file's text, each time it changes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Events come in bursts; with Kubernetes' symlink swap the first one still shows the old text.
const SETTLE: Duration = Duration::from_millis(100);
/// Some mounts send no events at all.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

pub struct Followed {
    path: PathBuf,
    last: Option<String>,
    events: mpsc::Receiver<()>,
    // Events stop when it is dropped. None where the kernel gives no watch: then looking anyway has to do.
    _watcher: Option<RecommendedWatcher>,
}

impl Followed {
    /// `text` is what is known of the file already.
    pub fn new(path: &Path, text: Option<String>) -> Self {
        let (tell, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_| {
            // One waiting event says as much as ten.
            let _ = tell.try_send(());
        });
        // The folder, as editors and Kubernetes replace the file rather than write to it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(file = %path.display(), %error, "cannot watch; looking every 30 s instead");
        }
        Self { path: path.to_owned(), last: text, events, _watcher: watcher.ok() }
    }

    /// The next text that differs from the last one. A file that is gone for a moment keeps its last text.
    pub async fn changed(&mut self) -> String {
        loop {
            tokio::select! {
                Some(()) = self.events.recv() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
            while self.events.try_recv().is_ok() {}
            if let Some(text) = self.settled().await
                && self.last.as_ref() != Some(&text)
            {
                self.last = Some(text.clone());
                return text;
            }
        }
    }

    /// What is read twice alike. A file that is being written shows a part of itself, and at first nothing: a blank one is
    /// taken for that, as it would stand for every default.
    async fn settled(&self) -> Option<String> {
        let first = tokio::fs::read_to_string(&self.path).await.ok()?;
        tokio::time::sleep(SETTLE).await;
        let second = tokio::fs::read_to_string(&self.path).await.ok()?;
        (first == second && !second.trim().is_empty()).then_some(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_was_emptied_keeps_its_last_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roster.toml");
        std::fs::write(&path, " \n").unwrap();
        let mut followed = Followed::new(&path, Some("one".into()));
        assert_eq!(followed.settled().await, None);
        std::fs::write(&path, "two").unwrap();
        assert_eq!(followed.changed().await, "two");
    }

    #[tokio::test]
    async fn a_replaced_file_is_seen_and_a_touched_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roster.toml");
        std::fs::write(&path, "one").unwrap();
        let mut followed = Followed::new(&path, Some("one".into()));
        std::fs::write(&path, "one").unwrap();
        let next = folder.path().join("next");
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        // Real time, as the kernel's events are; a lost event shows as a test that takes 30 s and not as a failure.
        assert_eq!(followed.changed().await, "two");
    }
}
