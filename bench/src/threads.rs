//! Runtimes as the gateway's own, and how long their threads were on a processor.

use std::{fs, io, time::Duration};

use tokio::runtime::{Builder, Runtime};

/// As `metagate run` has them.
const WORKERS: usize = 2;

/// `name` is what [`on_processor`] finds its threads by; at most 15 bytes of it are kept by Linux.
pub fn runtime(name: &'static str) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name(name).enable_all().build()
}

/// Since they began, for all threads of that name together. None where the kernel does not tell (proc(5), schedstat).
pub fn on_processor(name: &str) -> Option<Duration> {
    let mut nanoseconds = 0;
    let mut found = false;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?.path();
        // A thread that ended since the folder was read is none of a server's workers.
        let Ok(comm) = fs::read_to_string(thread.join("comm")) else { continue };
        if comm.trim_end() == name {
            let schedstat = fs::read_to_string(thread.join("schedstat")).ok()?;
            nanoseconds += schedstat.split(' ').next()?.parse::<u64>().ok()?;
            found = true;
        }
    }
    found.then(|| Duration::from_nanos(nanoseconds))
}
