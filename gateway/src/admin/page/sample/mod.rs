//! States that the page is tested with: empty, the sandbox's, a full node's, a troubled and a hostile one.

mod explanations;

pub(in crate::admin) use explanations::{
    denied_explanation, failed_explanation, granted_explanation, hostile_explanation,
};

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    admin::state::{
        AuditedState, ConfigurationState, CredentialState, FaultState, PluginState, PolicyState, RedirectState,
        RefusalState, RefusedState, RosterState, SourceFailure, SourceState, State, TrafficState, WorkloadState,
    },
    credential::FetchErrorKind,
    lifecycle::Part,
    plugin::PluginErrorKind,
    remedy,
};

/// Text that a hostile object may contain.
pub(in crate::admin) const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "'><svg/onload=alert(3)>&amp;</td></table>",
    "a\u{202e}gpj.exe\u{2066}\u{200b}b",
    "javascript:alert(4)//</textarea></title></style>",
    "{{7*7}}${7*7}<!--",
];

pub(in crate::admin) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

pub(in crate::admin) fn before(seconds: u64) -> SystemTime {
    now() - Duration::from_secs(seconds)
}

pub(in crate::admin) fn after(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

/// Just started, on a node without pods.
pub(in crate::admin) fn empty() -> State {
    State {
        version: "0.1.0",
        node: "ip-10-0-1-17".into(),
        cluster: String::new(),
        now: now(),
        started_at: before(3),
        waits_for: vec![Part::Roster],
        configuration: ConfigurationState { adopted_at: before(3), generation: 1, refused: None },
        roster: RosterState { source: "kubernetes", synced_at: None, outdated_since: None },
        source: SourceState { kind: "sts", last_success: None, last_failure: None },
        redirect: None,
        workloads: Vec::new(),
        credentials: Vec::new(),
        policy: PolicyState { mode: "enforce", denials: BTreeMap::new(), audited: BTreeMap::new() },
        plugins: Vec::new(),
        refusals: Vec::new(),
        traffic: Vec::new(),
    }
}

/// Like the sandbox: one pod granted by its annotation, one by its service account's, one denied.
pub(in crate::admin) fn sandbox() -> State {
    let denied = "namespace-regex said role-not-permitted: namespace guests does not permit \
                  arn:aws:iam::123456789012:role/payments-checkout";
    let visitor = WorkloadState {
        reason: Some(denied.into()),
        decided_at: Some(before(12)),
        ..workload("guests", "visitor-0", Some("denied"))
    };
    State {
        cluster: "prod-eu-1".into(),
        started_at: before(11_400),
        waits_for: Vec::new(),
        configuration: ConfigurationState { adopted_at: before(4_000), generation: 2, refused: None },
        roster: RosterState { source: "kubernetes", synced_at: Some(before(11_390)), outdated_since: None },
        source: SourceState { kind: "sts", last_success: Some(before(900)), last_failure: None },
        redirect: Some(RedirectState {
            present: true,
            stale: false,
            checked_at: "2026-11-18T10:26:10Z".into(),
            redirected_connections: 18_234,
            foreign_rules: Vec::new(),
            error: None,
        }),
        workloads: vec![
            visitor,
            granted("payments", "checkout-0", "payments-checkout", 2_472),
            granted("payments", "ledger-0", "ledger", 3_300),
        ],
        credentials: vec![
            credential("ledger", "ledger-0", 3_300),
            credential("payments-checkout", "checkout-0", 2_472),
        ],
        plugins: vec![
            plugin("annotations", 214),
            plugin("irsa-fallback", 190),
            PluginState {
                denials: BTreeMap::from([("role-not-permitted".into(), 12)]),
                namespace_annotations: vec!["iam.amazonaws.com/permitted".into()],
                annotations: Vec::new(),
                ..plugin("namespace-regex", 1_310)
            },
        ],
        refusals: vec![
            refusal(12, 12, Some("guests/visitor-0"), "denied", denied),
            RefusalState {
                peer: "10.0.3.250".into(),
                ..refusal(340, 1, None, "caller-absent", "no pod of this node has your address")
            },
        ],
        traffic: traffic(),
        ..empty()
    }
}

/// A full node: kubelet runs 110 pods by default.
pub(in crate::admin) fn many(pods: usize) -> State {
    let mut state = sandbox();
    state.workloads = (0..pods).map(one_of_many).collect();
    let roles = state.workloads.iter().filter(|it| it.role_arn.is_some()).count();
    state.credentials =
        (0..roles).map(|n| credential(&format!("team-{n}"), &format!("session-{n}"), 1_700 + n as u64)).collect();
    state.refusals = (0..200)
        .map(|n| {
            refusal(
                n * 7 + 1,
                n,
                Some(&format!("team-{}/web-{n}", n % 9)),
                "denied",
                "deny-list said listed: the pod is on the list",
            )
        })
        .collect();
    state
}

fn one_of_many(n: usize) -> WorkloadState {
    let (namespace, pod) = (format!("team-{:02}", n / 12), format!("web-7d9f8b6c5d-{n:05}"));
    match n % 11 {
        3 => workload(&namespace, &pod, Some("no-role")),
        7 => WorkloadState {
            reason: Some("deny-list said listed: the pod is on the list".into()),
            ..workload(&namespace, &pod, Some("denied"))
        },
        9 => WorkloadState { decided_at: None, ..workload(&namespace, &pod, None) },
        _ => granted(&namespace, &pod, &format!("{namespace}-web"), (n as u64 * 37) % 3_600),
    }
}

/// Everything wrong at once.
pub(in crate::admin) fn troubled() -> State {
    let mut state = sandbox();
    let fault = "trapped: wasm trap: wasm `unreachable` instruction executed at 0x1f3a\nin authorize";
    state.configuration.refused = Some(RefusedState {
        at: before(95),
        error:
            "metagate.toml:41: plugin team-role: config.teams is not a list of strings; write teams = [\"payments\"]"
                .into(),
    });
    state.roster.outdated_since = Some(before(260));
    state.source.last_failure = Some(SourceFailure { at: before(20), class: FetchErrorKind::Unavailable });
    state.redirect = Some(RedirectState {
        present: false,
        stale: false,
        checked_at: "2026-11-18T10:21:10Z".into(),
        redirected_connections: 0,
        foreign_rules: vec![
            "ip nat PREROUTING: a rule of kube2iam or kiam goes first; remove it by: \
             nft delete rule ip nat PREROUTING handle 7"
                .into(),
        ],
        error: Some("other programs' rules are not known: nft: Operation not permitted".into()),
    });
    state
        .workloads
        .push(WorkloadState { reason: Some(fault.into()), ..workload("payments", "refund-0", Some("failed")) });
    let audited = AuditedState {
        plugin: "change-freeze".into(),
        phase: "authorize",
        answer: "denies: frozen: no changes before 2027".into(),
    };
    if let Some(checkout) = state.workloads.get_mut(1) {
        checkout.audited.push(audited);
        checkout.credential_expires = Some(after(240));
        checkout.credential_issued = Some(before(3_360));
    }
    if let Some(ledger) = state.workloads.get_mut(2) {
        ledger.credential_expires = Some(before(75));
        ledger.credential_issued = Some(before(3_675));
    }
    state.credentials = vec![
        CredentialState {
            expires: Some(before(75)),
            next_fetch: Some(after(4)),
            ..failing(FetchErrorKind::Unavailable, credential("ledger", "ledger-0", 0))
        },
        failing(FetchErrorKind::Unavailable, credential("payments-checkout", "checkout-0", 240)),
        CredentialState {
            expires: None,
            ..failing(FetchErrorKind::AccessDenied, credential("refunds", "refund-0", 0))
        },
    ];
    state.plugins.push(PluginState {
        path: Some("/etc/metagate/plugins/team-role.wasm".into()),
        faults: BTreeMap::from([("trapped", 41), ("timed-out", 2)]),
        last_fault: Some(FaultState { at: before(31), kind: PluginErrorKind::Trap, text: fault.into() }),
        ..plugin("team-role", 48_200)
    });
    state.plugins.push(PluginState {
        mode: "audit",
        audited: BTreeMap::from([("frozen".into(), 9)]),
        ..plugin("change-freeze", 330)
    });
    state.policy.denials.insert("nobody-allowed".into(), 3);
    state.refusals.insert(
        0,
        RefusalState { status: 503, ..refusal(3, 1_204, Some("payments/refund-0"), "plugin-failed", fault) },
    );
    state
}

/// Markup, text that changes direction, and names of the greatest length, wherever text can be.
pub(in crate::admin) fn hostile() -> State {
    let mut state = troubled();
    let long = "w".repeat(253);
    for text in HOSTILE.into_iter().chain([long.as_str()]) {
        let mut workload = granted(text, text, text, 1_000);
        workload.reason = Some(text.into());
        workload.service_account = text.into();
        workload.ips.push(text.into());
        workload.access_key_id = Some(text.into());
        workload.audited.push(AuditedState { plugin: text.into(), phase: "resolve", answer: text.into() });
        state.workloads.push(workload);
        state.credentials.push(CredentialState { session_name: text.into(), ..credential(text, text, 100) });
        state
            .refusals
            .push(RefusalState { peer: text.into(), ..refusal(5, 2, Some(&format!("{text}/{text}")), "denied", text) });
        state.plugins.push(PluginState {
            path: Some(text.into()),
            interface: text.into(),
            denials: BTreeMap::from([(text.into(), 1)]),
            audited: BTreeMap::from([(text.into(), 1)]),
            last_fault: Some(FaultState { at: before(2), kind: PluginErrorKind::Error, text: text.into() }),
            annotations: vec![text.into()],
            labels: vec![text.into()],
            ..plugin(text, 10)
        });
    }
    let [node, cluster, error, ..] = HOSTILE;
    (state.node, state.cluster) = (node.into(), cluster.into());
    state.configuration.refused = Some(RefusedState { at: before(5), error: error.into() });
    state
}

pub(in crate::admin) fn workload(namespace: &str, pod: &str, outcome: Option<&'static str>) -> WorkloadState {
    WorkloadState {
        namespace: namespace.into(),
        pod: pod.into(),
        uid: format!("uid-of-{pod}"),
        ips: vec!["10.0.3.4".into()],
        service_account: "default".into(),
        outcome,
        reason: None,
        decided_at: Some(before(300)),
        audited: Vec::new(),
        role_arn: None,
        session_name: None,
        credential: None,
        access_key_id: None,
        credential_issued: None,
        credential_expires: None,
    }
}

pub(in crate::admin) fn granted(namespace: &str, pod: &str, role: &str, left: u64) -> WorkloadState {
    WorkloadState {
        role_arn: Some(arn(role)),
        session_name: Some(pod.into()),
        credential: Some(id(role, pod)),
        access_key_id: Some("ASIAIOSFODNN7EXAMPLE".into()),
        credential_issued: Some(after(left) - Duration::from_secs(3_600)),
        credential_expires: Some(after(left)),
        ..workload(namespace, pod, Some("granted"))
    }
}

fn arn(role: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{role}")
}

/// As long as a real one.
fn id(role: &str, session: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (role, session).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn credential(role: &str, session: &str, left: u64) -> CredentialState {
    CredentialState {
        id: id(role, session),
        role_arn: arn(role),
        session_name: session.into(),
        wanted: true,
        expires: Some(after(left)),
        last_error: None,
        remedy: None,
        next_fetch: Some(after(left / 2)),
    }
}

fn failing(class: FetchErrorKind, credential: CredentialState) -> CredentialState {
    CredentialState { last_error: Some(class), remedy: Some(remedy::of_source(class)), ..credential }
}

fn plugin(name: &str, mean: u64) -> PluginState {
    PluginState {
        name: name.into(),
        path: None,
        interface: "0.1.0".into(),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        mode: "enforce",
        decisions: 1_482,
        mean_microseconds: Some(mean),
        longest_microseconds: Some(mean * 9),
        denials: BTreeMap::new(),
        audited: BTreeMap::new(),
        faults: BTreeMap::new(),
        last_fault: None,
        annotations: vec!["iam.amazonaws.com/role".into()],
        attributes: Vec::new(),
        labels: Vec::new(),
        namespace_annotations: Vec::new(),
        namespace_labels: Vec::new(),
        service_account_annotations: Vec::new(),
    }
}

fn refusal(ago: u64, times: u64, pod: Option<&str>, reason: &'static str, cause: &str) -> RefusalState {
    RefusalState {
        at: before(ago),
        times,
        request_id: format!("{ago:08x}-5e2a"),
        peer: "10.0.3.4".into(),
        pod: pod.map(str::to_owned),
        route: "/latest/meta-data/iam/security-credentials/{role}",
        status: 403,
        reason,
        cause: cause.into(),
    }
}

/// Ten minutes of changing load.
fn traffic() -> Vec<TrafficState> {
    let sample = |n: u64| {
        let requests = 40 + (n * n * 7 + n * 13) % 23 + if (60..75).contains(&n) { 60 } else { 0 };
        let refusals = if n % 17 < 3 { n % 17 * 4 } else { 0 };
        TrafficState { at: before((120 - n) * 5), seconds: 5, requests, hits: requests * 2 / 3 - refusals, refusals }
    };
    (0..120).map(sample).collect()
}
