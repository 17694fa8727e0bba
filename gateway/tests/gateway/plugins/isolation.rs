//! What a guest sees, what it can leave behind, and what it can fill.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config::{self, Mode},
    plugin::{Host, Plugin, PluginErrorKind},
    policy::{Rejection, Rules},
    workload::Workload,
};
use metagate_plugin_artifacts::testing::HOSTILE;
use serde_json::json;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::{
    bench::{self, Bench, defaults},
    guests::{builtin, echo, load, scripted, three},
    pods::{allow, annotated, does, harmless, labelled, much, numbered, pod, role, running},
};

fn with_all_kinds() -> Workload {
    let keys =
        ["tier", "example.com/a", "example.com/b", "example.org/c", "stage", "owner", "eks.amazonaws.com/role-arn"];
    let all: metagate::pairs::Pairs = keys.map(|key| (key.to_owned(), "secret".to_owned())).into();
    Workload {
        labels: all.clone(),
        annotations: all.clone(),
        namespace_labels: all.clone(),
        namespace_annotations: all.clone(),
        service_account_annotations: all,
        images: ["app", "proxy"].map(|container| (container.to_owned(), "secret".to_owned())).into(),
        ..pod(&[])
    }
}

fn all_images(guest: config::Plugin) -> config::Plugin {
    let config = json!({ "script": "images", "interest": { "attributes": ["image/*"] } });
    config::Plugin { name: "images".into(), config, ..guest }
}

#[tokio::test]
async fn a_plugin_is_shown_what_it_asked_for_and_nothing_else() {
    let denial = Bench::new([echo().await]).denied(with_all_kinds()).await;
    assert_eq!(
        denial.reason,
        "labels[tier] annotations[example.com/a,example.com/b] namespace-labels[stage] namespace-annotations[owner] \
         service-account-annotations[eks.amazonaws.com/role-arn] attributes[image/app,now] decisions-before=0"
    );
}

#[tokio::test]
async fn only_a_plugin_with_the_clock_gets_the_time() {
    let text = Bench::new(three().await).denied(pod(&[("first", does("resolve", "echo"))])).await.reason;
    assert!(text.contains(" attributes[] "), "{text}");
}

#[tokio::test]
async fn a_plugin_that_does_not_ask_for_the_time_does_not_get_it_even_if_it_is_granted() {
    let granted = scripted("granted", |guest| config::Plugin { clock: true, ..guest }).await;
    let text = Bench::new([granted]).denied(pod(&[("granted", does("resolve", "echo"))])).await.reason;
    assert!(text.contains(" attributes[] "), "{text}");
}

#[tokio::test]
async fn images_are_shown_only_to_a_plugin_that_asks() {
    let with_images = |name: &str| {
        let asking = annotated(pod(&[(name, does("resolve", "echo"))]), "example.com/a", "x");
        running(running(asking, "app", "shop:1"), "proxy", "mesh:2")
    };
    let text = Bench::new(three().await).denied(with_images("first")).await.reason;
    assert!(text.contains(" attributes[] "), "{text}");
    let text = Bench::new([load(HOSTILE, all_images).await.unwrap()]).denied(with_images("images")).await.reason;
    assert!(text.contains(" attributes[image/app,image/proxy] "), "{text}");
}

#[tokio::test]
async fn a_pod_with_more_containers_than_a_plugin_can_see_is_denied() {
    let bench = Bench::new([load(HOSTILE, all_images).await.unwrap()]);
    let with = |count| Workload { images: numbered("c", count), ..pod(&[]) };
    assert!(matches!(bench.grant(with(256)).await, Err(Rejection::NoRole)));
    let denial = bench.denied(with(257)).await;
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("images", "too-much-metadata"));
    assert!(denial.reason.contains("256 attributes"), "{}", denial.reason);
}

/// The first plugin sees no more because the echoing one reads more.
#[tokio::test]
async fn one_plugins_interest_shows_nothing_to_another() {
    let [first, ..] = three().await;
    let scripted = annotated(with_all_kinds(), "first", &does("resolve", "echo").to_string());
    let text = Bench::new([first, echo().await]).denied(scripted).await.reason;
    assert!(text.starts_with("labels[tier] annotations[first] namespace-labels[] "), "{text}");
}

