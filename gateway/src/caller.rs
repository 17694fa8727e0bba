//! Finds the workload at a peer address in the roster's current snapshot. No I/O: an unknown caller is waited for,
//! never looked up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    roster::{Entry, Feed, Standing},
    workload::Uid,
};

/// How a connection came in.
#[derive(Clone, Debug)]
pub struct Origin {
    pub peer: SocketAddr,
    pub connected_to: SocketAddr,
    /// Set if the listener itself belongs to one workload: laptops whose loopback has one address only.
    pub listener_of: Option<Uid>,
}

/// Why a caller is not identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unidentified {
    /// Not known yet, and the wait is over.
    Unknown,
    /// There is no such pod.
    Absent,
    /// More than one pod has the address.
    Ambiguous,
}

impl Origin {
    /// The address that identity and tokens are bound to.
    pub fn address(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }
}

/// The caller, or why it is not identified.
pub struct Identified {
    pub caller: Result<Arc<Entry>, Unidentified>,
    /// How long the request waited; None if the caller was known at once.
    pub waited: Option<Duration>,
}

impl Unidentified {
    /// A metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Absent => "absent",
            Self::Ambiguous => "ambiguous",
        }
    }
}

pub async fn identify(feed: &Feed, origin: &Origin, wait: Duration) -> Identified {
    match look(feed, origin) {
        Some(caller) => Identified { caller, waited: None },
        None => {
            let began = Instant::now();
            // Boxed, as few requests need it.
            let caller = Box::pin(wait_for_caller(feed, origin, began + wait)).await;
            Identified { caller, waited: Some(began.elapsed()) }
        }
    }
}

async fn wait_for_caller(feed: &Feed, origin: &Origin, deadline: Instant) -> Result<Arc<Entry>, Unidentified> {
    let mut changes = feed.changes();
    loop {
        // Subscribed before this look, so that no change between the two is missed.
        if let Some(caller) = look(feed, origin) {
            return caller;
        }
        match timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(unidentified(feed, origin)),
        }
    }
}

/// None while waiting may still help.
fn look(feed: &Feed, origin: &Origin) -> Option<Result<Arc<Entry>, Unidentified>> {
    match standing(feed, origin) {
        Standing::Known(entry) => Some(Ok(entry)),
        Standing::Absent => Some(Err(Unidentified::Absent)),
        Standing::Unknown | Standing::Ambiguous => None,
    }
}

fn unidentified(feed: &Feed, origin: &Origin) -> Unidentified {
    match standing(feed, origin) {
        Standing::Ambiguous => Unidentified::Ambiguous,
        _ => Unidentified::Unknown,
    }
}

pub(crate) fn standing(feed: &Feed, origin: &Origin) -> Standing {
    match &origin.listener_of {
        Some(uid) => feed.current().of_uid(uid),
        None => feed.current().at(origin.address()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{roster::Knowledge, workload::Workload};

    const WAIT: Duration = Duration::from_millis(800);

    fn origin() -> Origin {
        let [peer, connected_to] = ["10.0.0.1:40000", "10.0.0.254:8181"].map(|address| address.parse().unwrap());
        Origin { peer, connected_to, listener_of: None }
    }

    fn pod(name: &str) -> Workload {
        Workload {
            pod: name.into(),
            uid: Uid::derived("n", name),
            ips: vec!["10.0.0.1".parse().unwrap()],
            ..Workload::default()
        }
    }

    fn publish(feed: &Feed, pods: Vec<Workload>, knowledge: Knowledge) {
        feed.publish(pods, knowledge, SystemTime::UNIX_EPOCH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_appears_while_it_is_waited_for_is_known_at_once() {
        let feed = Arc::new(Feed::default());
        let began = Instant::now();
        let waiting = tokio::spawn({
            let feed = Arc::clone(&feed);
            async move { identify(&feed, &origin(), WAIT).await.caller }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        publish(&feed, vec![], Knowledge::Eventual);
        tokio::time::sleep(Duration::from_millis(200)).await;
        publish(&feed, vec![pod("late")], Knowledge::Eventual);
        assert_eq!(waiting.await.unwrap().unwrap().workload.pod, "late");
        assert_eq!(began.elapsed(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_unknown_is_refused_when_the_wait_is_over() {
        let feed = Feed::default();
        publish(&feed, vec![], Knowledge::Eventual);
        let began = Instant::now();
        assert!(matches!(identify(&feed, &origin(), WAIT).await.caller, Err(Unidentified::Unknown)));
        assert_eq!(began.elapsed(), WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_proven_absent_is_not_waited_for() {
        let feed = Feed::default();
        publish(&feed, vec![], Knowledge::Complete);
        let began = Instant::now();
        assert!(matches!(identify(&feed, &origin(), WAIT).await.caller, Err(Unidentified::Absent)));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn two_on_one_address_are_waited_for_until_one_is_gone() {
        let feed = Arc::new(Feed::default());
        publish(&feed, vec![pod("old"), pod("new")], Knowledge::Eventual);
        assert!(matches!(identify(&feed, &origin(), WAIT).await.caller, Err(Unidentified::Ambiguous)));
        let waiting = tokio::spawn({
            let feed = Arc::clone(&feed);
            async move { identify(&feed, &origin(), WAIT).await.caller }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        publish(&feed, vec![pod("new")], Knowledge::Eventual);
        assert_eq!(waiting.await.unwrap().unwrap().workload.pod, "new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_workload_s_own_listener_identifies_it_whatever_the_address() {
        let feed = Feed::default();
        publish(&feed, vec![pod("a"), pod("b")], Knowledge::Complete);
        let origin = Origin { listener_of: Some(Uid::derived("n", "b")), ..origin() };
        assert_eq!(identify(&feed, &origin, WAIT).await.caller.unwrap().workload.pod, "b");
    }
}
