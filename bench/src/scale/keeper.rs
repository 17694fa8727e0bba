//! One keeper with many roles: how often it asks its source, and how much processor time it takes.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use metagate::{
    clock::Clock,
    credential::{Keeper, KeeperHandle, KeeperSettings},
    policy::Grant,
};
use tokio::time::{Instant, sleep};

use super::issue::Issuer;
use crate::node;

/// An hour's credentials are renewed 27 to 33 minutes after they were issued.
const RENEWED: Duration = Duration::from_secs(40 * 60);
/// Virtual time, to measure what the keeper takes when all is well.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// By then the cold start of a thousand roles is over: 1,000 × 100 ms ÷ 8.
const COLD_START: Duration = Duration::from_secs(60);
const KEEPS: usize = 201;

/// The cost of up to a thousand roles.
pub struct KeeperCost {
    pub roles: usize,
    /// Source calls in each second since the start.
    pub seconds: Vec<u32>,
    /// From the start until the last role had its credential.
    pub cold_start: Duration,
    /// The same, with all credentials of the cold start dated from the very first second.
    pub seconds_of_one: Vec<u32>,
    /// The time of each fetch of the cold start, without the wait for the source.
    pub each_first: Duration,
    /// The processor time of a whole day ÷ the fetches in it: alarms, renewals and all.
    pub each_of_a_day: Duration,
    pub fetches_a_day: usize,
    /// The median time of a `keep` that changes nothing: one comes with each change of a pod and every ten seconds.
    pub each_keep: Duration,
}

impl KeeperCost {
    pub fn measure(grants: &[Arc<Grant>]) -> Result<Self> {
        let (first, one) = (Run::of(grants, false)?, Run::of(grants, true)?);
        // The two runs are alike at the start.
        let first_took = first.first_took.min(one.first_took);
        Ok(Self {
            roles: grants.len(),
            cold_start: first.cold_start,
            seconds: by_second(&first.asked),
            seconds_of_one: by_second(&one.asked),
            each_first: first_took / u32::try_from(grants.len())?.max(1),
            each_of_a_day: first.day_took / u32::try_from(first.asked_in_day)?.max(1),
            fetches_a_day: first.asked_in_day,
            each_keep: first.keep_took,
        })
    }

    /// The most calls in one second of the cold start.
    pub fn peak_of_start(&self) -> u32 {
        peak(&self.seconds, 0..COLD_START.as_secs())
    }

    /// The most calls in one second of the first renewals: as issued, and as if all were issued in one second.
    pub fn peaks_of_renewal(&self) -> (u32, u32) {
        let renewals = COLD_START.as_secs()..RENEWED.as_secs();
        (peak(&self.seconds, renewals.clone()), peak(&self.seconds_of_one, renewals))
    }
}

struct Run {
    asked: Vec<Duration>,
    cold_start: Duration,
    first_took: Duration,
    day_took: Duration,
    asked_in_day: usize,
    keep_took: Duration,
}

impl Run {
    fn of(grants: &[Arc<Grant>], of_one_second: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(Self::play(grants.to_vec(), of_one_second))
    }

    async fn play(grants: Vec<Arc<Grant>>, of_one_second: bool) -> Result<Self> {
        let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let issuer = if of_one_second { Issuer::of_one_second(&clock, COLD_START) } else { Issuer::new(&clock) };
        let settings = KeeperSettings::from(&node::config()?.credentials);
        let (wanted, began, truly_began) = (grants.len(), Instant::now(), std::time::Instant::now());
        let (credentials, keeper) = Keeper::spawn(issuer.clone(), settings, clock, Arc::new(()));
        keeper.keep(began, grants.clone()).await;
        while credentials.held() < wanted {
            ensure!(began.elapsed() < COLD_START, "{} of {wanted} credentials after a minute", credentials.held());
            sleep(Duration::from_millis(10)).await;
        }
        // A paused clock does not wait, so all the real time that passed was work.
        let (cold_start, first_took) = (began.elapsed(), truly_began.elapsed());
        sleep(RENEWED.saturating_sub(began.elapsed())).await;
        let asked = issuer.asked();
        let processor = on_processor()?;
        sleep(DAY).await;
        let (day_took, asked_in_day) = (on_processor()? - processor, issuer.asked().len() - asked.len());
        let keep_took = keep_again(&keeper, &grants).await;
        keeper.stop().await;
        Ok(Self { asked, cold_start, first_took, day_took, asked_in_day, keep_took })
    }
}

async fn keep_again(keeper: &KeeperHandle, grants: &[Arc<Grant>]) -> Duration {
    let mut took = Vec::with_capacity(KEEPS);
    for _ in 0..KEEPS {
        let began = std::time::Instant::now();
        keeper.keep(Instant::now(), grants.to_vec()).await;
        // The sleep ends when the keeper has nothing left to do.
        sleep(Duration::from_millis(1)).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took.get(KEEPS / 2).copied().unwrap_or_default()
}

fn by_second(asked: &[Duration]) -> Vec<u32> {
    let mut seconds = vec![0; usize::try_from(RENEWED.as_secs()).unwrap_or_default()];
    for moment in asked {
        if let Some(count) = usize::try_from(moment.as_secs()).ok().and_then(|second| seconds.get_mut(second)) {
            *count += 1;
        }
    }
    seconds
}

fn peak(seconds: &[u32], within: std::ops::Range<u64>) -> u32 {
    let numbered = seconds.iter().zip(0_u64..);
    numbered.filter(|(_, second)| within.contains(second)).map(|(count, _)| *count).max().unwrap_or_default()
}

/// Processor time of this thread since it began; the kernel updates it only at the tick (proc(5), schedstat). The
/// keeper has no other thread here.
fn on_processor() -> Result<Duration> {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").context("no schedstat: not Linux?")?;
    let nanoseconds = schedstat.split(' ').next().context("schedstat is empty")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
