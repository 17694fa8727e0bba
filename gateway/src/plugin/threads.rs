//! Threads of their own for guests, so that one that spins takes no time from those that serve pods.

use std::{io, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Timeout, timeout},
};

/// As many as serve pods: on a quiet node decisions are made side by side.
const THREADS: usize = 2;
/// Below the threads that serve, which the kernel then prefers whenever they have something to do: about a tenth of their
/// weight (sched(7)). At nineteen, a seventieth, a machine that is busy with something else brought plugins to a halt: one
/// that compiles in 5 s took minutes.
const NICE: i32 = 10;

/// A runtime that outlives no host.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("metagate-plugin")
            .enable_time()
            .on_thread_start(|| {
                if let Err(error) = lower_priority() {
                    tracing::warn!(%error, "plugins run at the same priority as requests");
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// None once the host is being dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }

    /// By these threads' own clock: that of the caller may be paused, and see nothing to wait for but this.
    pub(crate) fn within<F: Future>(&self, time: Duration, work: F) -> Timeout<F> {
        let _context = self.0.as_ref().map(Runtime::enter);
        timeout(time, work)
    }
}

/// A runtime that is dropped by itself waits for its threads, which no async task may do.
impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Linux has a priority for each thread; elsewhere this would lower the whole process's.
#[cfg(target_os = "linux")]
fn lower_priority() -> io::Result<()> {
    rustix::process::nice(NICE)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() -> io::Result<()> {
    Ok(())
}