#[tokio::test]
async fn authorize_gets_the_role_as_it_was_written() {
    let pod = pod(&[("first", role("web")), ("second", does("authorize", "echo"))]);
    let text = Bench::new(three().await).denied(pod).await.reason;
    assert!(text.contains("role-attributes[as-written,base-arn] "), "{text}");
}

#[tokio::test]
async fn a_pod_with_more_metadata_than_a_plugin_can_read_is_denied() {
    let bench = Bench::new([echo().await]);
    let with = |count: usize| {
        let mut pod = pod(&[("echo", does("resolve", "abstain"))]);
        pod.annotations = pod.annotations.with(numbered("example.com/", count - 1).to_vec());
        pod
    };
    assert!(matches!(bench.grant(with(256)).await, Err(Rejection::NoRole)));
    let denial = bench.denied(with(257)).await;
    assert_eq!((denial.by.as_str(), denial.code.as_str()), ("echo", "too-much-metadata"));
    assert!(denial.reason.contains("256 annotations"), "{}", denial.reason);
    assert_eq!(
        denial,
        bench::denial(
            bench.policy.explain(Entry::from(with(257)).principal(), None).await.outcome.rejection().unwrap().clone()
        )
    );
}

/// A plugin that reads `example.com/…` annotations that begin with this letter.
async fn reader(letter: &str, mode: Mode) -> Plugin {
    let config = json!({ "script": letter, "interest": { "annotations": [format!("example.com/{letter}*")] } });
    load(HOSTILE, |guest| config::Plugin { name: letter.into(), mode, config, ..guest }).await.unwrap()
}

#[tokio::test]
async fn an_audited_plugin_refuses_no_pod_for_too_much_metadata() {
    let [first, second, _] = three().await;
    let bench = Bench::new([first, second, reader("a", Mode::Audit).await]);
    let mut crowded = harmless();
    crowded.annotations = crowded.annotations.with(numbered("example.com/a", 5000).to_vec());
    let crowded = Entry::from(crowded);
    assert!(
        bench.policy.grant(crowded.principal()).await.is_ok() && bench.policy.grant(crowded.principal()).await.is_ok()
    );
    assert_eq!(bench.worked_out(), ["granted"], "the second grant came from the decision cell");
    let steps = bench.policy.explain(crowded.principal(), None).await.steps;
    assert!(steps.iter().any(|step| &*step.plugin == "a" && step.audited && step.answer.text().contains("256")));
}

#[tokio::test]
async fn the_bound_on_metadata_counts_for_each_plugin_by_itself() {
    let [first, second, _] = three().await;
    let bench = Bench::new([first, second, reader("a", Mode::Enforce).await, reader("b", Mode::Enforce).await]);
    let mut pod = harmless();
    pod.annotations = pod.annotations.with(numbered("example.com/a", 200).to_vec());
    pod.annotations = pod.annotations.with(numbered("example.com/b", 200).to_vec());
    bench.granted(pod).await;
}

#[tokio::test]
async fn metadata_that_no_plugin_reads_has_no_bound() {
    let mut crowded = harmless();
    crowded.annotations = crowded.annotations.with(numbered("other.example.com/", 5000).to_vec());
    crowded.labels = crowded.labels.with(numbered("l", 5000).to_vec());
    crowded.namespace_annotations = numbered("n", 5000);
    Bench::new(three().await).granted(crowded).await;
}

/// The guest counts its decisions in a global: for each of many pods, the count starts at zero.
#[tokio::test]
async fn nothing_of_one_decision_remains_in_the_next() {
    let bench = Bench::new(three().await);
    for tier in ["a", "b", "c"] {
        let of_tier = |phase| labelled(pod(&[("first", role("web")), ("second", does(phase, "echo"))]), "tier", tier);
        let resolving = labelled(pod(&[("second", does("resolve", "echo"))]), "tier", tier);
        assert!(bench.denied(resolving).await.reason.ends_with(" decisions-before=0"));
        // The first guest resolves, so this is the first question that the second gets.
        assert!(bench.denied(of_tier("authorize")).await.reason.ends_with(" decisions-before=0"));
    }
}

/// The guest counts two questions, because it has one instance for both phases of a decision.
#[tokio::test]
async fn both_questions_of_one_decision_go_to_one_instance() {
    let bench = Bench::new(three().await);
    let both = pod(&[("first", does("authorize", "echo")), ("second", role("web"))]);
    assert!(bench.denied(both).await.reason.ends_with(" decisions-before=1"));
}

