//! Which configuration runs, and whether a later one was refused.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

/// Has one writer, which reloads; anybody may look.
#[derive(Debug)]
pub struct Configuration(ArcSwap<Adopted>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// When what runs now was adopted.
    pub at: SystemTime,
    /// 1 for what the process started with, and one more for each that was adopted since.
    pub generation: u64,
    /// Of the last reload, if it was; None again once what lies there is what runs.
    pub refused: Option<RejectedReload>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedReload {
    pub at: SystemTime,
    /// What is wrong, where, and how to mend it; its first line says it in one sentence.
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

    /// What lies there is what runs already.
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
