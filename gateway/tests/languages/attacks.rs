//! What guests in JavaScript and Python may try in ways of their own: only the decision fails, and nothing stays
//! behind.

use metagate::{
    plugin::{LoadError, Plugin},
    policy::Policy,
    workload::Workload,
};
use serde_json::{Value, json};

use crate::{
    gateway::{load, outcome, pod, policy},
    toolchains::{Language, Toolchains},
};

/// What a pod gets with a guest that abstains, so that the others decide.
const GRANTED: &str = "granted arn:aws:iam::123456789012:role/web";
/// Deeper than any stack allows, within what a plugin can be shown.
const DEEP: usize = 30_000;

/// The beginning of what a pod gets, and the actions that lead to it.
type Outcomes = [(&'static str, &'static [&'static str])];

const JAVASCRIPT: &Outcomes = &[
    (
        "timed-out: ",
        &[
            "loop",
            "loop-in-getter",
            "loop-in-proxy",
            "loop-in-to-string",
            "loop-in-to-json",
            "loop-in-finally",
            "loop-in-generator",
            "loop-in-sort",
            "loop-in-big-numbers",
            "backtrack",
            "grow-and-go-on",
            "log-for-ever",
            "patch",
        ],
    ),
    // The guest's own stack, its memory, or the runtime's trap for an answer that is not of the interface.
    (
        "trapped: ",
        &[
            "recurse",
            "recurse-in-getter",
            "recurse-in-json",
            "loop-in-thrown-message",
            "throw-number",
            "throw-null",
            "throw-undefined",
            "throw-object",
            "throw-function",
            "throw-lone-surrogate",
            "answer-undefined",
            "answer-null",
            "answer-number",
            "answer-string",
            "answer-empty",
            "answer-unknown-tag",
            "answer-tag-of-another-type",
            "answer-inherited-tag",
            "answer-denial-without-words",
            "answer-denial-of-numbers",
            "answer-lone-surrogate",
            "answer-endless-list",
            "promise",
            "promise-for-ever",
            "async",
            "log-huge",
            "log-throwing",
            "log-unknown-level",
            "log-lone-surrogate",
            "date-now",
            "new-date",
            "performance-now",
        ],
    ),
    ("trapped: too much data", &["throw-huge", "answer-huge"]),
    ("failed: thrown", &["throw-string", "throw-error"]),
    (
        "failed: out of memory",
        &["grow-array", "grow-buffer", "grow-objects", "double-string", "huge-array-at-once", "huge-string-at-once"],
    ),
    ("failed: too many captures", &["recurse-in-regex"]),
    ("failed: crypto is not defined", &["crypto"]),
    ("failed: fetch is not defined", &["fetch"]),
    ("failed: require is not defined", &["require"]),
    ("failed: process is not defined", &["process"]),
    ("failed: cannot read property", &["runtimes-own"]),
    ("invalid-answer: its denial's reason", &["answer-long"]),
    ("invalid-answer: its denial's code", &["answer-odd-code"]),
    ("invalid-answer: its role has more than 256 tags", &["answer-many-pairs"]),
    ("denied invalid-role", &["answer-odd-duration"]),
    ("denied told: a b", &["answer-nul"]),
    ("denied told: 0.", &["random"]),
    // `authorize` of the same decision runs in the same instance.
    ("denied told: left", &["leave"]),
    // Nothing runs what a decision leaves for later.
    (
        GRANTED,
        &[
            "abstain",
            "loop-in-microtasks",
            "loop-in-promises",
            "answer-changing",
            "log-flood",
            "import",
            "collect-garbage",
        ],
    ),
];

const PYTHON: &Outcomes = &[
    (
        "timed-out: ",
        &[
            "loop",
            "loop-in-str",
            "loop-in-del",
            "loop-in-del-of-cycle",
            "loop-in-finally",
            "loop-in-generator",
            "loop-in-sort",
            "loop-in-big-numbers",
            "backtrack",
            "grow-and-go-on",
            "log-for-ever",
            "patch",
        ],
    ),
    // The guest's own stack, its memory, an exception that is no `Err`, missing WASI, or the runtime's trap for an
    // answer that is not of the interface.
    (
        "trapped: ",
        &[
            "loop-in-answer",
            "loop-in-denial",
            "loop-in-raised",
            "recurse",
            "recurse-on",
            "recurse-natively",
            "grow-list",
            "grow-bytes",
            "double-text",
            "double-bytes",
            "huge-list-at-once",
            "raise-err-of-number",
            "raise-err-of-none",
            "raise-err-lone-surrogate",
            "raise-exception",
            "raise-base-exception",
            "raise-system-exit",
            "raise-keyboard-interrupt",
            "raise-generator-exit",
            "answer-number",
            "answer-class",
            "answer-object",
            "answer-denial-of-none",
            "answer-denial-of-numbers",
            "answer-lone-surrogate",
            "answer-odd-duration",
            "answer-pairs-of-one",
            "coroutine",
            "event-loop",
            "log-huge",
            "log-number",
            "log-unknown-level",
            "log-raising",
            "print",
            "sleep",
            "time",
            "monotonic",
            "system-random",
            "urandom",
            "open",
            "write",
            "listdir",
            "import",
            "socket",
            "thread",
            "exit",
            "abort",
            "system",
            "kill",
        ],
    ),
    ("trapped: too much data", &["raise-err-huge", "answer-huge"]),
    ("failed: raised", &["raise-err"]),
    ("invalid-answer: its denial's reason", &["answer-long"]),
    ("invalid-answer: its role has more than 256 tags", &["answer-many-pairs"]),
    ("denied told: a b", &["answer-nul"]),
    ("denied told: 0.", &["random"]),
    ("denied told: {}", &["environ"]),
    // `authorize` of the same decision runs in the same instance.
    ("denied told: left", &["leave"]),
    (GRANTED, &["abstain", "log-flood"]),
];

#[tokio::test]
async fn what_javascript_can_do_ends_with_the_decision() {
    let Some(toolchains) = Toolchains::installed() else { return };
    let left = "denied told: nothing,undefined,undefined,0,undefined";
    ends(&toolchains, Language::JavaScript, JAVASCRIPT, left).await;
}

#[tokio::test]
async fn what_python_can_do_ends_with_the_decision() {
    let Some(toolchains) = Toolchains::installed() else { return };
    ends(&toolchains, Language::Python, PYTHON, "denied told: [] False True False").await;
}

async fn ends(toolchains: &Toolchains, language: Language, outcomes: &Outcomes, nothing_left: &str) {
    let wasm = toolchains.hostile(language);
    let guest = load(&[], &wasm, json!({})).await.unwrap();
    let policy = policy(guest.clone()).await;
    let mut others = Vec::new();
    for (expected, actions) in outcomes {
        for action in *actions {
            others.extend(tried(&policy, "resolve", action, expected).await);
            others.extend(left(&policy, action, nothing_left).await);
        }
    }
    for action in ["loop", "recurse", "grow-and-go-on", "patch"] {
        let expected = outcomes.iter().find(|(_, actions)| actions.contains(&action)).unwrap().0;
        others.extend(tried(&policy, "authorize", action, expected).await);
        others.extend(left(&policy, action, nothing_left).await);
    }
    others.extend(deep(&policy).await);
    others.extend(in_init(&guest, &wasm).await);
    assert!(others.is_empty(), "{others:#?}");
}

fn does(phase: &str, action: &str) -> Workload {
    let mut pod = pod(&format!("{phase}-{action}"), "web");
    pod.annotations = pod.annotations.with([(phase, action)]);
    pod
}

/// What the pod got, if it differs from what was expected.
async fn tried(policy: &Policy, phase: &str, action: &str, expected: &str) -> Option<String> {
    let got = outcome(policy, does(phase, action)).await;
    assert!(!got.contains(char::is_control), "{got:?}");
    (!got.starts_with(expected)).then(|| format!("{action} in {phase}: {got}"))
}

/// Whether the next decisions are as always: for a pod that asks what was left, and for a harmless one.
async fn left(policy: &Policy, action: &str, nothing: &str) -> Option<String> {
    let mut asking = does("resolve", "say-what-is-left");
    asking.pod = format!("asking-after-{action}");
    let left = outcome(policy, asking).await;
    let harmless = outcome(policy, pod(&format!("harmless-after-{action}"), "web")).await;
    (left != nothing || harmless != GRANTED).then(|| format!("after {action}: {left}; {harmless}"))
}

/// A text that is nested too deep for its reader.
async fn deep(policy: &Policy) -> Vec<String> {
    let mut wrong = Vec::new();
    for action in ["parse-text", "eval-text"] {
        let mut pod = does("resolve", action);
        pod.annotations = pod.annotations.with([("text", "[".repeat(DEEP))]);
        let got = outcome(policy, pod).await;
        if !got.starts_with("trapped: ") {
            wrong.push(format!("{action}: {got}"));
        }
    }
    wrong
}

async fn in_init(guest: &Plugin, wasm: &[u8]) -> Vec<String> {
    let refused = async |action: &str| match load(std::slice::from_ref(guest), wasm, json!({ "init": action })).await {
        Err(LoadError::Init(fault)) => fault.kind.label(),
        Err(_) => "refused otherwise",
        Ok(_) => "loaded",
    };
    let mut wrong = Vec::new();
    for (action, expected) in
        [("loop", "timed-out"), ("recurse", "trapped"), ("answer-number", "trapped"), ("leave", "loaded")]
    {
        let got = refused(action).await;
        if got != expected {
            wrong.push(format!("{action} in init: {got}"));
        }
    }
    let nested = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    if let Err(error) = load(std::slice::from_ref(guest), wasm, json!({ "deep": nested })).await {
        wrong.push(format!("a deep configuration: {error}"));
    }
    wrong
}
