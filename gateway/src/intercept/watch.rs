//! Checks the redirect at an interval, and repairs it when another program has changed it.

use std::{path::PathBuf, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Change, Finding, ForeignRule, InterceptError, Nft, Redirect, Status, inspect, install};
use crate::clock::{Clock, rfc3339};

/// nft takes milliseconds. An nft that hangs must be reported, as nothing is repaired meanwhile.
const NFT_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Watch {
    pub nft: Nft,
    pub redirect: Redirect,
    pub every: Duration,
    pub status_file: Option<PathBuf>,
    pub clock: Clock,
}

#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Intercept(#[from] InterceptError),
    #[error("nft has not answered for {}", humantime::format_duration(NFT_TIMEOUT))]
    Slow,
    #[error("the check ended badly: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl Watch {
    /// Runs until it is dropped; the rules stay.
    pub async fn run(self) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged: Option<Vec<ForeignRule>> = None;
        loop {
            ticks.tick().await;
            let seen = self.look().await;
            match &seen {
                Ok((change, finding)) => log(change, finding, &mut logged),
                Err(error) => tracing::error!(%error, "the redirect is not looked after; trying again"),
            }
            self.write(seen);
        }
    }

    async fn look(&self) -> Result<(Change, Finding), CheckError> {
        let (nft, redirect) = (self.nft.clone(), self.redirect.clone());
        let look = tokio::task::spawn_blocking(move || {
            let change = install(&nft, &redirect)?;
            Ok::<_, InterceptError>((change, inspect(&nft, &redirect)?))
        });
        Ok(timeout(NFT_TIMEOUT, look).await.map_err(|_| CheckError::Slow)???)
    }

    fn write(&self, seen: Result<(Change, Finding), CheckError>) {
        let Some(path) = &self.status_file else { return };
        let checked_at = rfc3339(self.clock.now());
        let status = match seen {
            Ok((_, finding)) => Status {
                present: finding.present,
                checked_at,
                redirected_connections: finding.redirected_connections,
                rejected_packets: finding.rejected_packets,
                foreign_rules: finding.foreign_rules,
                error: finding.foreign_unknown.map(|error| format!("other programs' rules are not known: {error}")),
            },
            Err(error) => Status {
                present: false,
                checked_at,
                redirected_connections: 0,
                rejected_packets: 0,
                foreign_rules: Vec::new(),
                error: Some(error.to_string()),
            },
        };
        if let Err(error) = status.write(path) {
            tracing::warn!(file = %path.display(), %error, "cannot write the status");
        }
    }
}

/// Logs each change once, and each foreign rule when it appears.
fn log(change: &Change, finding: &Finding, logged: &mut Option<Vec<ForeignRule>>) {
    match change {
        Change::Nothing => {}
        Change::Installed => tracing::warn!("the redirect was gone and is in place again"),
        Change::Mended(differences) => {
            tracing::warn!(differences = differences.join("; "), "the redirect was changed and is mended")
        }
    }
    let before = logged.replace(finding.foreign_rules.clone());
    for foreign in &finding.foreign_rules {
        if !before.as_ref().is_some_and(|before| before.contains(foreign)) {
            tracing::warn!("{foreign}");
        }
    }
    if before.is_none() {
        if let Some(error) = &finding.foreign_unknown {
            tracing::warn!(error, "other programs' rules are not known");
        }
        tracing::info!(present = finding.present, "watching the redirect");
    }
}
