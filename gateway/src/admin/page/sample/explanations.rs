//! Explanations that the page is tested with: of a grant, a denial, a failure, and with hostile text.

use super::{HOSTILE, after, arn, before};
use crate::{
    clock::rfc3339,
    explain::{Answer, CredentialStatus, Explanation},
    remedy::Remedy,
};

pub(in crate::admin) fn granted_explanation() -> Explanation {
    Explanation {
        pod: "payments/checkout-0".into(),
        uid: "5b1c1f0e-8f2e-4b7e-9c51-0d6c8f1f3a52".into(),
        ips: vec!["10.0.3.2".into()],
        service_account: "checkout".into(),
        node: "ip-10-0-1-17".into(),
        known: vec![
            ("annotation iam.amazonaws.com/role".into(), "payments-checkout".into()),
            (
                "namespace annotation iam.amazonaws.com/permitted".into(),
                "arn:aws:iam::123456789012:role/(payments-.*|admin/.*)".into(),
            ),
        ],
        asked: None,
        steps: vec![
            answer("annotations", "resolve", &format!("role {}", arn("payments-checkout"))),
            answer("namespace-regex", "authorize", "allows"),
            Answer { audited: true, ..answer("change-freeze", "authorize", "denies: frozen: no changes before 2027") },
        ],
        outcome: "granted".into(),
        status: 200,
        reason: None,
        role_arn: Some(arn("payments-checkout")),
        session_name: Some("payments.checkout-0".into()),
        source: Some("base".into()),
        credential: Some(CredentialStatus {
            access_key_id: Some("ASIAIOSFODNN7EXAMPLE".into()),
            issued: Some(rfc3339(before(1_128))),
            expires: Some(rfc3339(after(2_472))),
            remaining: Some("41m 12s".into()),
            renews: Some(rfc3339(after(640))),
            last_error: None,
        }),
        next_step: None,
    }
}

pub(in crate::admin) fn denied_explanation() -> Explanation {
    Explanation {
        pod: "guests/visitor-0".into(),
        steps: vec![
            answer("annotations", "resolve", &format!("role {}", arn("payments-checkout"))),
            answer("namespace-regex", "authorize", "denies: role-not-permitted: namespace guests does not permit it"),
        ],
        outcome: "denied".into(),
        status: 403,
        reason: Some("namespace-regex said role-not-permitted: namespace guests does not permit this role".into()),
        session_name: None,
        source: None,
        credential: None,
        next_step: Some(Remedy {
            say: "give the pod a role that namespace guests permits, or add its role there".into(),
            command: Some(
                "kubectl annotate namespace guests --overwrite \
                 'iam.amazonaws.com/permitted=arn:aws:iam::123456789012:role/payments-checkout'"
                    .into(),
            ),
        }),
        ..granted_explanation()
    }
}

pub(in crate::admin) fn failed_explanation() -> Explanation {
    Explanation {
        pod: "payments/refund-0".into(),
        steps: vec![
            answer("annotations", "resolve", &format!("role {}", arn("refunds"))),
            Answer {
                microseconds: 48_211,
                ..answer("team-role", "authorize", "trapped: wasm `unreachable` instruction executed")
            },
        ],
        outcome: "plugin-failed".into(),
        status: 503,
        reason: Some("plugin team-role: trapped: wasm `unreachable` instruction executed".into()),
        role_arn: Some(arn("refunds")),
        session_name: None,
        source: None,
        credential: None,
        next_step: Some(Remedy {
            say: "see the gateway's log for plugin team-role; the request may be tried again".into(),
            command: None,
        }),
        ..granted_explanation()
    }
}

/// With hostile text from plugins and objects.
pub(in crate::admin) fn hostile_explanation() -> Explanation {
    let all = HOSTILE.join(" ");
    Explanation {
        pod: format!("{all}/{}", "w".repeat(253)),
        uid: all.clone(),
        ips: vec![all.clone()],
        service_account: all.clone(),
        known: HOSTILE.iter().map(|text| ((*text).into(), (*text).into())).collect(),
        asked: Some(all.clone()),
        steps: HOSTILE.iter().map(|text| answer(text, text, text)).collect(),
        outcome: all.clone(),
        reason: Some(all.clone()),
        role_arn: Some(all.clone()),
        credential: Some(CredentialStatus {
            access_key_id: Some(all.clone()),
            issued: Some(all.clone()),
            expires: Some("2026-13-45T99:00:00Z".into()),
            remaining: Some(all.clone()),
            renews: Some(all.clone()),
            last_error: Some(all.clone()),
        }),
        next_step: Some(Remedy { say: all.clone(), command: Some(all) }),
        ..granted_explanation()
    }
}

fn answer(plugin: &str, phase: &str, answer: &str) -> Answer {
    Answer { plugin: plugin.into(), phase: phase.into(), answer: answer.into(), audited: false, microseconds: 214 }
}
