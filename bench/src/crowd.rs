//! Rosters of any size.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::SystemTime,
};

use metagate::{
    caller::Origin,
    pairs::Pairs,
    roster::{Feed, Knowledge},
    workload::{Uid, Workload},
};

/// `count` pods with one address each, out of 10.0.0.0/8.
pub fn feed(count: u32) -> Feed {
    let feed = Feed::default();
    feed.publish((0..count).map(pod).collect(), Knowledge::Eventual, SystemTime::now());
    feed
}

/// A connection of the pod with this number.
pub fn origin(number: u32) -> Origin {
    let connected_to = SocketAddr::from((Ipv4Addr::new(169, 254, 169, 254), 80));
    Origin { peer: (address(number), 40_000).into(), connected_to, listener_of: None }
}

/// `callers` origins, spread evenly over `count` pods.
pub fn origins(callers: u32, count: u32) -> Vec<Origin> {
    let step = (count / callers).max(1);
    (0..callers).map(|number| origin(number * step)).collect()
}

fn pod(number: u32) -> Workload {
    let name = format!("pod-{number}");
    let pairs = |pairs: [(&str, &str); 2]| -> Pairs { pairs.map(|(key, value)| (key.into(), value.into())).into() };
    Workload {
        uid: Uid::derived("crowd", &name),
        namespace: "crowd".into(),
        pod: name,
        ips: vec![address(number)],
        service_account: "default".into(),
        labels: pairs([("app", "crowd"), ("pod-template-hash", "6d4cf56db6")]),
        annotations: pairs([("iam.amazonaws.com/role", "crowd"), ("kubernetes.io/config.source", "api")]),
        ..Workload::default()
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number).into()
}
