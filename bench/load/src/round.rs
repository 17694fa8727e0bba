//! Callers that ask all at once for a while, and what came of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::{
    client::Caller,
    flow::{Did, Flow, Running, histogram},
    server::{Server, address_of},
};

/// Callers of one server, each from its own address, doing the same again and again.
pub struct Load {
    running: Vec<Running>,
}

pub struct Round {
    pub requests: u64,
    pub took: Duration,
    pub turns: Histogram<u64>,
    /// Processor time of the server's threads.
    pub on_processor: Option<Duration>,
}

/// The first pods of `server`, introduced one by one so that no burst hits it.
pub async fn introduced(server: &Server, callers: usize) -> Result<Vec<Caller>> {
    let mut known = Vec::with_capacity(callers);
    for number in 0..callers {
        known.push(Caller::introduced(address_of(number), server.address).await?);
    }
    Ok(known)
}

impl Load {
    pub fn of(callers: &[Caller], flow: Flow) -> Self {
        let running = callers.iter().cloned().enumerate();
        Self { running: running.map(|(number, caller)| Running::new(caller, flow, number)).collect() }
    }

    /// Every caller asks as soon as it is answered.
    pub async fn round(&mut self, server: &Server, time: Duration) -> Result<Round> {
        let mut asking = JoinSet::new();
        let (began, before) = (Instant::now(), server.on_processor());
        for mut running in self.running.drain(..) {
            asking.spawn(async move { running.closed_loop(time).await.map(|did| (running, did)) });
        }
        let (requests, turns) = self.gather(asking).await?;
        let on_processor = server.on_processor().zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(Round { requests, took: began.elapsed(), turns, on_processor })
    }

    /// Every caller asks once each `every`.
    pub async fn paced(&mut self, every: Duration, time: Duration) -> Result<Histogram<u64>> {
        let mut asking = JoinSet::new();
        let callers = self.running.len();
        for (number, mut running) in self.running.drain(..).enumerate() {
            // Spread over the interval, or all would ask at the same moment.
            let lead = every.mul_f64(number as f64 / callers as f64);
            asking.spawn(async move { running.paced(lead, every, time).await.map(|did| (running, did)) });
        }
        Ok(self.gather(asking).await?.1)
    }

    async fn gather(&mut self, mut asking: JoinSet<Result<(Running, Did)>>) -> Result<(u64, Histogram<u64>)> {
        let (mut requests, mut turns) = (0, histogram()?);
        while let Some(asked) = asking.join_next().await {
            let (running, did) = asked??;
            self.running.push(running);
            requests += did.requests;
            turns.add(did.turns)?;
        }
        Ok((requests, turns))
    }
}

/// Asks on that many connections of one pod until dropped, whatever the answers are.
pub fn hammer(caller: &Caller, connections: usize) -> JoinSet<Result<()>> {
    let mut asking = JoinSet::new();
    for _ in 0..connections {
        let caller = caller.clone();
        asking.spawn(async move {
            let mut open = caller.connect().await?;
            loop {
                caller.whatever(&mut open).await?;
            }
        });
    }
    asking
}

impl Round {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Processor time of the server's threads per request, in microseconds.
    pub fn processor_each(&self) -> Option<f64> {
        self.on_processor.map(|time| time.as_secs_f64() * 1e6 / self.requests as f64)
    }

    /// The microseconds that this share of turns did not exceed.
    pub fn latency(&self, quantile: f64) -> f64 {
        self.turns.value_at_quantile(quantile) as f64 / 1e3
    }
}
