//! What pods read of the node's metadata, and that nothing else is ever requested from the node.

use metagate_testkit::{
    FakeImds,
    imds::{NODE_SECRET, Received},
};

use super::{admin::look, *};

async fn before(imds: &FakeImds, allow: &str) -> TestGateway {
    setup().imds(imds).set("imds.allow", allow).start().await.unwrap()
}

const USUAL: &str = r#"["placement", "instance-id", "instance-type", "dynamic/instance-identity/document"]"#;
/// All that an operator can allow and the fake has, and more.
const EVERYTHING: &str = r#"["placement", "instance-id", "instance-type", "user-data", "dynamic", "tags", "hostname",
    "network", "public-keys", "block-device-mapping", "events", "spot", "services", "mac", "local-ipv4"]"#;

#[tokio::test]
async fn an_allowed_path_is_the_nodes_own_answer_unchanged() {
    let imds = FakeImds::start().await.unwrap();
    imds.put("meta-data/placement/group-name", "  two\r\nlines \u{0}\u{7f}\n\n");
    imds.put_as("user-data", "application/octet-stream", vec![0xff, 0x00, b'\n', 0xfe]);
    let gateway = before(&imds, EVERYTHING).await;
    for (path, body, kind) in [
        ("meta-data/instance-id", "i-0123456789abcdef0".as_bytes(), "text/plain"),
        ("meta-data/placement/availability-zone/", b"eu-west-1a", "text/plain"),
        ("meta-data/placement/group-name", b"  two\r\nlines \0\x7f\n\n", "text/plain"),
        ("meta-data/tags/instance/Name", b"node", "text/plain"),
        ("user-data", b"\xff\x00\n\xfe", "application/octet-stream"),
    ] {
        for version in ["latest", "2021-03-23"] {
            let reply = get(&gateway, CHECKOUT, &format!("/{version}/{path}")).await;
            assert_eq!((reply.status, reply.body.as_slice()), (200, body), "{path}");
            let length = body.len().to_string();
            assert_eq!(
                headers(&reply),
                [("Content-Type", kind), ("Server", "EC2ws"), ("Content-Length", length.as_str())],
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_404_and_never_asked_of_the_node() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = before(&imds, USUAL).await;
    for path in [
        "user-data",
        "user-data/",
        "dynamic/fws/instance-monitoring",
        "dynamic/instance-identity/pkcs7",
        "dynamic/instance-identity/signature",
        "meta-data/hostname",
        "meta-data/tags/instance/Name",
        "meta-data/tags/instance/",
        "meta-data/public-keys/0/openssh-key",
        "meta-data/instance-idx",
        "meta-data/instance-id/x",
        "meta-data/Instance-Id",
        "meta-data/placement/regions",
        "meta-data/iam",
        "api",
        "api/",
        "api/token/x",
        "meta-data/iam/x",
        "credentials",
        "no-such-thing",
    ] {
        let reply = get(&gateway, CHECKOUT, &format!("/latest/{path}")).await;
        let listed = path == "meta-data/iam";
        assert_eq!(reply.status, if listed { 200 } else { 404 }, "{path}: {}", reply.text());
    }
    for path in ["/1999-01-01/meta-data/instance-id", "/Latest/meta-data/instance-id", "/meta-data/instance-id", "/x"] {
        assert_eq!(get(&gateway, CHECKOUT, path).await.status, 404, "{path}");
    }
    assert_eq!(imds.requests(), []);
}

/// Spellings of the three paths of the node's own credentials.
const NODE_CREDENTIALS: [&str; 33] = [
    "/latest/meta-data/iam/security-credentials/node",
    "/latest/meta-data/iam/security-credentials/node/",
    "/latest/meta-data/iam/security-credentials//node",
    "//latest//meta-data//iam//security-credentials//node",
    "/latest/meta-data/iam/security-credentials-extended/node",
    "/latest/meta-data/iam/security-credentialsX/node",
    "/latest/meta-data/iam/security-credentials%2Fnode",
    "/latest/meta-data/iam%2Fsecurity-credentials/node",
    "/latest/meta-data%2fiam%2fsecurity-credentials%2fnode",
    "/latest%2fmeta-data/iam/security-credentials/node",
    "/latest/meta-data/iam/security-credentials/%6eode",
    "/latest/meta-data/%69am/security-credentials/node",
    "/latest/meta-data/IAM/security-credentials/node",
    "/latest/meta-data/iam;a=b/security-credentials/node",
    "/latest/meta-data/iam/./security-credentials/node",
    "/latest/meta-data/placement/../iam/security-credentials/node",
    "/latest/meta-data/placement/%2e%2e/iam/security-credentials/node",
    "/latest/meta-data/placement/..%2fiam/security-credentials/node",
    "/latest/meta-data/placement/%252e%252e/iam/security-credentials/node",
    "/latest/meta-data/placement/..;/iam/security-credentials/node",
    "/latest/meta-data\\iam\\security-credentials\\node",
    "/latest/meta-data%5ciam%5csecurity-credentials%5cnode",
    "/2021-03-23/meta-data/iam/security-credentials/node",
    "/1.0/meta-data/iam/security-credentials/node",
    "/latest/meta-data/iam/security-credentials/node%00",
    "/latest/meta-data/iam/security-credentials/node%0d%0aHost:%20x",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance/",
    "/latest/meta-data/identity-credentials/ec2/info",
    "/latest/meta-data/identity-credentials/",
    "/2024-04-11/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest//meta-data/%69dentity-credentials/ec2//security-credentials/ec2-instance",
    "/latest/dynamic/../meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
];

#[tokio::test]
async fn no_spelling_reaches_the_nodes_credentials_whatever_is_allowed() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = before(&imds, EVERYTHING).await;
    for path in NODE_CREDENTIALS {
        for pod in [CHECKOUT, IDLE] {
            let reply = get(&gateway, pod, path).await;
            assert!(matches!(reply.status, 400 | 404), "{path}: {} {}", reply.status, reply.text());
            assert!(!reply.text().contains(NODE_SECRET), "{path}");
        }
    }
    let absolute = format!("GET http://{}/latest/meta-data/iam/security-credentials/node", gateway.address());
    assert_eq!(ask(&gateway, CHECKOUT, &absolute, &[]).await.status, 404);
    assert_eq!(imds.requests(), []);
}

#[tokio::test]
async fn listings_name_what_this_pod_may_see() {
    let imds = FakeImds::start().await.unwrap();
    let usual = before(&imds, USUAL).await;
    let more = before(&imds, r#"["instance-id", "user-data", "tags", "dynamic/instance-identity/document"]"#).await;
    for (gateway, pod, path, listing) in [
        (&usual, CHECKOUT, "/latest/", "dynamic\nmeta-data"),
        (&usual, CHECKOUT, "/latest", "dynamic\nmeta-data"),
        (&usual, CHECKOUT, "/latest/dynamic/instance-identity/", "document"),
        (&usual, CHECKOUT, "/latest/meta-data/", "iam/\ninstance-id\ninstance-type\nplacement/"),
        (&usual, CHECKOUT, "/2021-03-23/meta-data", "iam/\ninstance-id\ninstance-type\nplacement/"),
        (&usual, IDLE, "/latest/meta-data/", "instance-id\ninstance-type\nplacement/"),
        (&usual, CHECKOUT, "/latest/meta-data/iam/", "info\nsecurity-credentials/"),
        (&usual, CHECKOUT, "/latest/meta-data/iam", "info\nsecurity-credentials/"),
        (
            &usual,
            CHECKOUT,
            "/latest/meta-data/placement/",
            "availability-zone\navailability-zone-id\ngroup-id\ngroup-name\nhost-id\npartition-number\nregion",
        ),
        (&more, CHECKOUT, "/latest/", "dynamic\nmeta-data\nuser-data"),
        (&more, CHECKOUT, "/latest/dynamic/", "instance-identity/"),
        (&more, IDLE, "/latest/meta-data/", "instance-id\ntags/"),
        (&more, CHECKOUT, "/latest/meta-data/tags/instance/", "Name\nTeam"),
    ] {
        let reply = get(gateway, pod, path).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, listing), "{pod} {path}");
        assert_eq!(reply.header("Content-Type"), Some("text/plain"));
    }
    let versions = get(&usual, CHECKOUT, "/").await.text();
    assert!(versions.starts_with("1.0\n2007-01-19\n") && versions.ends_with("\nlatest"), "{versions}");
}

/// The status of a pod's own request, and the status that `explain` gives for it.
async fn both(gateway: &TestGateway, address: Ipv4Addr, pod: &str, path: &str) -> (u16, u64) {
    let explained = look(gateway, &format!("/api/v1/explain?pod={pod}&path={path}")).await;
    let explained: serde_json::Value = serde_json::from_slice(&explained.body).unwrap();
    (get(gateway, address, path).await.status, explained["status"].as_u64().unwrap())
}

#[tokio::test]
async fn explain_tells_the_status_that_a_request_gets() {
    let imds = FakeImds::start().await.unwrap();
    imds.put("dynamic/instance-identity/document", "{}");
    for allow in [USUAL, "[]", r#"["instance-id", "user-data", "tags", "dynamic/instance-identity/document"]"#] {
        let gateway = before(&imds, allow).await;
        for (address, pod) in
            [(CHECKOUT, "payments/checkout-0"), (VISITOR, "guests/visitor-0"), (IDLE, "payments/idle-0")]
        {
            for path in [
                "/",
                "/latest",
                "/latest/",
                "/2021-03-23/",
                "/latest/meta-data",
                "/latest/meta-data/",
                "//latest//meta-data//",
                "/latest/meta-data/iam",
                "/latest/meta-data/iam/",
                "/latest/meta-data/iam/x",
                "/latest/meta-data/iam/info",
                "/latest/meta-data/iam/security-credentials",
                "/latest/meta-data/iam/security-credentials/",
                "/latest/meta-data/iam/security-credentials/payments-checkout",
                "/latest/meta-data/iam/security-credentials/payments-reporting",
                "/latest/meta-data/iam/security-credentials-extended/payments-checkout/",
                "/latest/meta-data/placement",
                "/latest/meta-data/placement/region",
                "/latest/meta-data/placement/region/x",
                "/latest/meta-data/spot/",
                "/latest/meta-data/mac",
                "/latest/meta-data/tags/",
                "/latest/meta-data/tags/instance/",
                "/latest/meta-data/tags/instance/Name",
                "/latest/dynamic/",
                "/latest/dynamic/instance-identity/document",
                "/latest/user-data",
                "/latest/api",
                "/latest/api/token",
                "/1999-01-01/meta-data",
                "/latest/meta-data/../user-data",
            ] {
                let (asked, explained) = both(&gateway, address, pod, path).await;
                assert_eq!(u64::from(asked), explained, "{allow} {pod} {path}");
            }
        }
    }
}

#[tokio::test]
async fn no_byte_of_a_client_reaches_the_node() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = before(&imds, USUAL).await;
    let token = token(&gateway, CHECKOUT).await;
    let odd = [
        format!("X-aws-ec2-metadata-token: {token}"),
        "Cookie: evil=1".into(),
        "Authorization: Bearer evil".into(),
        "X-Forwarded-For: 10.6.6.6".into(),
        "Forwarded: for=evil".into(),
        "Connection: keep-alive, x-evil".into(),
        "X-Evil: evil".into(),
        "User-Agent: evil".into(),
        "Accept: evil/evil".into(),
        "Expect: 100-continue".into(),
        "Range: bytes=0-1".into(),
        "If-None-Match: evil".into(),
        "X-Odd: \u{1F608}evil".into(),
    ];
    let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
    let path = "//2021-03-23/meta-data//%69nstance-id/?evil=evil&x=%0d%0aevil";
    let reply = ask(&gateway, CHECKOUT, &format!("GET {path}"), &odd).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "i-0123456789abcdef0"));

    let requests = imds.requests();
    let [put, read] = requests.as_slice() else { panic!("{requests:?}") };
    let names = |request: &Received| request.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!((put.method.as_str(), put.path.as_str()), ("PUT", "/latest/api/token"));
    assert_eq!(names(put), ["x-aws-ec2-metadata-token-ttl-seconds", "host"]);
    assert_eq!((read.method.as_str(), read.path.as_str()), ("GET", "/latest/meta-data/instance-id"));
    assert_eq!(names(read), ["x-aws-ec2-metadata-token", "host"]);
    assert!(requests.iter().all(|request| request.body.is_empty()));
    let sent = format!("{requests:?}");
    assert!(
        !sent.contains("evil") && !sent.contains(&token) && !sent.contains(&gateway.address().to_string()),
        "{sent}"
    );
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_503_and_its_words_stay_with_the_operator() {
    let imds = FakeImds::start().await.unwrap();
    imds.set_fault(metagate_testkit::imds::Fault::Status(500));
    let gateway = before(&imds, USUAL).await;
    let reply = get(&gateway, CHECKOUT, "/latest/meta-data/instance-id").await;
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")));
    assert!(!reply.text().contains(&imds.endpoint()) && !reply.text().contains("html"), "{}", reply.text());
    let role = get(&gateway, CHECKOUT, "/latest/meta-data/iam/security-credentials/").await;
    assert_eq!(role.status, 200, "credentials do not need the node");
}
