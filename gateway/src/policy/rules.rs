//! What decisions are made under.

use std::time::Duration;

use crate::{
    config::Mode,
    interest::Interest,
    plugin::Plugin,
    role::{BaseArn, SessionTemplate},
    workload::Workload,
};

/// Immutable; a change makes new rules of a later generation.
#[derive(Clone)]
pub struct Rules {
    pub(super) generation: u64,
    pub interest: Interest,
    pub plugins: Vec<Plugin>,
    pub defaults: Defaults,
}

/// What the configuration says where a plugin says nothing.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub mode: Mode,
    /// None until the node's account is known, where it is to be read from there.
    pub base: Option<BaseArn>,
    /// A name or an ARN. It obeys authorization like any other.
    pub role: Option<String>,
    pub session_name: SessionTemplate,
    pub session_duration: Duration,
    /// Whether sessions carry the workload's own identity as tags.
    pub session_tags: bool,
}

/// For a thread, and for the decisions before it: twice what one that failed rests.
const QUEUED: Duration = Duration::from_secs(2);

impl Rules {
    pub fn new(plugins: Vec<Plugin>, defaults: Defaults) -> Self {
        let interest = Interest::union(plugins.iter().map(Plugin::interest));
        Self { generation: 0, interest, plugins, defaults }
    }

    #[cfg(test)]
    pub(super) fn for_test(plugins: Vec<Plugin>) -> Self {
        let defaults = Defaults {
            mode: Mode::Enforce,
            base: None,
            role: None,
            session_name: "{pod}".parse().unwrap(),
            session_duration: Duration::from_secs(3600),
            session_tags: false,
        };
        Self::new(plugins, defaults)
    }

    /// The same rules over another base ARN.
    pub fn with_base(&self, base: BaseArn) -> Self {
        Self { defaults: Defaults { base: Some(base), ..self.defaults.clone() }, ..self.clone() }
    }

    /// Warns of what is not refused: a mode for the first days, which nobody should be surprised by later.
    pub fn warn_of_audit(&self) {
        if self.defaults.mode == Mode::Audit {
            tracing::warn!("policy.mode is \"audit\": a pod gets any role that a plugin names for it");
        }
        for plugin in self.plugins.iter().filter(|plugin| plugin.mode() == Mode::Audit) {
            tracing::warn!(plugin = plugin.name(), "its mode is \"audit\": it refuses nobody");
        }
    }

    /// Whether enough is known of `workload` to decide under these rules.
    pub fn can_read(&self, workload: &Workload) -> bool {
        workload.covers(&self.interest)
    }

    /// The longest that whoever asks waits for a decision: all the time that its plugins may take by their own limits, in
    /// `init` and in two questions each, and [`QUEUED`].
    pub(super) fn patience(&self) -> Duration {
        let runs: Duration = self.plugins.iter().map(|plugin| 3 * plugin.settings().timeout).sum();
        QUEUED + runs
    }

    /// How long a decision stands: for ever, unless a plugin of these rules reads the clock.
    pub(super) fn stands_for(&self) -> Option<Duration> {
        self.plugins.iter().filter(|plugin| plugin.reads_clock()).map(|plugin| plugin.settings().cache).min()
    }
}
