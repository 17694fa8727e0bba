//! Followed files that are too large to be read at every check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::folders::{Folders, SETTLE};

/// Reports which files may have changed. A change that leaves the bytes as they are counts too.
pub struct FollowedFiles {
    folders: Folders,
    seen: BTreeMap<PathBuf, Option<Stamp>>,
}

/// Another file, or other bytes in the same file, have another stamp; None stands for no file. `changed` cannot be set
/// by hand as `modified` can, so a copy with its old date is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FollowedFiles {
    /// Takes the files as they are now, so call it before they are read.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let stamp = std::fs::metadata(&path).ok().map(Stamp::from);
            (path, stamp)
        };
        Self { folders: Folders::new(), seen: paths.into_iter().map(stamp).collect() }
    }

    /// Follows these files and no others. Files that are followed already are compared with their last stamp, new ones
    /// with their present stamp, so call it before they are read.
    pub async fn follow(&mut self, paths: BTreeSet<PathBuf>) {
        let mut seen = BTreeMap::new();
        for path in paths {
            let stamp = match self.seen.get(&path) {
                Some(stamp) => *stamp,
                None => stamp(&path).await,
            };
            seen.insert(path, stamp);
        }
        self.seen = seen;
        self.watch().await;
    }

    /// The next files that changed: replaced, rewritten, removed, or created again. The future may be dropped at any
    /// time.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            self.folders.check_due().await;
            self.watch().await;
            let now = self.settled().await;
            self.folders.checked();
            let changed: Vec<_> = now
                .iter()
                .filter(|(path, stamp)| self.seen.get(*path) != Some(stamp))
                .map(|(path, _)| path.clone())
                .collect();
            self.seen = now;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// The stamps once two readings agree: a file that is still being written to does not count yet.
    async fn settled(&self) -> BTreeMap<PathBuf, Option<Stamp>> {
        let mut before = self.stamps().await;
        loop {
            tokio::time::sleep(SETTLE).await;
            let now = self.stamps().await;
            if now == before {
                return now;
            }
            before = now;
        }
    }

    async fn stamps(&self) -> BTreeMap<PathBuf, Option<Stamp>> {
        let mut stamps = BTreeMap::new();
        for path in self.seen.keys() {
            stamps.insert(path.clone(), stamp(path).await);
        }
        stamps
    }

    async fn watch(&mut self) {
        self.folders.watch(self.seen.keys().map(PathBuf::as_path)).await;
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    tokio::fs::metadata(path).await.ok().map(Stamp::from)
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    // Real time, as the kernel's events are; a lost event shows as a test that takes 30 s and not as a failure.

    #[tokio::test]
    async fn each_way_to_change_a_file_is_seen_and_reported_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other, next] = ["plugin.wasm", "other.wasm", "next"].map(|name| folder.path().join(name));
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&other, "other").unwrap();
        let mut files = FollowedFiles::new([path.clone(), other]);
        let seen = [path.clone()];

        std::fs::write(&path, "two").unwrap();
        assert_eq!(files.changed().await, seen, "truncated and written, of the same length");
        std::fs::write(&next, "three").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(files.changed().await, seen, "replaced");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(files.changed().await, seen, "gone");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(files.changed().await, seen, "there again");
    }

    #[tokio::test]
    async fn another_folder_behind_a_link_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("plugin.wasm"), version).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/plugin.wasm", at("plugin.wasm")).unwrap();
        let mut files = FollowedFiles::new([at("plugin.wasm")]);
        symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(files.changed().await, [at("plugin.wasm")]);

        std::fs::write(at("..2").join("plugin.wasm"), "in place").unwrap();
        assert_eq!(files.changed().await, [at("plugin.wasm")], "the target of a link is watched too");
    }

    #[tokio::test]
    async fn a_file_that_stays_followed_keeps_its_last_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&first, "one").unwrap();
        let mut files = FollowedFiles::new([first.clone()]);
        std::fs::write(&first, "changed").unwrap();
        files.follow([first.clone(), second.clone()].into()).await;
        assert_eq!(files.changed().await, std::slice::from_ref(&first));
        std::fs::write(&second, "new").unwrap();
        assert_eq!(files.changed().await, [second]);
    }
}
