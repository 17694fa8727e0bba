//! What callers do, again and again.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::time::MissedTickBehavior;

use crate::client::{Caller, Open};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Flow {
    /// The credential, on a connection that stays open.
    KeepAlive,
    /// The credential, on a new connection each time.
    Connection,
    /// An SDK's first use: PUT for a token, the role's name, the credential, on a new connection.
    Sdk,
    /// Of four callers, two do as SDKs do, one keeps its connection and one opens a new one each time.
    Mixed,
}

impl Flow {
    pub const ALL: [Self; 4] = [Self::KeepAlive, Self::Connection, Self::Sdk, Self::Mixed];

    /// What the caller with this number does.
    fn of_caller(self, number: usize) -> Self {
        match (self, number % 4) {
            (Self::Mixed, 0) => Self::KeepAlive,
            (Self::Mixed, 1) => Self::Connection,
            (Self::Mixed, _) => Self::Sdk,
            (flow, _) => flow,
        }
    }

    /// Requests that one turn makes.
    fn requests(self) -> u64 {
        if self == Self::Sdk { 3 } else { 1 }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeepAlive => "keep-alive",
            Self::Connection => "connection",
            Self::Sdk => "sdk",
            Self::Mixed => "mixed",
        })
    }
}

/// What one caller, or several, did.
pub struct Did {
    pub requests: u64,
    /// How long each turn took, connecting included, in nanoseconds: one request, or an SDK's three.
    pub turns: Histogram<u64>,
}

/// From 100 ns to a minute with two digits: anything longer is an outage, not a latency.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(100, 60_000_000_000, 2)?)
}

/// A caller with its connection, if it keeps one.
pub struct Running {
    caller: Caller,
    flow: Flow,
    open: Option<Open>,
}

impl Running {
    pub fn new(caller: Caller, flow: Flow, number: usize) -> Self {
        Self { caller, flow: flow.of_caller(number), open: None }
    }

    /// Asks again as soon as it is answered, for at least `time`.
    pub async fn closed_loop(&mut self, time: Duration) -> Result<Did> {
        let until = Instant::now() + time;
        let mut did = Did { requests: 0, turns: histogram()? };
        while Instant::now() < until {
            self.turn(&mut did).await?;
        }
        Ok(did)
    }

    /// Takes one turn each `every`, for `time`, however long the answers take. The first turn comes after `lead`.
    pub async fn paced(&mut self, lead: Duration, every: Duration, time: Duration) -> Result<Did> {
        let until = Instant::now() + time;
        tokio::time::sleep(lead).await;
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut did = Did { requests: 0, turns: histogram()? };
        while Instant::now() < until {
            pace.tick().await;
            self.turn(&mut did).await?;
        }
        Ok(did)
    }

    async fn turn(&mut self, did: &mut Did) -> Result<()> {
        let began = Instant::now();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.caller.connect().await?,
        };
        match self.flow {
            Flow::Sdk => self.caller.session(&mut open).await?,
            _ => self.caller.credential(&mut open).await.map(drop)?,
        }
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        did.turns.saturating_record(took);
        did.requests += self.flow.requests();
        if self.flow == Flow::KeepAlive {
            self.open = Some(open);
        }
        Ok(())
    }
}
