//! What a guest may try in a decision: only that decision fails, and nothing stays behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metagate::roster::Entry;
use metagate::{
    config,
    plugin::{PluginError, PluginErrorKind},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    bench::{Bench, fault},
    guests::{MEMORY, scripted, three},
    pods::{allow, does, harmless, much, pod, role},
};

const PHASES: [&str; 3] = ["resolve", "authorize", "authorize-path"];

/// How the second of three guests fails a pod. It must fail nothing else: the third is not asked after it, and the next
/// pod that the same guest is asked about is served.
async fn failure(action: Value) -> PluginError {
    let bench = Bench::new(three().await);
    let attacked = Entry::from(match action["on"].as_str() {
        Some("resolve") => pod(&[("second", action.clone()), ("third", allow())]),
        _ => pod(&[("first", role("web")), ("second", action.clone()), ("third", allow())]),
    });
    let path = (action["on"] == "authorize-path").then_some("meta-data/instance-id");
    let rejection = match path {
        None => bench.policy.grant(attacked.principal()).await.map(drop).unwrap_err().rejection,
        Some(path) => bench.policy.admit(attacked.principal(), path).await.unwrap_err().rejection,
    };
    let asked = bench.policy.explain(attacked.principal(), path).await.steps;
    assert_eq!(&*asked.last().unwrap().plugin, "second", "{asked:?}");

    assert_eq!(bench.granted(harmless()).await, "arn:aws:iam::123456789012:role/web");
    bench.policy.admit(Entry::from(harmless()).principal(), "meta-data/instance-id").await.unwrap();
    let fault = fault(rejection);
    assert_eq!(fault.plugin, "second");
    assert!(fault.detail.len() <= 2048 && !fault.detail.contains(char::is_control), "{}", fault.detail);
    fault
}

async fn fails_in_every_phase(action: &str, kind: PluginErrorKind) {
    for phase in PHASES {
        let fault = failure(does(phase, action)).await;
        assert_eq!(fault.kind, kind, "{action} in {phase}: {}", fault.detail);
    }
}

#[tokio::test]
async fn an_endless_loop_is_cut_off() {
    fails_in_every_phase("loop", PluginErrorKind::Timeout).await;
}

#[tokio::test]
async fn a_trap_ends_the_guest_and_not_the_gateway() {
    fails_in_every_phase("trap", PluginErrorKind::Trap).await;
    fails_in_every_phase("panic", PluginErrorKind::Trap).await;
}

#[tokio::test]
async fn endless_recursion_ends_on_the_guests_own_stack() {
    fails_in_every_phase("recurse", PluginErrorKind::Trap).await;
    assert!(failure(does("resolve", "recurse")).await.detail.contains("stack"));
}

#[tokio::test]
async fn memory_ends_where_the_configuration_says() {
    fails_in_every_phase("grow", PluginErrorKind::Trap).await;
    assert_eq!(failure(much("resolve", "grow", MEMORY)).await.kind, PluginErrorKind::Trap);
    // A guest can have somewhat less, so it was the bound that ended it.
    let within = [("first", role("web")), ("second", allow()), ("third", much("authorize", "grow", MEMORY / 4 * 3))];
    Bench::new(three().await).granted(pod(&within)).await;
}

#[tokio::test]
async fn a_guests_error_text_is_passed_on_within_bounds() {
    fails_in_every_phase("err", PluginErrorKind::Error).await;
    assert_eq!(failure(does("resolve", "err")).await.detail, "hostile: asked to fail");
    let long = failure(much("authorize", "huge-err", 100 << 10)).await;
    assert_eq!((long.kind, long.detail.len()), (PluginErrorKind::Error, 2048));
}

/// If the answer exceeds the bound on copied bytes, the call itself fails; a smaller one is checked.
#[tokio::test]
async fn an_answer_that_is_too_large_is_a_failure_and_no_denial() {
    for action in ["huge-answer", "huge-deny", "huge-err"] {
        fails_in_every_phase(action, PluginErrorKind::Trap).await;
    }
    for phase in PHASES {
        let long = failure(much(phase, "huge-deny", 1025)).await;
        assert_eq!(long.kind, PluginErrorKind::Answer);
        assert!(long.detail.contains("longer than 1024"), "{}", long.detail);
    }
    assert_eq!(failure(much("resolve", "many-pairs", 257)).await.kind, PluginErrorKind::Answer);
}

#[tokio::test]
async fn a_denial_whose_code_is_no_label_is_a_failure_and_no_denial() {
    for code in ["", "Not-Permitted", "not permitted", "nicht-zulässig", "a\nb", &"c".repeat(65)] {
        for phase in PHASES {
            let deny = json!({ "on": phase, "do": "deny", "code": code, "reason": "because" });
            let fault = failure(deny).await;
            assert_eq!(fault.kind, PluginErrorKind::Answer, "{code:?}");
            assert!(fault.detail.contains("1 to 64 of a-z, 0-9 and -"), "{}", fault.detail);
        }
    }
}

#[tokio::test]
async fn a_denials_reason_is_one_line_whatever_it_was() {
    let bench = Bench::new(three().await);
    let deny =
        json!({ "on": "resolve", "do": "deny", "code": "multi-line", "reason": "one\r\nSet-Cookie: two\u{1b}[31m" });
    assert_eq!(bench.denied(pod(&[("first", deny)])).await.reason, "one  Set-Cookie: two [31m");
}

#[tokio::test]
async fn a_text_that_is_no_utf8_is_a_failure() {
    fails_in_every_phase("bad-utf8", PluginErrorKind::Trap).await;
}

/// Two threads serve everybody, and each of four guests would loop on them for a minute. Other decisions are made
/// before the first of the four is cut off, so the guests give their threads back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_loop_keep_no_other_decision_from_being_made() {
    let with_long_timeout = |guest| config::Plugin { timeout: Duration::from_secs(60), ..guest };
    let looping = scripted("first", with_long_timeout).await;
    let (began, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut loopers = JoinSet::new();
    for _ in 0..4 {
        let bench = Bench::new([looping.clone()]);
        let (began, ended) = (Arc::clone(&began), Arc::clone(&ended));
        loopers.spawn(async move {
            began.fetch_add(1, Ordering::Relaxed);
            bench.failed(pod(&[("first", does("resolve", "loop"))])).await;
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    while began.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    let plugins = three().await;
    let good = tokio::spawn(async move {
        for _ in 0..20 {
            // A new bench has an empty cache, so the guests are asked each time.
            Bench::new(plugins.clone()).granted(harmless()).await;
        }
    });
    good.await.unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), 0);
    // A guest for which nobody waits any more delays nobody.
    loopers.shutdown().await;
}
