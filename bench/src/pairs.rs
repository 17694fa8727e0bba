//! Two servers side by side: rounds are interleaved, so that whatever else the machine does falls on both.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    load::{Load, Round},
    threads::on_processor,
};

/// Odd pairs begin with the first, even ones with the second.
const PAIRS: usize = 11;
const ROUND: Duration = Duration::from_millis(400);

/// A server under load, and the name of its threads.
pub struct Contender<'a> {
    pub name: &'static str,
    pub load: &'a mut Load,
    measured: Vec<Measured>,
}

/// What one server did in one round, and what it took of the processors.
struct Measured {
    round: Round,
    on_processor: Option<Duration>,
}

/// Requests per second of the first ÷ the second: of their medians, and of the pair in which it was least and most.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub of_medians: f64,
    pub least: f64,
    pub most: f64,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, load: &'a mut Load) -> Self {
        Self { name, load, measured: Vec::new() }
    }

    async fn run(&mut self) -> Result<Measured> {
        let before = on_processor(self.name);
        let round = self.load.round(ROUND).await?;
        let on_processor = on_processor(self.name).zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(Measured { round, on_processor })
    }

    async fn measure(&mut self) -> Result<()> {
        let measured = self.run().await?;
        self.measured.push(measured);
        Ok(())
    }

    /// For a person: requests per second, and what of the processors each took. That falls where the machine is busy, as
    /// each turn of a worker then finds more to do.
    pub fn line(&self) -> String {
        let each = |one: &Measured| one.on_processor.map(|time| time.as_secs_f64() * 1e6 / one.round.answers as f64);
        let known = self.measured.iter().all(|one| one.on_processor.is_some());
        let microseconds = median(&self.measured, |one| each(one).unwrap_or(f64::NAN));
        let processor =
            if known { format!(", {microseconds:.1} µs of its threads' processor time each") } else { String::new() };
        format!("{:<8}{:>9.0} requests/s{processor}", self.name, median(&self.measured, rate))
    }
}

/// After a round of each that does not count.
pub async fn interleaved(first: &mut Contender<'_>, second: &mut Contender<'_>) -> Result<Ratio> {
    first.run().await?;
    second.run().await?;
    for pair in 0..PAIRS {
        if pair % 2 == 0 {
            first.measure().await?;
            second.measure().await?;
        } else {
            second.measure().await?;
            first.measure().await?;
        }
    }
    let rounds = first.measured.iter().zip(&second.measured);
    let mut pairs: Vec<f64> = rounds.map(|(first, second)| rate(first) / rate(second)).collect();
    pairs.sort_by(f64::total_cmp);
    let (least, most) = (pairs.first().context("no rounds")?, pairs.last().context("no rounds")?);
    let of_medians = median(&first.measured, rate) / median(&second.measured, rate);
    Ok(Ratio { of_medians, least: *least, most: *most })
}

fn rate(measured: &Measured) -> f64 {
    measured.round.per_second()
}

fn median(measured: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
