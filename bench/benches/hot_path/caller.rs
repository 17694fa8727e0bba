//! Peer address to workload, in rosters of several sizes.

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use metagate::{
    caller::{Origin, identify},
    roster::Feed,
};
use metagate_bench::crowd;
use tokio::runtime::Runtime;

/// The number is the same everywhere: rosters of different sizes are compared, not how many callers fit a processor's
/// cache.
const CALLERS: u32 = 10;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("caller");
    for count in [10, 110, 100_000] {
        let feed = crowd::feed(count);
        in_turn(&mut group, &format!("among {count}"), runtime, &feed, &crowd::origins(CALLERS, count));
        if count == 100_000 {
            // Each caller comes from cold memory: the upper bound.
            in_turn(&mut group, "among 100000, all in turn", runtime, &feed, &crowd::origins(count, count));
        }
    }
    group.finish();
}

fn in_turn(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, runtime: &Runtime, feed: &Feed, origins: &[Origin]) {
    let mut callers = origins.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.to_async(runtime).iter(|| {
            let origin = callers.next().unwrap();
            async move { identify(feed, origin, Duration::ZERO).await.caller.unwrap() }
        });
    });
}
