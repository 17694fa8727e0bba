//! The folders of followed files: an event in a folder makes a check due, and so does the passing of time.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

/// Events come in bursts; with Kubernetes' symlink swap the first one still shows the old file.
pub(super) const SETTLE: Duration = Duration::from_millis(100);
/// The longest time between checks: some mounts send no events at all.
const CHECK_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Folders {
    // None where the kernel gives no watches: then only time makes a check due.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
    /// A check is due, and none was made since.
    due: bool,
}

impl Folders {
    /// Watches no file yet. The first check is due at once: something may have happened before there was a watch.
    pub(super) fn new() -> Self {
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                // One waiting event says as much as ten.
                let _ = sender.try_send(());
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "cannot watch files; looking every 30 s instead");
        }
        Self { watcher: watcher.ok(), watched: BTreeSet::new(), events, due: true }
    }

    /// Watches the folders of `files`, as editors and Kubernetes replace a file rather than write to it; and the
    /// folders of the files that links point to. Folders that are watched already are watched anew: another folder may
    /// have taken the name.
    pub(super) async fn watch(&mut self, files: impl IntoIterator<Item = &Path>) {
        let mut wanted = BTreeSet::new();
        for file in files {
            wanted.insert(folder(file));
            wanted.extend(tokio::fs::canonicalize(file).await.ok().map(|target| folder(&target)));
        }
        let Some(watcher) = &mut self.watcher else { return };
        for unwanted in self.watched.difference(&wanted) {
            // The folder may be gone, and its watch with it.
            let _ = watcher.unwatch(unwanted);
        }
        for folder in &wanted {
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            if let (Err(error), false) = (watched, self.watched.contains(folder)) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking every 30 s instead");
            }
        }
        self.watched = wanted;
    }

    /// Returns when a check is due and the files have had time to settle. The check stays due until [`Self::checked`]
    /// is called, so nothing is lost if this future is dropped meanwhile.
    pub(super) async fn check_due(&mut self) {
        if !self.due {
            tokio::select! {
                Some(()) = self.events.recv() => {}
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            self.due = true;
        }
        tokio::time::sleep(SETTLE).await;
        while self.events.try_recv().is_ok() {}
    }

    pub(super) fn checked(&mut self) {
        self.due = false;
    }
}

fn folder(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// A check opens files: if that made another check due, checks would never end.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn reading_a_file_is_no_change_of_it() {
        for read in [AccessKind::Open(AccessMode::Any), AccessKind::Read, AccessKind::Close(AccessMode::Read)] {
            assert!(!is_change(EventKind::Access(read)), "{read:?}");
        }
        for change in [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
        ] {
            assert!(is_change(change), "{change:?}");
        }
    }

    #[tokio::test]
    async fn a_check_stays_due_if_the_future_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut folders = Folders::new();
        folders.watch([folder.path().join("plugin.wasm").as_path()]).await;
        folders.check_due().await;
        folders.checked();
        std::fs::write(folder.path().join("plugin.wasm"), "x").unwrap();
        while !folders.due {
            tokio::select! {
                biased;
                () = folders.check_due() => panic!("it has to settle first"),
                () = tokio::time::sleep(SETTLE / 10) => {}
            }
        }
        folders.check_due().await;
    }
}
