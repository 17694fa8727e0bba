//! Grant to credential, credential to answer.

use std::sync::Arc;

use criterion::{BatchSize, Criterion};
use metagate::{
    credential::{Credential, Form, Secret},
    dialect::{Answer, imds},
    request_id::RequestId,
};
use metagate_bench::Node;
use tokio::runtime::Runtime;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime, node: &Node) {
    let (credentials, grant) = (&node.gateway().credentials, &node.grant);
    let cached = runtime.block_on(credentials.for_grant(grant)).unwrap();
    let role = &grant.role().arn;
    let answer = |credential: Arc<Credential>| {
        imds::render(Ok(Answer::Credential(credential, role.clone(), Form::Plain)), RequestId::default())
    };
    let mut group = criterion.benchmark_group("credential");
    group.bench_function("cached", |bencher| {
        bencher.to_async(runtime).iter(|| async { credentials.for_grant(grant).await.unwrap() });
    });
    group.bench_function("answer", |bencher| bencher.iter(|| answer(Arc::clone(&cached))));
    group.bench_function("first answer", |bencher| {
        bencher.iter_batched(|| Arc::new(unrendered(&cached)), answer, BatchSize::SmallInput);
    });
    group.finish();
}

/// The same credential without a rendered document.
fn unrendered(credential: &Credential) -> Credential {
    Credential::new(
        credential.access_key_id.clone(),
        Secret::new(credential.secret_access_key.expose().to_owned()),
        Secret::new(credential.session_token.expose().to_owned()),
        credential.issued_at,
        credential.expires_at,
    )
}
