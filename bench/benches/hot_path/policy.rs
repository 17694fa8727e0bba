//! Workload to grant, through the three built-in plugins.

use std::sync::Arc;

use criterion::{BatchSize, Criterion};
use metagate::policy::Outcome;
use metagate_bench::{Node, node::undecided};
use tokio::runtime::Runtime;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime, node: &Node) {
    let (policy, workload) = (&node.gateway().policy, &node.workload);
    let mut group = criterion.benchmark_group("decision");
    group.bench_function("in the workload's memo", |bencher| {
        bencher.to_async(runtime).iter(|| async { policy.grant(workload).await.unwrap() });
    });
    // What a change of the pod costs that plugins do not see: a new value with an empty memo, and an old question.
    group.bench_function("in the decision cache", |bencher| {
        bencher.to_async(runtime).iter_batched(
            || Arc::new(undecided(workload)),
            |workload| async move { (policy.grant(&workload).await.unwrap(), workload) },
            BatchSize::SmallInput,
        );
    });
    // Three fresh instances: initialised, one call of `resolve`, three of `authorize`, dropped.
    group.bench_function("worked out", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let decision = policy.explain(workload, None).await;
            assert!(matches!(decision.outcome, Outcome::Granted(_)), "{:?}", decision.outcome);
            decision
        });
    });
    group.finish();
}
