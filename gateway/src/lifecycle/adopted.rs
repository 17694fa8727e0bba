//! Which configuration runs, and whether a later one was refused.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

/// Has one writer, the reload, and any number of readers.
#[derive(Debug)]
pub struct Configuration(ArcSwap<Adopted>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// When what runs now was adopted.
    pub at: SystemTime,
    /// 1 for the configuration at start, and one more for each that was adopted since.
    pub generation: u64,
    /// The last reload, if it was rejected. None again once the files equal what runs.
    pub refused: Option<RejectedReload>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedReload {
    pub at: SystemTime,
    /// What is wrong, where, and how to mend it; its first line is a summary of one sentence.
    pub error: String,
}

impl Configuration {
    /// What the process starts with.
    pub fn started(at: SystemTime) -> Self {
        Self(ArcSwap::from_pointee(Adopted { at, generation: 1, refused: None }))
    }

    pub fn current(&self) -> Arc<Adopted> {
        self.0.load_full()
    }

    pub fn adopt(&self, at: SystemTime) {
        self.0.rcu(|adopted| Adopted { at, generation: adopted.generation + 1, refused: None });
    }

    /// The files equal what runs already, so no reload is rejected any more.
    pub fn confirm(&self) {
        self.0.rcu(|adopted| Adopted { refused: None, ..Adopted::clone(adopted) });
    }

    pub fn refuse(&self, refused: RejectedReload) {
        self.0.rcu(|adopted| Adopted { refused: Some(refused.clone()), ..Adopted::clone(adopted) });
    }
}

impl RejectedReload {
    pub fn sentence(&self) -> &str {
        self.error.lines().next().unwrap_or_default()
    }
}
