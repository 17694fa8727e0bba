//! The number of series, and that each is documented.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use metagate_testkit::{Setup, TestGateway};

use super::{CHECKOUT, CREDENTIAL, VISITOR, get};

/// With three built-in plugins. A histogram counts by its buckets, sum and count.
const MOST_SERIES: usize = 600;

const DOCUMENTED: &str = include_str!("../../../../deploy/METRICS.md");

fn text(gateway: &TestGateway) -> String {
    String::from_utf8(gateway.gateway().telemetry.metrics().text().unwrap()).unwrap()
}

fn series(gateway: &TestGateway) -> usize {
    text(gateway).lines().filter(|line| !line.starts_with('#')).count()
}

/// `count` pods in namespaces of their own, each with another role; every second role is permitted.
fn pods(count: u32) -> String {
    let pod = |number: u32| {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        let permitted = if number.is_multiple_of(2) { "role-.*" } else { "other-.*" };
        format!(
            "[[namespace]]\nname = 'n{number}'\n\
             annotations = {{ 'iam.amazonaws.com/permitted' = 'arn:aws:iam::123456789012:role/{permitted}' }}\n\
             [[workload]]\nnamespace = 'n{number}'\npod = 'p{number}'\nips = ['{address}']\n\
             annotations = {{ 'iam.amazonaws.com/role' = 'role-{number}' }}\n"
        )
    };
    (0..count).map(pod).collect()
}

/// Everything that a pod may try, by each of them.
async fn all_ask(count: u32) -> TestGateway {
    let setup = Setup::default().set("credentials.wait", "10s").roster(&pods(count)).unwrap();
    let gateway = setup.start().await.unwrap();
    for number in 0..count {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        for path in [
            format!("/latest/meta-data/iam/security-credentials/role-{number}"),
            format!("/latest/meta-data/iam/security-credentials/another-{number}"),
            "/latest/meta-data/iam/security-credentials/".to_owned(),
            "/latest/meta-data/placement/region".to_owned(),
            format!("/latest/meta-data/made-up-{number}"),
            format!("/{number}/../x"),
        ] {
            get(&gateway, address, &path, &["X-aws-ec2-metadata-token-ttl-seconds: x"]).await;
        }
    }
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pods_with_a_thousand_roles_make_no_more_series_than_ten() {
    let (few, many) = (all_ask(10).await, all_ask(1000).await);
    let (of_few, of_many) = (series(&few), series(&many));
    println!("series: {of_few} for 10 pods and roles, {of_many} for 1,000; the bound is {MOST_SERIES}");
    // The slowest of a thousand may fall into a bucket that ten leave empty. Every bucket exists from the start, so the
    // number stays the same.
    assert_eq!(of_many, of_few, "{}", text(&many));
    assert!(of_many <= MOST_SERIES);
}

/// Names and labels, in OpenTelemetry's spelling, as the tables of METRICS.md give them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = DOCUMENTED.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (name, rest) = row.split_once("` | ").unwrap();
        let labels = rest.split(" | ").nth(1).unwrap_or_default();
        (name.to_owned(), quoted(labels).into_iter().collect())
    };
    rows.map(row).collect()
}

/// As Prometheus has it: the name without the suffixes of its unit and its kind, and its labels.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
        let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
        let endings = ["_bucket", "_sum", "_count", "_total"];
        let mut name = name.to_owned();
        for ending in endings.into_iter().chain(["_seconds", "_bytes"]) {
            if let Some(bare) = name.strip_suffix(ending).filter(|bare| *bare != "process_thread" && !is_count(bare)) {
                name = bare.to_owned();
            }
        }
        let keys = labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(key, _)| key.to_owned());
        all.entry(name).or_default().extend(keys.filter(|key| key != "le"));
    }
    all
}

/// Names that end in `count` without a suffix.
fn is_count(bare: &str) -> bool {
    ["process_thread", "process_unix_file_descriptor"].contains(&bare)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_and_every_label_is_in_the_documentation() {
    let gateway = Setup::default().set("credentials.wait", "10s").start().await.unwrap();
    for pod in [CHECKOUT, VISITOR, [127, 0, 0, 99]] {
        for path in [CREDENTIAL, "/latest/meta-data/placement/region", "/latest/nothing"] {
            get(&gateway, pod, path, &[]).await;
        }
    }
    let spelt = |written: &str| written.replace('.', "_");
    let documented: BTreeMap<String, BTreeSet<String>> = documented()
        .into_iter()
        .map(|(name, labels)| (spelt(&name), labels.iter().map(|label| spelt(label)).collect()))
        .collect();
    assert!(documented.len() > 25, "{documented:?}");
    let text = text(&gateway);
    let exposed = exposed(&text);
    assert!(exposed.len() > 15, "{exposed:?}");
    for (name, labels) in exposed {
        let known = documented.get(&name).unwrap_or_else(|| panic!("{name} is not in METRICS.md\n{text}"));
        assert!(labels.is_subset(known), "{name}: {labels:?} are not all in {known:?}");
    }
}
