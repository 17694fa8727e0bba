//! Separate threads for guests, so that a guest that spins takes no time from the threads that serve pods.

use std::{io, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Timeout, timeout},
};

/// As many as serve pods: on a quiet node two decisions run at a time.
const THREADS: usize = 2;
/// A lower priority than the serving threads: about a tenth of their weight (sched(7)), so the kernel prefers them when
/// they have work. Nice 19, a seventieth, nearly stopped plugins on a machine that was busy with something else: a
/// plugin that compiles in 5 s took minutes.
const NICE: i32 = 10;

/// A tokio runtime that ends with its host.
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

    /// A timeout on the clock of these threads. A paused clock of the caller would advance at once, since it sees no
    /// other work to wait for.
    pub(crate) fn within<F: Future>(&self, time: Duration, work: F) -> Timeout<F> {
        let _context = self.0.as_ref().map(Runtime::enter);
        timeout(time, work)
    }
}

/// Dropping a runtime waits for its threads, which is not allowed in an async task.
impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Linux has a priority per thread; elsewhere this would lower the priority of the whole process.
#[cfg(target_os = "linux")]
fn lower_priority() -> io::Result<()> {
    rustix::process::nice(NICE)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() -> io::Result<()> {
    Ok(())
}
