//! What the plugins' answers lead to.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config::{self, Mode},
    plugin::Plugin,
    policy::{Defaults, Outcome, Rejection, Rules},
    refusal::Refusal,
    workload::Workload,
};
use tokio::sync::OnceCell;

use super::{
    bench::{self, Bench, defaults},
    guests::{host, scripted, three},
    pods::{allow, deny, does, harmless, pod, role},
};

const PATH: &str = "meta-data/instance-id";

/// A guest with the name of the second of three, in audit mode.
async fn audited() -> Plugin {
    static AUDITED: OnceCell<Plugin> = OnceCell::const_new();
    let audited = |guest| config::Plugin { mode: Mode::Audit, ..guest };
    AUDITED.get_or_init(async || scripted("second", audited).await).await.clone()
}

async fn with_audited() -> Bench {
    let [first, _, third] = three().await;
    Bench::new([first, audited().await, third])
}

async fn with_default(role: &str) -> Bench {
    Bench::under(three().await, Defaults { role: Some(role.into()), ..defaults() })
}

async fn auditing() -> Bench {
    Bench::under(three().await, Defaults { mode: Mode::Audit, ..defaults() })
}

#[tokio::test]
async fn the_first_plugin_with_a_role_names_it() {
    let [first, second, third] = three().await;
    let both = || pod(&[("first", role("one")), ("second", role("two")), ("third", allow())]);
    let in_order = Bench::new([first.clone(), second.clone(), third.clone()]);
    assert_eq!(in_order.granted(both()).await, format!("{}one", bench::BASE));
    assert_eq!(
        in_order.steps(both()).await,
        ["first resolve role", "first authorize abstain", "second authorize abstain", "third authorize allow"]
    );
    let turned = Bench::new([third, second, first]);
    assert_eq!(turned.granted(both()).await, format!("{}two", bench::BASE));
}

#[tokio::test]
async fn a_denial_in_resolve_is_final() {
    let bench = Bench::new(three().await);
    let denied = || pod(&[("first", deny("resolve", "no-such-team")), ("second", role("web")), ("third", allow())]);
    let denial = bench.denied(denied()).await;
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("first", "no-such-team"));
    assert_eq!(denial.reason, "because of a rule");
    assert_eq!(bench.steps(denied()).await, ["first resolve deny"]);
}

#[tokio::test]
async fn one_denial_outweighs_every_allow_wherever_it_stands() {
    let bench = with_default("web").await;
    let everybody = pod(&[("first", allow()), ("second", allow()), ("third", allow())]);
    bench.granted(everybody).await;
    for denying in ["first", "second", "third"] {
        let answer = |name| (name, if name == denying { deny("authorize", "not-here") } else { allow() });
        let denial = bench.denied(pod(&["first", "second", "third"].map(answer))).await;
        assert_eq!((denial.by.as_str(), denial.code.as_str()), (denying, "not-here"));
    }
}

#[tokio::test]
async fn abstention_by_all_is_no_permission() {
    let denial = Bench::new(three().await).denied(pod(&[("first", role("web"))])).await;
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("policy", "nobody-allowed"));
}

#[tokio::test]
async fn a_pod_for_which_no_plugin_names_a_role_has_none() {
    let bench = Bench::new(three().await);
    let rejection = bench.grant(pod(&[("second", allow())])).await.unwrap_err();
    assert!(matches!(rejection, Rejection::NoRole), "{rejection:?}");
    assert_eq!(Refusal::from(rejection).status(), StatusCode::NOT_FOUND);
    let steps = bench.steps(pod(&[("second", allow())])).await;
    assert_eq!(steps, ["first resolve abstain", "second resolve abstain", "third resolve abstain"]);
}

#[tokio::test]
async fn without_plugins_nobody_has_anything() {
    let none = Bench::new([]);
    assert!(matches!(none.grant(harmless()).await, Err(Rejection::NoRole)));
    let with_default = Bench::under([], Defaults { role: Some("web".into()), ..defaults() });
    assert_eq!(with_default.denied(harmless()).await.code, "nobody-allowed");
}

