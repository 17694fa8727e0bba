//! Workload to grant, through the three built-in plugins.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkGroup, Criterion, measurement::WallTime};
use metagate::roster::Entry;
use metagate::{
    plugin::{Host, Plugin, Resolution, RoleView, Verdict, WorkloadView, role_view, workload_view},
    policy::Outcome,
};
use metagate_bench::{Node, node::undecided};
use tokio::runtime::Runtime;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime, node: &Node) {
    let (policy, entry) = (&node.gateway().policy, &node.entry);
    let mut group = criterion.benchmark_group("decision");
    group.bench_function("in the workload's cell", |bencher| {
        bencher.to_async(runtime).iter(|| async { policy.grant(entry.principal()).await.unwrap() });
    });
    // The cost of a pod change that plugins do not see: a new workload with an empty decision cell, whose plugin inputs are
    // cached.
    group.bench_function("in the decision cache", |bencher| {
        bencher.to_async(runtime).iter_batched(
            || Entry::from(undecided(&entry.workload)),
            |entry| async move { (policy.grant(entry.principal()).await.unwrap(), entry) },
            BatchSize::SmallInput,
        );
    });
    // Three fresh instances: start and `init`, one call of `resolve`, three of `authorize`, drop.
    group.bench_function("worked out", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let decision = policy.explain(entry.principal(), None).await;
            assert!(matches!(decision.outcome, Outcome::Granted(_)), "{:?}", decision.outcome);
            decision
        });
    });
    parts(&mut group, runtime, node);
    group.finish();
}

/// How far a decision is followed by hand. The last of these and the whole differ by the queue and the record.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Until {
    Started,
    Resolved,
    Authorized,
}

fn parts(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime, node: &Node) {
    let policy = &node.gateway().policy;
    let rules = policy.rules();
    let grant = &node.grant;
    let role = role_view(grant.role(), "a-role", rules.defaults.base.as_ref().map(|base| base.as_str()));
    let view_of = |plugin: &Plugin| workload_view(&node.entry.workload, plugin.interest(), None).unwrap();
    group.bench_function("views for three plugins", |bencher| {
        bencher.iter(|| rules.plugins.iter().for_each(|plugin| drop(black_box(view_of(plugin)))));
    });
    let inputs: Vec<_> = rules.plugins.iter().map(|plugin| (plugin, view_of(plugin))).collect();
    for (name, until) in [
        ("three instances", Until::Started),
        ("three instances, resolve", Until::Resolved),
        ("three instances, resolve, authorize", Until::Authorized),
    ] {
        group.bench_function(name, |bencher| {
            bencher.to_async(runtime).iter(|| follow(policy.host(), &inputs, &role, until));
        });
    }
}

async fn follow(host: &Host, inputs: &[(&Plugin, WorkloadView)], role: &RoleView, until: Until) {
    let mut instances = Vec::with_capacity(inputs.len());
    for (number, (plugin, view)) in inputs.iter().enumerate() {
        let mut instance = plugin.instance(host).await.unwrap();
        if number == 0 && until >= Until::Resolved {
            assert!(matches!(instance.resolve(view).await.unwrap(), Resolution::Role(_)));
        }
        if until >= Until::Authorized {
            assert!(!matches!(instance.authorize(view, role).await.unwrap(), Verdict::Deny(_)));
        }
        instances.push(instance);
    }
}
