//! The relay against a fake metadata service on loopback: what it sends, and what happens at faults.

#![expect(clippy::unwrap_used, reason = "a test states what it expects by unwrapping")]

mod session;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metagate::{
    catalogue::{AllowList, Catalogue, Entry},
    relay::{ContentType, Document, HttpUpstream, Relay, RelayError, Upstream},
};
use metagate_testkit::{
    FakeImds,
    imds::{Fault, NODE_SECRET, Received},
};

fn upstream(imds: &FakeImds) -> HttpUpstream {
    HttpUpstream::new(imds.endpoint().parse().unwrap(), std::sync::Arc::new(()))
}

fn relay(imds: &FakeImds) -> Relay {
    Relay::new(Arc::new(upstream(imds)), Duration::from_secs(60))
}

fn entry(path: &str) -> Entry {
    Catalogue::find(&path.split('/').collect::<Vec<_>>()).unwrap()
}

async fn read(upstream: &HttpUpstream, path: &str) -> Result<Document, RelayError> {
    upstream.read(&entry(path)).await
}

fn names(request: &Received) -> Vec<&str> {
    request.headers.iter().map(|(name, _)| name.as_str()).collect()
}

fn is_unavailable(outcome: &Result<Document, RelayError>, with: &str) -> bool {
    matches!(outcome, Err(RelayError::Unavailable { detail, .. }) if detail.contains(with))
}

#[tokio::test]
async fn a_read_is_one_token_request_and_one_get_with_no_other_headers() {
    let imds = FakeImds::start().await.unwrap();
    let document = read(&upstream(&imds), "meta-data/placement/region").await.unwrap();
    assert_eq!(document, Document::text("eu-west-1"));

    let requests = imds.requests();
    let [put, get] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((put.method.as_str(), put.path.as_str()), ("PUT", "/latest/api/token"));
    assert_eq!(names(put), ["x-aws-ec2-metadata-token-ttl-seconds", "host"]);
    assert_eq!((get.method.as_str(), get.path.as_str()), ("GET", "/latest/meta-data/placement/region"));
    assert_eq!(names(get), ["x-aws-ec2-metadata-token", "host"]);
    assert!(requests.iter().all(|request| request.body.is_empty()));
    let host = imds.endpoint().replace("http://", "");
    assert!(requests.iter().all(|request| request.headers.contains(&("host".to_owned(), host.clone()))));
}

#[tokio::test]
async fn body_and_type_are_the_nodes_own() {
    let imds = FakeImds::start().await.unwrap();
    imds.put("meta-data/hostname", "a\r\n\u{0}b\n\n");
    let upstream = upstream(&imds);
    assert_eq!(read(&upstream, "meta-data/hostname").await.unwrap().body, "a\r\n\u{0}b\n\n");
    assert_eq!(read(&upstream, "user-data").await.unwrap().content_type, ContentType::OctetStream);
    assert!(matches!(read(&upstream, "meta-data/spot/instance-action").await, Err(RelayError::NotFound { .. })));
}

#[tokio::test]
async fn every_fault_is_unavailable_within_the_deadline_and_heals() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = upstream(&imds);
    for (fault, with) in [
        (Fault::Status(500), "500"),
        (Fault::Status(204), "204"),
        (Fault::Status(403), "403"),
        (Fault::Redirect(format!("{}/latest/meta-data/placement/region", imds.endpoint())), "302"),
        (Fault::Reset, ""),
        (Fault::Garbage, ""),
        (Fault::Hang, "2s"),
        (Fault::Slow(Duration::from_secs(20)), "2s"),
    ] {
        // A token is cached already, so that the fault hits the GET.
        read(&upstream, "meta-data/instance-id").await.unwrap();
        imds.set_fault(fault.clone());
        let asked = Instant::now();
        let outcome = read(&upstream, "meta-data/instance-id").await;
        assert!(is_unavailable(&outcome, with), "{fault:?}: {outcome:?}");
        // Soon after 2 s, and far before the 20 s that a slow answer takes.
        assert!(asked.elapsed() < Duration::from_secs(15), "{fault:?} took {:?}", asked.elapsed());
        imds.set_fault(None);
    }
    for request in imds.requests() {
        let sent = (request.method.as_str(), request.path.as_str(), names(&request));
        let is_put = sent == ("PUT", "/latest/api/token", vec!["x-aws-ec2-metadata-token-ttl-seconds", "host"]);
        let is_get = sent == ("GET", "/latest/meta-data/instance-id", vec!["x-aws-ec2-metadata-token", "host"]);
        assert!(is_put || is_get, "{request:?}");
    }
}

#[tokio::test]
async fn an_absent_upstream_is_unavailable_and_says_why() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = upstream(&imds);
    drop(imds);
    tokio::task::yield_now().await;
    let outcome = read(&upstream, "meta-data/instance-id").await;
    assert!(is_unavailable(&outcome, "refused"), "{outcome:?}");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = upstream(&imds);
    imds.set_fault(Fault::Huge(64 * 1024));
    assert_eq!(read(&upstream, "user-data").await.unwrap().body.len(), 64 * 1024);
    imds.set_fault(Fault::Huge(64 * 1024 + 1));
    let outcome = read(&upstream, "user-data").await;
    assert_eq!(outcome, Err(RelayError::TooLarge { path: "user-data".to_owned(), limit: 64 * 1024 }));
}

