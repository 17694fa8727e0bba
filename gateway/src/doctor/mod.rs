//! What is wrong on this node, and how to mend it.
//!
//! Each check looks at one thing as it is now, changes nothing and has its own deadline. It needs no more rights than the
//! gateway has.

mod api_server;
mod aws;
mod configuration;
mod credentials;
mod gateway;
mod imds;
mod node;
mod redirect;
mod rights;
mod roster;
mod skew;

use std::{future::ready, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    clock::Clock,
    config::{Config, Diagnostics, RosterSource},
};
/// For a group of checks. The longest group asks for the node's region (2 s) and then STS (5 s, with its retries).
pub const PATIENCE: Duration = Duration::from_secs(9);

/// One check's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name, from a closed set, for programs.
    pub check: &'static str,
    pub verdict: Verdict,
    /// For a person, like the cure.
    pub found: String,
    pub cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Does not apply here.
    Skip,
    Pass,
    /// It works, but somebody should look at it.
    Warn,
    /// Pods do not get what they should, or get what they should not.
    Fail,
}

pub struct Doctor {
    pub status_file: PathBuf,
    /// For each group of checks. Groups run at the same time, so all of them take about as long.
    pub patience: Duration,
    pub clock: Clock,
}

type Group = BoxFuture<'static, Vec<Finding>>;

impl Doctor {
    /// Ordered so that a finding often has its cause in an earlier one.
    pub async fn examine(&self, loaded: Result<Config, Diagnostics>) -> Vec<Finding> {
        let (patience, clock) = (self.patience / 2, &self.clock);
        let admin = loaded.as_ref().ok().map(|config| config.admin.listen.clone());
        let redirect = redirect::look(self.status_file.clone(), admin, patience, clock.clone());
        let config = match loaded {
            Ok(config) => Arc::new(config),
            Err(faults) => {
                let groups = vec![("redirect", redirect.boxed())];
                return [vec![configuration::refused(&faults)], self.gather(groups).await].concat();
            }
        };
        let redirect = match config.roster.source {
            RosterSource::Kubernetes => redirect.boxed(),
            // A redirect is possible there, but not required.
            RosterSource::Fixed { .. } | RosterSource::Sandbox => ready(redirect::none(&config)).boxed(),
        };
        self.gather(vec![
            ("configuration", configuration::look(Arc::clone(&config)).boxed()),
            ("gateway", gateway::look(Arc::clone(&config), patience, clock.clone()).boxed()),
            ("redirect", redirect),
            ("node-imds", imds::look(Arc::clone(&config)).boxed()),
            ("api-server", api_server::look(Arc::clone(&config), patience, clock.clone()).boxed()),
            ("node", node::look(Arc::clone(&config), patience).boxed()),
            ("sts", aws::look(config, clock.clone()).boxed()),
        ])
        .await
    }

    /// A group that hangs or panics is one line of the report, and delays no other group.
    async fn gather(&self, groups: Vec<(&'static str, Group)>) -> Vec<Finding> {
        let begun: Vec<_> = groups
            .into_iter()
            .map(|(check, group)| (check, AbortOnDropHandle::new(tokio::spawn(timeout(self.patience, group)))))
            .collect();
        let mut findings = Vec::new();
        for (check, group) in begun {
            match group.await {
                Ok(Ok(found)) => findings.extend(found),
                Ok(Err(_)) => findings.push(Finding::fail(
                    check,
                    format!("this check has not ended within {}", humantime::format_duration(self.patience)),
                    "What it looks at hangs, or this machine is overloaded. Run it again.",
                )),
                Err(error) => findings.push(Finding::fail(
                    check,
                    format!("this check panicked: {error}"),
                    "This is a defect of metagate: report it with this text.",
                )),
            }
        }
        findings
    }
}

impl Finding {
    fn skip(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skip, found: why.into(), cure: None }
    }

    fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Pass, found: found.into(), cure: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), cure: Some(cure.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), cure: Some(cure.into()) }
    }
}

/// Why checks of a cluster do not apply. None: the roster comes from a cluster.
fn no_cluster(source: &RosterSource) -> Option<&'static str> {
    match source {
        RosterSource::Kubernetes => None,
        RosterSource::Fixed { .. } => Some("fixed roster"),
        RosterSource::Sandbox => Some("sandbox"),
    }
}

impl Verdict {
    pub fn label(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}
