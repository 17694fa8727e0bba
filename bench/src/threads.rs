//! Runtimes like the gateway's own.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// As many as `metagate run` has.
const WORKERS: usize = 2;

/// `name` is what `metagate_load::server::Server::on_threads` finds its threads by.
pub fn runtime(name: &'static str) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name(name).enable_all().build()
}