#[tokio::test]
async fn a_stuck_upstream_holds_few_connections() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = Arc::new(upstream(&imds));
    read(&upstream, "meta-data/instance-id").await.unwrap();
    let before = imds.connections();
    imds.set_fault(Fault::Hang);
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let upstream = upstream.clone();
        reads.spawn(async move { read(&upstream, "meta-data/instance-id").await });
    }
    let outcomes = reads.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| is_unavailable(outcome, "2s")).count(), 8);
    assert_eq!(outcomes.iter().filter(|outcome| is_unavailable(outcome, "other reads")).count(), 92);
    imds.set_fault(None);
    read(&upstream, "meta-data/instance-id").await.unwrap();
    assert!(imds.connections() - before <= 9, "{} connections", imds.connections() - before);
}

#[tokio::test]
async fn the_gateway_learns_its_own_profile_and_region_from_the_node() {
    let imds = FakeImds::start().await.unwrap();
    let relay = relay(&imds);
    assert_eq!(relay.instance_profile_arn().await.unwrap(), "arn:aws:iam::123456789012:instance-profile/node");
    assert_eq!(relay.region().await.unwrap(), "eu-west-1");
    imds.put("meta-data/placement/region", "eu-west-1.attacker.test/");
    imds.put("meta-data/iam/info", "{}");
    assert!(matches!(relay.region().await.unwrap_err(), RelayError::Malformed { .. }));
    assert!(matches!(relay.instance_profile_arn().await.unwrap_err(), RelayError::Malformed { .. }));
    imds.remove("meta-data/iam/info");
    assert!(matches!(relay.instance_profile_arn().await.unwrap_err(), RelayError::NotFound { .. }));
}

/// Lists as requests do: the relay is not asked for what the catalogue does not have.
async fn list(relay: &Relay, segments: &[&str], allow: &AllowList) -> Result<Vec<String>, RelayError> {
    let not_found = || RelayError::NotFound { path: segments.join("/") };
    relay.list(&Catalogue::listing(segments, allow).ok_or_else(not_found)?, allow).await
}

#[tokio::test]
async fn listings_need_the_node_only_where_only_the_node_knows() {
    let imds = FakeImds::start().await.unwrap();
    imds.put("meta-data/tags/instance/", "Name\nTeam\n../iam\n<b>\n\nTeam/x");
    let relay = relay(&imds);
    let allow =
        AllowList::parse(&["placement/region", "instance-id", "tags/instance/Team"].map(str::to_owned)).unwrap();
    assert_eq!(list(&relay, &["meta-data"], &allow).await.unwrap(), ["instance-id", "placement/", "tags/"]);
    assert_eq!(list(&relay, &["meta-data", "placement"], &allow).await.unwrap(), ["region"]);
    assert_eq!(list(&relay, &["meta-data", "tags"], &allow).await.unwrap(), ["instance/"]);
    assert_eq!(imds.requests(), []);
    assert_eq!(list(&relay, &["meta-data", "tags", "instance"], &allow).await.unwrap(), ["Team"]);
    assert_eq!(imds.gets(), ["meta-data/tags/instance/"]);
    assert!(matches!(list(&relay, &["meta-data", "spot"], &allow).await.unwrap_err(), RelayError::NotFound { .. }));
    assert!(matches!(list(&relay, &["meta-data", "iam"], &allow).await.unwrap_err(), RelayError::NotFound { .. }));
}

/// Everything that a pod could send, against a node that would answer it.
#[tokio::test]
async fn no_path_leads_to_the_nodes_credentials() {
    let imds = FakeImds::start().await.unwrap();
    let relay = relay(&imds);
    let everything = AllowList::parse(&["meta-data", "dynamic", "user-data"].map(str::to_owned)).unwrap();
    for path in [
        "meta-data/iam/info",
        "meta-data/iam/security-credentials/",
        "meta-data/iam/security-credentials/node",
        "meta-data/iam/security-credentials-extended/node",
        "meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        "meta-data/placement/../iam/security-credentials/node",
        "meta-data/tags/instance/../../iam/security-credentials/node",
        "meta-data//iam/security-credentials/node",
        "meta-data/%69am/security-credentials/node",
        "api/token",
    ] {
        let whole = [path];
        let split: Vec<&str> = path.split('/').collect();
        for segments in [whole.as_slice(), &split] {
            let document = match Catalogue::find(segments) {
                Some(entry) => relay.get(&entry).await,
                None => list(&relay, segments, &everything).await.map(|names| Document::text(names.join("\n"))),
            };
            assert!(!document.is_ok_and(|d| String::from_utf8_lossy(&d.body).contains(NODE_SECRET)), "{path}");
        }
    }
    assert_eq!(imds.requests(), [], "the node was asked");
}
