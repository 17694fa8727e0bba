//! Requests under churn and address reuse, each answer checked against who had the address while it was given.
//!
//! `METAGATE_CHURN_REQUESTS` sets their number (`make churn` has ten million), `METAGATE_CHURN_SEED` repeats a run's
//! churn.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects by unwrapping")]
#![expect(clippy::print_stderr, reason = "the count and the seed are the result")]

mod cluster;
mod issuer;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use metagate::{caller::Origin, handle::handle, roster::Feed};
use metagate_testkit::{Setup, TestGateway};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::{
    cluster::{ADDRESSES, Cluster, Epochs, ROLES, address},
    issuer::Issuer,
};

/// `make test` takes seconds for these.
const REQUESTS: u64 = 50_000;
/// Requests between two changes of the cluster: a long run may change it slowly, a short one has to change it often.
const REQUESTS_A_CHANGE: std::ops::Range<u64> = 100..1000;
/// More clients than threads, so that some wait for credentials while others ask.
const CLIENTS: u64 = 24;

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    served: AtomicU64,
    refused: AtomicU64,
}

struct Run {
    gateway: TestGateway,
    cluster: Mutex<Cluster>,
    epochs: Arc<Epochs>,
    counts: Counts,
    requests: u64,
    requests_a_change: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_served_another_workload_s_credentials_under_churn() {
    let requests = from_env("METAGATE_CHURN_REQUESTS").unwrap_or(REQUESTS);
    let seed = from_env("METAGATE_CHURN_SEED").unwrap_or_else(rand::random);
    eprintln!("churn: {requests} requests with METAGATE_CHURN_SEED={seed}");
    let feed = Arc::new(Feed::default());
    let requests_a_change = (requests / 10_000).clamp(REQUESTS_A_CHANGE.start, REQUESTS_A_CHANGE.end);
    let epochs = Arc::new(Epochs::new(requests / requests_a_change + 2));
    let mut cluster = Cluster::new(StdRng::seed_from_u64(seed), Arc::clone(&feed), Arc::clone(&epochs));
    cluster.change();
    let setup = Setup::default()
        // A session name that differs for two pods of the same name.
        .set("credentials.session_name", "{pod}.{uid}")
        .set("credentials.wait", "10s")
        .set("roster.wait", "5ms")
        .feed(&feed)
        .source(Arc::new(Issuer::new(&feed, &epochs)));
    let gateway = setup.start().await.unwrap();
    let (cluster, counts) = (Mutex::new(cluster), Counts::default());
    let run = Arc::new(Run { gateway, cluster, epochs, counts, requests, requests_a_change });
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&run), StdRng::seed_from_u64(seed ^ (number + 1))));
    }
    let wrong: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let (served, refused) = (count(&run.counts.served), count(&run.counts.refused));
    eprintln!(
        "churn: {} requests ({served} served, {refused} refused) over {} changes: {} misattributed",
        served + refused,
        run.epochs.last(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "seed {seed}: {:#?}", wrong.iter().take(5).collect::<Vec<_>>());
    assert!(served + refused >= requests && served > requests / 2, "too few requests were served to prove anything");
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().unwrap())
}

/// Returns the answers that were wrong.
async fn client(run: Arc<Run>, mut random: StdRng) -> Vec<String> {
    let mut wrong = Vec::new();
    loop {
        let nth = run.counts.asked.fetch_add(1, Ordering::Relaxed);
        if nth >= run.requests {
            return wrong;
        }
        if nth.is_multiple_of(run.requests_a_change) {
            run.cluster.lock().unwrap().change();
        }
        wrong.extend(run.ask(&mut random).await);
        if nth.is_multiple_of(16) {
            // Answers that wait for nothing would starve the other clients.
            tokio::task::yield_now().await;
        }
    }
}

impl Run {
    /// Makes one request. Returns what is wrong with its answer, if anything.
    async fn ask(&self, random: &mut StdRng) -> Option<String> {
        let before = self.epochs.published();
        // Mostly from an address in use: from any other the request waits and gets nothing.
        let somewhere: Vec<_> = (0..ADDRESSES).filter(|one| self.epochs.role_at(before, *one).is_some()).collect();
        let number = match &somewhere[..] {
            [_, ..] if random.random_bool(0.99) => somewhere[random.random_range(0..somewhere.len())],
            _ => random.random_range(0..ADDRESSES),
        };
        let wanted = match self.epochs.role_at(before, number) {
            Some(role) if random.random_bool(0.8) => role,
            _ => ROLES[random.random_range(0..ROLES.len())],
        };
        let gateway = self.gateway.gateway();
        let (origin, parts) = request(address(number), wanted);
        let response = handle(gateway, &origin, &parts, false).await;
        let after = self.epochs.begun();
        let Some(holder) = access_key(response).await else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.counts.served.fetch_add(1, Ordering::Relaxed);
        // ROLE|SESSION|the epoch of its issue: nobody got it before that.
        let (holder, issued) = holder.rsplit_once('|').unwrap();
        let since = before.max(issued.parse().unwrap());
        let allowed = (since..=after).any(|epoch| self.epochs.holder_at(epoch, number).as_deref() == Some(holder));
        (!allowed)
            .then(|| format!("{} asked for {wanted} and got {holder} in epochs {since}..={after}", address(number)))
    }
}

fn request(from: IpAddr, role: &str) -> (Origin, Parts) {
    let origin =
        Origin { peer: (from, 40_000).into(), connected_to: (Ipv4Addr::LOCALHOST, 80).into(), listener_of: None };
    let path = format!("/latest/meta-data/iam/security-credentials/{role}");
    let request = Request::get(path).header("Host", "169.254.169.254").body(()).unwrap();
    (origin, request.into_parts().0)
}

/// None if it was refused.
async fn access_key(response: Response<Full<Bytes>>) -> Option<String> {
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = str::from_utf8(&body).unwrap();
    let key = text.split_once("\"AccessKeyId\"").unwrap().1.split('"').nth(1).unwrap();
    Some(key.to_owned())
}

/// Long enough that nothing expires during a run.
const LIFE: Duration = Duration::from_secs(3600);
