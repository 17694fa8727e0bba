//! The rules of a decision: the plugins, and the defaults from the configuration.

use std::time::Duration;

use crate::{
    config::Mode,
    interest::Interest,
    plugin::Plugin,
    role::{BaseArn, SessionTemplate},
    workload::Workload,
};

/// Immutable; a change makes new rules with a later generation.
#[derive(Clone)]
pub struct Rules {
    pub(super) generation: u64,
    pub interest: Interest,
    pub plugins: Vec<Plugin>,
    pub defaults: Defaults,
}

/// The configured values for everything that a plugin leaves open.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub mode: Mode,
    /// None while it must be read from the node's account, which is not known yet.
    pub base: Option<BaseArn>,
    /// A name or an ARN. It needs authorization like any other role.
    pub role: Option<String>,
    pub session_name: SessionTemplate,
    pub session_duration: Duration,
    /// Whether sessions carry the workload's own identity as tags.
    pub session_tags: bool,
}

/// The time to wait for a thread and for earlier decisions: twice the longest cooldown after a failed decision.
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

    /// Warns about audit mode, which is for the first days and must not be forgotten.
    pub fn warn_of_audit(&self) {
        if self.defaults.mode == Mode::Audit {
            tracing::warn!("policy.mode is \"audit\": a pod gets any role that a plugin names for it");
        }
        for plugin in self.plugins.iter().filter(|plugin| plugin.mode() == Mode::Audit) {
            tracing::warn!(plugin = plugin.name(), "its mode is \"audit\": it refuses nobody");
        }
    }

    /// Whether the roster read everything about `workload` that these rules need.
    pub fn can_read(&self, workload: &Workload) -> bool {
        workload.covers(&self.interest)
    }

    /// The longest time that a caller waits for a decision: [`QUEUED`], and for each plugin its timeout for `init` and
    /// for two questions.
    pub(super) fn patience(&self) -> Duration {
        let runs: Duration = self.plugins.iter().map(|plugin| 3 * plugin.settings().timeout).sum();
        QUEUED + runs
    }

    /// How long a decision is valid: for ever, unless a plugin of these rules reads the clock.
    pub(super) fn stands_for(&self) -> Option<Duration> {
        self.plugins.iter().filter(|plugin| plugin.reads_clock()).map(|plugin| plugin.settings().cache).min()
    }
}
