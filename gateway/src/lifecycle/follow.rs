//! A file's text, each time it changes.

use std::path::{Path, PathBuf};

use super::folders::{Folders, SETTLE};

pub struct Followed {
    path: PathBuf,
    last: Option<String>,
    folders: Folders,
}

impl Followed {
    /// `text` is the file's text as it was read last.
    pub fn new(path: &Path, text: Option<String>) -> Self {
        Self { path: path.to_owned(), last: text, folders: Folders::new() }
    }

    /// The next text that differs from the last one. A file that is gone for a moment keeps its last text. The future
    /// may be dropped at any time.
    pub async fn changed(&mut self) -> String {
        loop {
            self.folders.watch([self.path.as_path()]).await;
            self.folders.check_due().await;
            let text = self.settled().await;
            self.folders.checked();
            if let Some(text) = text
                && self.last.as_ref() != Some(&text)
            {
                self.last = Some(text.clone());
                return text;
            }
        }
    }

    /// The text once two readings agree. A file that is being written is empty at first, and then incomplete. So a
    /// blank file is ignored: it would otherwise stand for every default.
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
