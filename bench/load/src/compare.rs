//! Servers side by side on the same work: their rounds are interleaved, so that other work on the machine affects all
//! of them, and a ratio is the median of the pairs' ratios.

use std::time::Duration;

use anyhow::Result;

use crate::{
    client::Caller,
    flow::Flow,
    round::{Load, Round},
    server::Server,
};

#[derive(Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    pub time: Duration,
}

/// A server, and the pods that ask it.
pub struct Contender<'a> {
    pub server: &'a Server,
    pub callers: &'a [Caller],
}

/// What one server did in all its rounds.
pub struct Measured {
    pub name: String,
    rounds: Vec<Round>,
}

/// The first round of each server does not count; then all run in turn, in a changing order.
pub async fn interleaved(contenders: &[Contender<'_>], flow: Flow, pace: Pace) -> Result<Vec<Measured>> {
    let mut loads: Vec<Load> = contenders.iter().map(|contender| Load::of(contender.callers, flow)).collect();
    let mut measured: Vec<Measured> = contenders.iter().map(Measured::nothing_yet).collect();
    for round in 0..=pace.rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        order.rotate_left(round % contenders.len());
        for index in order {
            let (Some(contender), Some(load), Some(measured)) =
                (contenders.get(index), loads.get_mut(index), measured.get_mut(index))
            else {
                continue;
            };
            let done = load.round(contender.server, pace.time).await?;
            if round > 0 {
                measured.rounds.push(done);
            }
        }
    }
    Ok(measured)
}

impl Measured {
    fn nothing_yet(contender: &Contender<'_>) -> Self {
        Self { name: contender.server.name.clone(), rounds: Vec::new() }
    }

    pub fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    pub fn processor_each(&self) -> Option<f64> {
        let known: Option<Vec<f64>> = self.rounds.iter().map(Round::processor_each).collect();
        known.map(median)
    }

    /// The ratio of this to `other`, pair by pair: the least, the median, the most.
    pub fn ratio(&self, other: &Self, of: impl Fn(&Round) -> f64) -> Ratio {
        let pairs = self.rounds.iter().zip(&other.rounds);
        let mut ratios: Vec<f64> = pairs.map(|(one, other)| of(one) / of(other)).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios.first().copied(), ratios.last().copied());
        Ratio { median: median(ratios), least: least.unwrap_or(f64::NAN), most: most.unwrap_or(f64::NAN) }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
