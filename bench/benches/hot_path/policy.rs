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
    // What a change of the pod costs that plugins do not see: a new value with an empty cell, and inputs that are cached.
    group.bench_function("in the decision cache", |bencher| {
        bencher.to_async(runtime).iter_batched(
            || Entry::from(undecided(&entry.workload)),
            |entry| async move { (policy.grant(entry.principal()).await.unwrap(), entry) },
            BatchSize::SmallInput,
        );
    });
    // Three fresh instances: initialised, one call of `resolve`, three of `authorize`, dropped.
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

/// How far a decision is followed by hand. What the last of these costs less than the whole is the queue and the record.
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
    let show = |plugin: &Plugin| workload_view(&node.entry.workload, plugin.interest(), None).unwrap();
    group.bench_function("shown to three plugins", |bencher| {
        bencher.iter(|| rules.plugins.iter().for_each(|plugin| drop(black_box(show(plugin)))));
    });
    let seats: Vec<_> = rules.plugins.iter().map(|plugin| (plugin, show(plugin))).collect();
    for (name, until) in [
        ("three instances", Until::Started),
        ("three instances, resolve", Until::Resolved),
        ("three instances, resolve, authorize", Until::Authorized),
    ] {
        group.bench_function(name, |bencher| {
            bencher.to_async(runtime).iter(|| follow(policy.host(), &seats, &role, until));
        });
    }
}

async fn follow(host: &Host, seats: &[(&Plugin, WorkloadView)], role: &RoleView, until: Until) {
    let mut instances = Vec::with_capacity(seats.len());
    for (number, (plugin, shown)) in seats.iter().enumerate() {
        let mut instance = plugin.instance(host).await.unwrap();
        if number == 0 && until >= Until::Resolved {
            assert!(matches!(instance.resolve(shown).await.unwrap(), Resolution::Role(_)));
        }
        if until >= Until::Authorized {
            assert!(!matches!(instance.authorize(shown, role).await.unwrap(), Verdict::Deny(_)));
        }
        instances.push(instance);
    }
}
