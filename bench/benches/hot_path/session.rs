//! Session tokens.

use std::{hint::black_box, time::SystemTime};

use criterion::Criterion;
use metagate::session::{Session, Token, Ttl};
use metagate_bench::Node;

pub(crate) fn bench(criterion: &mut Criterion, node: &Node) {
    let (keys, address, owner) = (&node.gateway().keys, node.origin.address(), &node.entry.workload.uid);
    let (ttl, now) = (Ttl::parse("21600").unwrap(), SystemTime::now());
    let token = node.token().unwrap();
    let mut group = criterion.benchmark_group("session");
    group.bench_function("mint", |bencher| {
        bencher.iter(|| Token::mint(keys, ttl, black_box(address), Some(owner), now).unwrap());
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let session = Session::open(keys, black_box(token.as_bytes()), address, now).unwrap();
            assert!(session.belongs_to(&node.entry.workload));
        });
    });
    group.bench_function("refuse another address", |bencher| {
        let elsewhere = [10, 0, 0, 1].into();
        bencher.iter(|| Session::open(keys, black_box(token.as_bytes()), elsewhere, now).unwrap_err());
    });
    group.finish();
}