#[tokio::test]
async fn the_default_role_obeys_authorization_like_any_other() {
    let bench = with_default("fallback").await;
    assert_eq!(bench.denied(pod(&[])).await.code, "nobody-allowed");
    assert_eq!(bench.denied(pod(&[("first", allow()), ("third", deny("authorize", "never"))])).await.code, "never");
    assert_eq!(bench.granted(pod(&[("first", allow())])).await, format!("{}fallback", bench::BASE));
    // The default role is for pods that have no other.
    assert_eq!(bench.granted(pod(&[("first", allow()), ("second", role("own"))])).await, format!("{}own", bench::BASE));
}

#[tokio::test]
async fn an_invalid_default_role_is_the_configurations_fault() {
    let denial = with_default("not a role").await.denied(pod(&[("first", allow())])).await;
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("policy", "invalid-role"));
}

#[tokio::test]
async fn after_a_failure_no_other_plugin_is_asked_and_nothing_is_cached() {
    let bench = Bench::new(three().await);
    let failing = || pod(&[("first", role("web")), ("second", does("authorize", "err")), ("third", allow())]);
    let steps = bench.steps(failing()).await;
    assert_eq!(steps, ["first resolve role", "first authorize abstain", "second authorize failed"]);
    let same = Entry::from(failing());
    for _ in 0..2 {
        assert_eq!(bench::fault(bench.policy.grant(same.principal()).await.unwrap_err().rejection).plugin, "second");
    }
    assert_eq!(bench.worked_out(), ["failed", "failed"]);
}

#[tokio::test]
async fn a_failure_in_resolve_is_not_passed_over_for_the_next_plugins_role() {
    let bench = Bench::new(three().await);
    let failing = || pod(&[("first", does("resolve", "err")), ("second", role("web")), ("third", allow())]);
    assert_eq!(bench.failed(failing()).await.plugin, "first");
    assert_eq!(bench.steps(failing()).await, ["first resolve failed"]);
}

#[tokio::test]
async fn an_audited_denial_or_failure_is_only_recorded() {
    let bench = with_audited().await;
    for (no, noted) in [(deny("authorize", "never"), "deny"), (does("authorize", "err"), "failed")] {
        let pod = || pod(&[("first", role("web")), ("second", no.clone()), ("third", allow())]);
        assert_eq!(bench.granted(pod()).await, format!("{}web", bench::BASE));
        let expected = format!("second authorize {noted} (audited)");
        assert!(bench.steps(pod()).await.contains(&expected), "{expected}");
    }
}

#[tokio::test]
async fn after_an_audited_denial_in_resolve_the_next_plugin_names_a_role() {
    let bench = with_audited().await;
    let pod = || pod(&[("second", deny("resolve", "never")), ("third", role("web"))]);
    assert_eq!(bench.denied(pod()).await.code, "nobody-allowed", "an audited denial does not allow anything");
    let steps = bench.steps(pod()).await;
    assert_eq!(&steps[..3], ["first resolve abstain", "second resolve deny (audited)", "third resolve role"]);
}

#[tokio::test]
async fn an_audited_plugin_denies_nobody_a_path() {
    let bench = with_audited().await;
    for no in [deny("authorize-path", "never"), does("authorize-path", "trap")] {
        admitted(&bench, pod(&[("second", no)])).await.unwrap();
    }
    let denied_by_another =
        pod(&[("second", does("authorize-path", "trap")), ("third", deny("authorize-path", "never"))]);
    assert_eq!(bench::denial(admitted(&bench, denied_by_another).await.unwrap_err()).by, "third");
}

#[tokio::test]
async fn an_audited_denial_widens_nothing() {
    let bench = with_audited().await;
    let unallowed = |no| pod(&[("first", role("web")), ("second", no)]);
    for no in [deny("authorize", "never"), does("authorize", "trap")] {
        assert_eq!(bench.denied(unallowed(no)).await.code, "nobody-allowed");
    }
    let denied_by_another =
        pod(&[("first", role("web")), ("second", does("authorize", "trap")), ("third", deny("authorize", "never"))]);
    assert_eq!(bench.denied(denied_by_another).await.by, "third");
}

#[tokio::test]
async fn if_an_audited_plugin_fails_in_resolve_no_other_plugin_names_a_role() {
    let bench = with_audited().await;
    let pod = pod(&[("second", does("resolve", "trap")), ("third", role("wider"))]);
    assert_eq!(bench.failed(pod).await.plugin, "second");
}

