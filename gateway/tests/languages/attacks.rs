//! What guests in JavaScript and Python may try, in the ways that those have: it fails, alone, and nothing stays behind.

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

/// Of a guest that abstains, so that the others decide.
const GRANTED: &str = "granted arn:aws:iam::123456789012:role/web";
/// Deeper than any stack takes, within what a plugin can be shown.
const DEEP: usize = 30_000;

/// How what a pod gets begins, and the deeds that come to it.
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
    // Of its own stack, of memory, or the runtime's word for an answer that is none of the interface's.
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
    // `authorize` of the same decision is asked of the same instance.
    ("denied told: left", &["leave"]),
    // Nobody runs what a decision leaves for later.
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
    // Of its own stack, of memory, of what is no `Err`, for want of WASI, or the runtime's word for an answer that is none of
    // the interface's.
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
    // `authorize` of the same decision is asked of the same instance.
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
    for (expected, deeds) in outcomes {
        for deed in *deeds {
            others.extend(tried(&policy, "resolve", deed, expected).await);
            others.extend(left(&policy, deed, nothing_left).await);
        }
    }
    for deed in ["loop", "recurse", "grow-and-go-on", "patch"] {
        let expected = outcomes.iter().find(|(_, deeds)| deeds.contains(&deed)).unwrap().0;
        others.extend(tried(&policy, "authorize", deed, expected).await);
        others.extend(left(&policy, deed, nothing_left).await);
    }
    others.extend(deep(&policy).await);
    others.extend(in_init(&guest, &wasm).await);
    assert!(others.is_empty(), "{others:#?}");
}

fn does(phase: &str, deed: &str) -> Workload {
    let mut pod = pod(&format!("{phase}-{deed}"), "web");
    pod.annotations = pod.annotations.with([(phase, deed)]);
    pod
}

/// What the pod got, where that is something else than expected.
async fn tried(policy: &Policy, phase: &str, deed: &str, expected: &str) -> Option<String> {
    let got = outcome(policy, does(phase, deed)).await;
    assert!(!got.contains(char::is_control), "{got:?}");
    (!got.starts_with(expected)).then(|| format!("{deed} in {phase}: {got}"))
}

/// Whether the very next decisions are what they always were: of a pod that asks what is there, and of a harmless one.
async fn left(policy: &Policy, deed: &str, nothing: &str) -> Option<String> {
    let mut asking = does("resolve", "say-what-is-left");
    asking.pod = format!("asking-after-{deed}");
    let left = outcome(policy, asking).await;
    let harmless = outcome(policy, pod(&format!("harmless-after-{deed}"), "web")).await;
    (left != nothing || harmless != GRANTED).then(|| format!("after {deed}: {left}; {harmless}"))
}

/// A text that nests too deep for whoever reads it.
async fn deep(policy: &Policy) -> Vec<String> {
    let mut wrong = Vec::new();
    for deed in ["parse-text", "eval-text"] {
        let mut pod = does("resolve", deed);
        pod.annotations = pod.annotations.with([("text", "[".repeat(DEEP))]);
        let got = outcome(policy, pod).await;
        if !got.starts_with("trapped: ") {
            wrong.push(format!("{deed}: {got}"));
        }
    }
    wrong
}

async fn in_init(guest: &Plugin, wasm: &[u8]) -> Vec<String> {
    let refused = async |deed: &str| match load(std::slice::from_ref(guest), wasm, json!({ "init": deed })).await {
        Err(LoadError::Init(fault)) => fault.kind.label(),
        Err(_) => "refused otherwise",
        Ok(_) => "loaded",
    };
    let mut wrong = Vec::new();
    for (deed, expected) in
        [("loop", "timed-out"), ("recurse", "trapped"), ("answer-number", "trapped"), ("leave", "loaded")]
    {
        let got = refused(deed).await;
        if got != expected {
            wrong.push(format!("{deed} in init: {got}"));
        }
    }
    let nested = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    if let Err(error) = load(std::slice::from_ref(guest), wasm, json!({ "deep": nested })).await {
        wrong.push(format!("a deep configuration: {error}"));
    }
    wrong
}
