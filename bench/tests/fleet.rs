//! The fleet's figures rely on these properties.

use std::{collections::BTreeMap, time::Duration};

use metagate_bench::{
    fleet::{
        Fetching, Fleet,
        churn::{Churn, PODS_A_NODE},
        sts::Quota,
    },
    grants,
};

const HOUR: Churn = Churn::Steady(Duration::from_secs(3600));

#[test]
fn a_node_has_all_its_pods_at_any_moment_that_is_measured() {
    for node in 0..50 {
        let pods = HOUR.pods(node, 50);
        for minute in 0..60 {
            let now = HOUR.measured_from() + Duration::from_secs(60 * minute);
            let live = pods.iter().filter(|pod| pod.bound <= now && now < pod.gone).count() as u32;
            // Jobs come and go, and what a rollout replaces overlaps with what replaces it.
            assert!((PODS_A_NODE - 2..=PODS_A_NODE + 4).contains(&live), "{live} pods on node {node}");
        }
        assert!(pods.iter().all(|pod| pod.bound <= pod.seen && pod.bound <= pod.asks));
    }
}

#[test]
fn prefetch_saves_waits_and_costs_no_calls_and_only_a_reached_quota_throttles() {
    let fleet = |churn, fetching, a_second| {
        let quota = Quota { a_second, at_once: a_second };
        let fleet = Fleet { nodes: 4, churn, fetching, quota };
        let most = fleet.pods().iter().map(Vec::len).max().unwrap();
        let outcome = fleet.run(&grants::distinct(most).unwrap()).unwrap();
        let mut sum = BTreeMap::from([("calls", 0), ("throttled", 0)]);
        for second in outcome.account.seconds(churn.measured_from()) {
            assert!(f64::from(second.calls - second.throttled) <= 2.0 * a_second, "more than the quota was admitted");
            *sum.get_mut("calls").unwrap() += second.calls;
            *sum.get_mut("throttled").unwrap() += second.throttled;
        }
        (sum["calls"], sum["throttled"], outcome.tally.waits())
    };
    let (ahead_calls, throttled, ahead) = fleet(HOUR, Fetching::WhenSeen, 600.0);
    let (calls, _, on_demand) = fleet(HOUR, Fetching::OnDemand, 600.0);
    assert_eq!((on_demand.share, throttled, on_demand.in_vain), (1.0, 0, 0));
    assert!(ahead.share < 0.7, "{}", ahead.share);
    assert!(ahead_calls.abs_diff(calls) < calls / 4, "{ahead_calls} calls with prefetch, {calls} without");

    let boot = Churn::Boot(Duration::from_secs(600));
    let (calls, throttled, waits) = fleet(boot, Fetching::WhenSeen, 2.0);
    assert_eq!(calls - throttled, 4 * PODS_A_NODE);
    assert_eq!((waits.requests as u32, waits.in_vain), (4 * PODS_A_NODE, 0));
    assert!(throttled > 0);
}
