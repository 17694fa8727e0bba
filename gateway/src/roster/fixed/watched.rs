//! A roster file that is read at start and again whenever it changes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{FixedPod, Parsed, SANDBOX, parse};
use crate::{
    clock::Clock,
    config::{Diagnostics, RosterSource},
    lifecycle::Followed,
    roster::{Feed, Knowledge},
    workload::Uid,
};

/// What the file said when it was opened.
pub struct Watched {
    /// None for the sandbox's sample pods, which are compiled in.
    file: Option<(PathBuf, String)>,
    node: String,
    listed: Vec<FixedPod>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl Watched {
    /// None if the roster does not come from a file.
    pub fn open(source: &RosterSource, node: &str) -> Result<Option<Self>, OpenError> {
        let (file, parsed) = match source {
            RosterSource::Kubernetes => return Ok(None),
            RosterSource::Sandbox => (None, parse(Path::new("sandbox-roster.toml"), SANDBOX)),
            RosterSource::Fixed { file } => {
                let read = std::fs::read_to_string(file);
                let text = read.map_err(|source| OpenError::Read { path: file.clone(), source })?;
                let parsed = parse(file, &text);
                (Some((file.clone(), text)), parsed)
            }
        };
        let Parsed { workloads } = parsed.map_err(OpenError::Invalid)?;
        Ok(Some(Self { file, node: node.to_owned(), listed: workloads }))
    }

    /// The workloads that have listeners of their own.
    pub fn listeners(&self) -> Vec<(SocketAddr, Uid)> {
        listeners(&self.listed)
    }

    /// Publishes what was read, and then each change until `stop`. A file that cannot be read or is wrong changes nothing:
    /// the last good roster stays. `reloaded` is told of each new text whether it was accepted.
    pub async fn run(self, feed: Arc<Feed>, clock: Clock, reloaded: impl Fn(bool) + Send, stop: CancellationToken) {
        let (node, bound) = (self.node.clone(), listeners(&self.listed));
        publish(&feed, self.listed, &node, &clock);
        let Some((path, text)) = self.file else { return };
        let mut followed = Followed::new(&path, Some(text));
        loop {
            let text = tokio::select! {
                () = stop.cancelled() => return,
                text = followed.changed() => text,
            };
            let parsed = parse(&path, &text);
            reloaded(parsed.is_ok());
            match parsed {
                Ok(Parsed { workloads }) => {
                    tracing::info!(file = %path.display(), workloads = workloads.len(), "roster reloaded");
                    if listeners(&workloads) != bound {
                        tracing::warn!(file = %path.display(), "a workload's own `listen` counts from the next start on");
                    }
                    publish(&feed, workloads, &node, &clock);
                }
                Err(diagnostics) => tracing::error!("roster not reloaded, the last good one stays\n{diagnostics}"),
            }
        }
    }
}

fn listeners(listed: &[FixedPod]) -> Vec<(SocketAddr, Uid)> {
    listed.iter().filter_map(|listed| Some((listed.listen?, listed.workload.uid.clone()))).collect()
}

fn publish(feed: &Feed, listed: Vec<FixedPod>, node: &str, clock: &Clock) {
    let workloads = listed.into_iter().map(|listed| {
        let mut workload = listed.workload;
        workload.node = node.to_owned();
        workload
    });
    feed.publish(workloads.collect(), Knowledge::Complete, clock.now());
}
