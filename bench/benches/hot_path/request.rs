//! The whole of a request's life between hyper's parser and hyper's writer.

use criterion::Criterion;
use http::{Method, StatusCode, request::Parts};
use metagate::handle::handle;
use metagate_bench::{
    Node,
    node::{CREDENTIAL, TOKEN, TOKEN_TTL, head},
};
use tokio::runtime::Runtime;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime, node: &Node) {
    let token = node.token().unwrap();
    let tokened = |method, path| head(method, path, Some((TOKEN, &token))).unwrap();
    let requests = [
        ("credential, IMDSv2", node.credential_request().unwrap(), StatusCode::OK),
        ("credential, IMDSv1", head(Method::GET, CREDENTIAL, None).unwrap(), StatusCode::OK),
        ("role name", tokened(Method::GET, "/latest/meta-data/iam/security-credentials/"), StatusCode::OK),
        ("token", head(Method::PUT, "/latest/api/token", Some((TOKEN_TTL, "21600"))).unwrap(), StatusCode::OK),
        ("refusal", tokened(Method::GET, "/latest/meta-data/iam/security-credentials/another"), StatusCode::NOT_FOUND),
    ];
    let mut group = criterion.benchmark_group("request");
    for (name, parts, status) in &requests {
        group.bench_function(*name, |bencher| bencher.to_async(runtime).iter(|| answered(node, parts, *status)));
    }
    group.finish();
}

async fn answered(node: &Node, parts: &Parts, status: StatusCode) {
    let response = handle(node.gateway(), &node.origin, parts, false).await;
    assert_eq!(response.status(), status);
}
