//! The folders of files that are followed: what happens in them is a reason to look, and so is the passing of time.

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
/// Some mounts send no events at all.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

pub(super) struct Folders {
    // None where the kernel gives no watches: then looking anyway has to do.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
    /// There was a reason to look, and nobody has looked since.
    stirred: bool,
}

impl Folders {
    /// Of no file yet. The first look is due at once: something may have happened before there was a watch.
    pub(super) fn new() -> Self {
        let (tell, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                // One waiting event says as much as ten.
                let _ = tell.try_send(());
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "cannot watch files; looking every 30 s instead");
        }
        Self { watcher: watcher.ok(), watched: BTreeSet::new(), events, stirred: true }
    }

    /// Watches the folders of `files`, as editors and Kubernetes replace a file rather than write to it; and of what they
    /// are links to. Those that are watched already are watched anew: another folder may have taken the name.
    pub(super) async fn watch(&mut self, files: impl IntoIterator<Item = &Path>) {
        let mut wanted = BTreeSet::new();
        for file in files {
            wanted.insert(folder(file));
            wanted.extend(tokio::fs::canonicalize(file).await.ok().map(|target| folder(&target)));
        }
        let Some(watcher) = &mut self.watcher else { return };
        for left in self.watched.difference(&wanted) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(left);
        }
        for folder in &wanted {
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            if let (Err(error), false) = (watched, self.watched.contains(folder)) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking every 30 s instead");
            }
        }
        self.watched = wanted;
    }

    /// Returns when there is a reason to look, and what happens has had its time to settle. Until [`Self::looked`] that
    /// reason stands: nothing is lost by somebody who turns to something else meanwhile.
    pub(super) async fn stirred(&mut self) {
        if !self.stirred {
            tokio::select! {
                Some(()) = self.events.recv() => {}
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
            self.stirred = true;
        }
        tokio::time::sleep(SETTLE).await;
        while self.events.try_recv().is_ok() {}
    }

    pub(super) fn looked(&mut self) {
        self.stirred = false;
    }
}

fn folder(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Whoever looks opens files: were that a reason to look, looking would never end.
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
    fn to_read_a_file_is_no_change_of_it() {
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
    async fn a_reason_to_look_outlives_whoever_turns_to_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut folders = Folders::new();
        folders.watch([folder.path().join("plugin.wasm").as_path()]).await;
        folders.stirred().await;
        folders.looked();
        std::fs::write(folder.path().join("plugin.wasm"), "x").unwrap();
        while !folders.stirred {
            tokio::select! {
                biased;
                () = folders.stirred() => panic!("it has to settle first"),
                () = tokio::time::sleep(SETTLE / 10) => {}
            }
        }
        folders.stirred().await;
    }
}
