//! What a request costs, stage by stage and whole, in this process.

#![expect(clippy::unwrap_used, reason = "a stage that fails is not to be measured")]

mod caller;
mod credential;
mod path;
mod policy;
mod request;
mod session;

use std::time::Duration;

use criterion::Criterion;
use metagate_bench::{Node, threads::runtime};

fn main() {
    // Stages take nanoseconds to microseconds, so less than criterion's own 3 s and 5 s is enough.
    let criterion = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    let mut criterion = criterion.configure_from_args();
    let runtime = runtime("gateway").unwrap();
    let node = runtime.block_on(Node::start()).unwrap();
    path::bench(&mut criterion);
    session::bench(&mut criterion, &node);
    caller::bench(&mut criterion, &runtime);
    policy::bench(&mut criterion, &runtime, &node);
    credential::bench(&mut criterion, &runtime, &node);
    request::bench(&mut criterion, &runtime, &node);
    criterion.final_summary();
}
