//! A limit on the processor time of a blocking task.
//!
//! The time on the wall depends on what else runs: the threads of plugins have a lower priority, and a container may have a
//! tenth of a processor.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep},
};

/// How often the time used is read. A limit is reached up to this much late.
const READ_EVERY: Duration = Duration::from_secs(1);

/// A tick of proc_pid_stat(5): USER_HZ is 100 on each architecture that the gateway is built for (Linux,
/// asm-generic/param.h). procfs looks it up in the auxiliary vector, in a way that valgrind does not survive.
#[cfg(target_os = "linux")]
const TICK_MS: u64 = 10;

#[derive(Debug)]
pub(super) struct LimitReached;

/// Runs `work` on a blocking thread until it ends, or until it has used `limit`. It cannot be stopped: past the limit it runs
/// on, but nobody waits for it.
pub(super) async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, JoinError>, LimitReached> {
    let (started, starts) = oneshot::channel();
    let work = spawn_blocking(move || {
        // Nobody receives it if the caller stopped waiting.
        let _ = started.send(Timer::of_this_thread());
        work()
    });
    tokio::select! {
        ended = work => Ok(ended),
        () = reached(limit, starts) => Err(LimitReached),
    }
}

async fn reached(limit: Duration, starts: oneshot::Receiver<Timer>) {
    let Ok(timer) = starts.await else {
        // The task ended before it ran, and its handle says so.
        return std::future::pending().await;
    };
    while timer.used() < limit {
        sleep(READ_EVERY).await;
    }
}

/// The processor time of one thread since the timer started. Where the kernel does not tell it, because /proc is not mounted or
/// the system is not Linux, the time on the clock counts: a limit must end.
struct Timer {
    thread: Thread,
    before: Option<Duration>,
    began: Instant,
}

impl Timer {
    fn of_this_thread() -> Self {
        let thread = Thread::this();
        Self { before: thread.used(), thread, began: Instant::now() }
    }

    fn used(&self) -> Duration {
        match (self.before, self.thread.used()) {
            (Some(before), Some(used)) => used.saturating_sub(before),
            (None, _) | (_, None) => self.began.elapsed(),
        }
    }
}

#[cfg(target_os = "linux")]
struct Thread(rustix::thread::Pid);

#[cfg(target_os = "linux")]
impl Thread {
    fn this() -> Self {
        Self(rustix::thread::gettid())
    }

    fn used(&self) -> Option<Duration> {
        use procfs::process::Process;
        let task = Process::myself().and_then(|process| process.task_from_tid(self.0.as_raw_nonzero().get()));
        let stat = task.and_then(|task| task.stat()).ok()?;
        Some(Duration::from_millis((stat.utime + stat.stime).saturating_mul(TICK_MS)))
    }
}

/// Elsewhere no library tells the time of another thread without `unsafe` of ours.
#[cfg(not(target_os = "linux"))]
struct Thread;

#[cfg(not(target_os = "linux"))]
impl Thread {
    fn this() -> Self {
        Self
    }

    fn used(&self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_waits_for_an_hour_reaches_no_limit() {
        let (release, released) = mpsc::sync_channel(1);
        let waiting = tokio::spawn(within(Duration::from_secs(1), move || released.recv()));
        for _ in 0..60 {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        release.send("done").unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().unwrap(), Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn without_proc_the_time_on_the_clock_counts() {
        let timer = Timer { before: None, ..Timer::of_this_thread() };
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(timer.used(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_thread_that_spins_reaches_its_limit() {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let spun = within(Duration::from_millis(20), move || {
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let reached = spun.await.unwrap_err();
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(reached, LimitReached));
    }
}