/// Otherwise a pod on which an audited plugin loops would wait at each request.
#[tokio::test(start_paused = true)]
async fn a_grant_in_which_an_audited_plugin_failed_is_cached_for_seconds() {
    let [first, _, third] = three().await;
    let rules = Rules::new(vec![first, audited().await, third], defaults());
    let bench = Bench::built(host(), rules, Clock::following_tokio(SystemTime::UNIX_EPOCH));
    let pod = Entry::from(pod(&[("first", role("web")), ("second", does("authorize", "trap")), ("third", allow())]));
    for (seconds, decisions) in [(0, 1), (4, 1), (2, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(bench.policy.grant(pod.principal()).await.is_ok());
        assert_eq!(bench.worked_out().len(), decisions);
    }
}

#[tokio::test]
async fn a_refusal_in_which_an_audited_plugin_failed_is_not_cached() {
    let bench = with_audited().await;
    let pod = Entry::from(pod(&[("first", role("web")), ("second", does("authorize", "trap"))]));
    for _ in 0..2 {
        assert!(
            matches!(bench.policy.grant(pod.principal()).await.unwrap_err().rejection, Rejection::Denied(_)),
            "it might have allowed"
        );
    }
    assert_eq!(bench.worked_out(), ["denied", "denied"]);
}

#[tokio::test]
async fn while_policy_is_audited_a_role_that_no_plugin_allows_is_counted() {
    let noted = auditing().await.steps(pod(&[("first", role("web"))])).await;
    assert_eq!(noted.last().unwrap(), "policy authorize deny (audited)");
}

#[tokio::test]
async fn while_policy_is_audited_its_denials_do_not_refuse() {
    let bench = auditing().await;
    assert_eq!(bench.granted(pod(&[("first", role("web"))])).await, format!("{}web", bench::BASE));
    let denied = || pod(&[("first", role("web")), ("second", deny("authorize", "never"))]);
    assert_eq!(bench.granted(denied()).await, format!("{}web", bench::BASE));
    assert!(bench.steps(denied()).await.contains(&"second authorize deny (audited)".to_owned()));
    let unresolved = pod(&[("first", deny("resolve", "never")), ("second", role("web"))]);
    assert_eq!(bench.granted(unresolved).await, format!("{}web", bench::BASE));
    admitted(&bench, pod(&[("third", deny("authorize-path", "never"))])).await.unwrap();
}

#[tokio::test]
async fn while_policy_is_audited_failures_still_refuse() {
    let bench = auditing().await;
    for phase in ["resolve", "authorize"] {
        let pod = pod(&[("first", does(phase, "trap")), ("second", role("web")), ("third", allow())]);
        assert_eq!(bench.failed(pod).await.plugin, "first");
    }
    let invalid = pod(&[("first", role("no role")), ("third", allow())]);
    assert_eq!(bench.denied(invalid).await.code, "invalid-role", "there is nothing that could be granted");
}

async fn admitted(bench: &Bench, pod: Workload) -> Result<(), Rejection> {
    bench.policy.admit(Entry::from(pod).principal(), PATH).await.map(drop).map_err(|rejected| rejected.rejection)
}

#[tokio::test]
async fn a_path_that_no_plugin_denies_may_be_read() {
    let bench = Bench::new(three().await);
    admitted(&bench, pod(&[])).await.unwrap();
    admitted(&bench, pod(&[("second", does("authorize-path", "allow"))])).await.unwrap();
    let decision = bench.policy.explain(Entry::from(pod(&[])).principal(), Some(PATH)).await;
    assert!(matches!(decision.outcome, Outcome::Admitted));
    assert_eq!(decision.steps.len(), 3, "all three were asked");
}

#[tokio::test]
async fn a_plugin_may_deny_a_path_that_others_allow() {
    let bench = Bench::new(three().await);
    let pod = pod(&[("first", does("authorize-path", "allow")), ("third", deny("authorize-path", "not-for-batch"))]);
    let denial = bench::denial(admitted(&bench, pod).await.unwrap_err());
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("third", "not-for-batch"));
}

#[tokio::test]
async fn a_pod_that_is_denied_its_role_may_still_read_paths() {
    let bench = Bench::new(three().await);
    let denied = || pod(&[("first", deny("resolve", "never"))]);
    assert_eq!(bench.denied(denied()).await.code, "never");
    admitted(&bench, denied()).await.unwrap();
}