struct Lines(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "metagate::plugin" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The threads on which guests wrote their log lines.
struct Threads(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Threads {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "metagate::plugin" {
            self.0.lock().unwrap().insert(std::thread::current().name().unwrap_or_default().to_owned());
        }
    }
}

#[tokio::test]
async fn a_plugin_from_a_file_runs_only_on_the_plugin_threads() {
    let threads = Arc::default();
    let bench = Bench::new(three().await);
    let subscriber = tracing_subscriber::registry().with(Threads(Arc::clone(&threads)));
    let _here = crate::log_capture::capture(subscriber);
    bench
        .granted(pod(&[("first", role("web")), ("second", much("authorize", "log-flood", 1)), ("third", allow())]))
        .await;
    assert_eq!(*threads.lock().unwrap(), BTreeSet::from(["metagate-plugin".to_owned()]));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_short() {
    let lines = Arc::new(AtomicUsize::new(0));
    let bench = Bench::new(three().await);
    let subscriber = tracing_subscriber::registry().with(Lines(Arc::clone(&lines)));
    let _here = crate::log_capture::capture(subscriber);
    let flood = [("first", role("web")), ("second", much("authorize", "log-flood", 500)), ("third", allow())];
    bench.granted(pod(&flood)).await;
    assert_eq!(lines.load(Ordering::Relaxed), 64);
}

/// The host is the test's own, because every instance of it is taken here.
#[tokio::test]
async fn when_every_instance_is_taken_decisions_are_refused_until_one_is_free() {
    let host = Host::new().unwrap();
    let annotations = Plugin::load(&host, builtin("annotations", json!({}))).await.unwrap();
    let regex = Plugin::load(&host, builtin("namespace-regex", json!({ "missing": "allow" }))).await.unwrap();
    let rules = Rules::new(vec![annotations.clone(), regex], defaults());
    let bench = Bench::built(&host, rules, Clock::system());
    let asking = || annotated(pod(&[]), "iam.amazonaws.com/role", "web");
    bench.granted(asking()).await;
    let bench = Bench::built(&host, Rules::clone(&bench.policy.rules()), Clock::system());

    let mut taken = Vec::new();
    let refused = loop {
        match annotations.instance(&host).await {
            Ok(instance) => taken.push(instance),
            Err(fault) => break fault,
        }
    };
    assert_eq!(refused.kind, PluginErrorKind::Exhausted, "{refused}");
    assert_eq!(bench.failed(asking()).await.kind, PluginErrorKind::Exhausted);
    taken.pop();
    assert_eq!(bench.failed(asking()).await.plugin, "namespace-regex", "with one instance only the first plugin runs");
    taken.pop();
    assert_eq!(bench.granted(asking()).await, "arn:aws:iam::123456789012:role/web");
    assert_eq!(bench.worked_out(), ["failed", "failed", "granted"]);
}

/// Checked by the shortest time that this can take, which no busy machine reduces: two loops of 200 ms (less a tick),
/// and a backoff of a second between them. Side by side they would take one loop's time.
#[tokio::test]
async fn a_pod_on_which_a_plugin_loops_has_one_decision_at_a_time_and_a_backoff_after_it() {
    let bench = Arc::new(Bench::new(three().await));
    let looping = Arc::new(Entry::from(pod(&[("first", role("web")), ("second", does("authorize-path", "loop"))])));
    let (began, mut asking) = (std::time::Instant::now(), tokio::task::JoinSet::new());
    for path in ["meta-data/instance-id", "meta-data/ami-id"] {
        let (bench, looping) = (Arc::clone(&bench), Arc::clone(&looping));
        asking.spawn(async move {
            bench::fault(bench.policy.admit(looping.principal(), path).await.unwrap_err().rejection).kind
        });
    }
    assert_eq!(bench.granted(harmless()).await, "arn:aws:iam::123456789012:role/web");
    let kinds = asking.join_all().await;
    assert_eq!(kinds, [PluginErrorKind::Timeout, PluginErrorKind::Timeout]);
    assert!(began.elapsed() >= std::time::Duration::from_millis(1300), "{:?}", began.elapsed());
}
