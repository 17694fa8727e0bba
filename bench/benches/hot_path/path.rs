//! Request path to canonical segments.

use std::hint::black_box;

use criterion::Criterion;
use metagate::catalogue::CanonicalPath;
use metagate_bench::node::CREDENTIAL;

pub(crate) fn bench(criterion: &mut Criterion) {
    let encoded = "/latest/meta-data/iam/security-credentials/arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fpayments-checkout";
    // The most segments that a path may have, which no client of ours sends.
    let longest = "/a".repeat(4096);
    let mut group = criterion.benchmark_group("path");
    for (name, path) in [("credential", CREDENTIAL), ("encoded ARN", encoded), ("4096 segments", &longest)] {
        group.bench_function(name, |bencher| bencher.iter(|| CanonicalPath::parse(black_box(path)).unwrap()));
    }
    group.finish();
}
