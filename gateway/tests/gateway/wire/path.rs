//! Spellings of paths: which name the same resource, and which are refused.

use metagate_testkit::FakeImds;

use super::*;

/// A spelling, and its status if `placement/region` is allowed and no similar path is.
const CORPUS: [(&str, u16); 57] = [
    // One resource however it is spelt; a query has no effect.
    ("/latest/meta-data/placement/region", 200),
    ("/latest/meta-data/placement/region/", 200),
    ("//latest//meta-data///placement//region//", 200),
    ("/2021-03-23/meta-data/placement/region", 200),
    ("/latest/meta-data/placement/%72egion", 200),
    ("/%6C%61test/meta-data/placement/region", 200),
    ("/latest/meta-data/placement/region?", 200),
    ("/latest/meta-data/placement/region?a=/../b", 200),
    // Case matters, and so does the version.
    ("/latest/meta-data/placement/Region", 404),
    ("/LATEST/meta-data/placement/region", 404),
    ("/latest2/meta-data/placement/region", 404),
    ("/2021-03-24/meta-data/placement/region", 404),
    ("/meta-data/placement/region", 404),
    ("/latest/meta-data/placement/region/region", 404),
    // Dot segments are not resolved, in any encoding.
    ("/latest/./meta-data/placement/region", 400),
    ("/latest/../latest/meta-data/placement/region", 400),
    ("/../latest/meta-data/placement/region", 400),
    ("/latest/meta-data/placement/region/.", 400),
    ("/latest/meta-data/placement/region/..", 400),
    ("/latest/x/%2e%2e/meta-data/placement/region", 400),
    ("/latest/x/%2E%2E/meta-data/placement/region", 400),
    ("/latest/x/.%2e/meta-data/placement/region", 400),
    ("/latest/%2e/meta-data/placement/region", 400),
    ("/latest/x/..%2fmeta-data/placement/region", 400),
    // Separators, encoded or foreign.
    ("/latest/meta-data%2fplacement/region", 400),
    ("/latest/meta-data%2Fplacement%2Fregion", 400),
    ("/latest/meta-data/placement/region%2f", 400),
    ("/%2flatest/meta-data/placement/region", 400),
    ("/latest/meta-data%5cplacement/region", 400),
    ("/latest/meta-data%5Cplacement/region", 400),
    ("/latest\\meta-data\\placement\\region", 400),
    // Encoded twice, or wrongly.
    ("/latest/meta-data/placement%252fregion", 400),
    ("/latest/%252e%252e/meta-data/placement/region", 400),
    ("/latest/meta-data/placement/%2572egion", 400),
    ("/latest/meta-data/placement/region%", 400),
    ("/latest/meta-data/placement/region%2", 400),
    ("/latest/meta-data/placement/region%zz", 400),
    ("/latest/meta-data/placement/%u0072egion", 400),
    // Bytes that no resource has.
    ("/latest/meta-data/placement/region%00", 400),
    ("/latest/meta-data/placement/%00region", 400),
    ("/latest/meta-data/placement/region%0a", 400),
    ("/latest/meta-data/placement/region%0d%0aX:%20y", 400),
    ("/latest/meta-data/placement/region%20", 400),
    ("/latest/meta-data/placement/region%09", 400),
    ("/latest/meta-data/placement/region%7f", 400),
    ("/latest/meta-data/placement/region%23", 400),
    ("/latest/meta-data/placement/region%3f", 400),
    ("/latest/meta-data/placement/region%3Ba=b", 400),
    ("/latest/meta-data/placement/region;a=b", 400),
    ("/latest;a=b/meta-data/placement/region", 400),
    ("/latest/meta-data/placement/r%c3%a9gion", 400),
    ("/latest/meta-data/placement/region%c0%af", 400),
    ("/latest/meta-data/placement/region%ff", 400),
    ("/latest/%c0%ae%c0%ae/meta-data/placement/region", 400),
    ("/latest/meta-data/placement/<region>", 400),
    ("/latest/meta-data/placement/\"region\"", 400),
    ("/latest/meta-data/placement/{region}", 400),
];

#[tokio::test]
async fn every_spelling_is_the_one_resource_or_is_refused() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = setup().imds(&imds).set("imds.allow", r#"["placement/region"]"#).start().await.unwrap();
    for (path, status) in CORPUS {
        let reply = get(&gateway, CHECKOUT, path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert_eq!(reply.text() == "eu-west-1", status == 200, "{path}");
    }
    let asked: Vec<_> = imds.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/latest/api/token", "/latest/meta-data/placement/region"]);
}

#[tokio::test]
async fn a_path_longer_than_any_resource_is_400() {
    let gateway = gateway().await;
    let long = format!("/latest/meta-data/{}", "a".repeat(9000));
    assert_eq!(get(&gateway, CHECKOUT, &long).await.status, 400);
    let deep = format!("/latest/meta-data{}", "/a".repeat(2000));
    assert_eq!(get(&gateway, CHECKOUT, &deep).await.status, 404);
}

/// Targets that are neither a path nor an absolute URL.
#[tokio::test]
async fn a_target_that_is_no_path_is_refused() {
    let gateway = gateway().await;
    for target in ["*", "latest/meta-data/", "?x", "#x", "../latest/", "evil.example:80", "\u{e9}"] {
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        client.send(request(&gateway, &format!("GET {target}"), &["Connection: close"])).await.unwrap();
        let answer = String::from_utf8_lossy(&client.rest().await.unwrap()).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 404 "), "{target}: {answer}");
    }
}
