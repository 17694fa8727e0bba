use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    credential::{CredentialError, FetchError, FetchErrorKind},
    pairs::Pairs,
    plugin::{PluginError, PluginErrorKind},
    policy::{Denial, Grant, POLICY},
    refusal::Refusal,
    role::{CredentialSource, Role},
    workload::Workload,
};

const KINDS: [FetchErrorKind; 6] = [
    FetchErrorKind::AccessDenied,
    FetchErrorKind::Invalid,
    FetchErrorKind::Token,
    FetchErrorKind::Identity,
    FetchErrorKind::Throttled,
    FetchErrorKind::Unavailable,
];

fn grant(source: CredentialSource) -> Grant {
    let role = Role {
        arn: "arn:aws:iam::123456789012:role/ledger".parse().unwrap(),
        source,
        session_name: "session".parse().unwrap(),
        external_id: None,
        duration: Duration::from_secs(3600),
        tags: Pairs::new(),
        session_policy: None,
        policy_arns: Vec::new(),
    };
    let workload = Workload { namespace: "payments".into(), service_account: "ledger".into(), ..Workload::default() };
    Grant::for_test(&workload, role)
}

fn web_identity() -> CredentialSource {
    CredentialSource::WebIdentity { audience: "sts.amazonaws.com".into(), regional: true }
}

fn failed(class: FetchErrorKind, code: Option<&str>) -> FetchError {
    FetchError { class, code: code.map(str::to_owned), detail: "arn:aws:sts::1:assumed-role/node says no".into() }
}

#[test]
fn a_pods_owner_reads_of_a_failed_fetch_what_operators_read_or_nothing() {
    for (kind, source, code) in KINDS.into_iter().flat_map(|kind| {
        [CredentialSource::AssumeRole, web_identity()]
            .into_iter()
            .flat_map(move |source| [None, Some("SomeCode")].map(|code| (kind, source.clone(), code)))
    }) {
        let (grant, error) = (grant(source), failed(kind, code));
        let operators = of_fetch(&error, grant.key());
        let refusal = Refusal::from(CredentialError::Source { error: Arc::new(error), retry_after: Duration::ZERO });
        if let Some(owners) = for_owner(&refusal, Some(&grant)) {
            assert_eq!(owners, operators.say, "{kind}");
        }
        assert!(!operators.say.contains("arn:"), "AWS's own words are the log's: {}", operators.say);
    }
}

#[test]
fn the_trust_policy_is_said_for_the_way_that_the_role_is_assumed() {
    let say = |source, class, code| of_fetch(&failed(class, code), grant(source).key());
    let gateways = say(CredentialSource::AssumeRole, FetchErrorKind::AccessDenied, Some("AccessDenied"));
    assert!(gateways.say.contains("the gateway's role"), "{gateways:?}");
    let accounts = say(web_identity(), FetchErrorKind::Token, Some("InvalidIdentityToken"));
    assert!(accounts.say.contains("system:serviceaccount:payments:ledger"), "{accounts:?}");
    for remedy in [gateways, accounts] {
        assert_eq!(remedy.command.as_deref(), Some("aws iam get-role --role-name ledger"));
    }
    let unasked = say(web_identity(), FetchErrorKind::Token, None);
    assert!(unasked.say.contains("could not get a token") && unasked.command.is_none(), "{unasked:?}");
}

#[test]
fn how_a_plugin_failed_is_for_operators_only() {
    for kind in PluginErrorKind::ALL {
        let operators = of_plugin("team-role", kind).say;
        let fault = PluginError { plugin: "team-role".into(), kind, detail: "unreachable".into() };
        let owners = for_owner(&Refusal::PluginFailed(Arc::new(fault)), None).unwrap();
        assert!(operators.starts_with(&owners) && operators.len() > owners.len(), "{owners} {operators}");
        assert!(owners.contains("team-role"), "{owners}");
    }
}

#[test]
fn a_denial_by_the_gateway_itself_is_not_told_as_a_plugins() {
    let owners = |by: &str| {
        let denial = Denial { by: by.into(), code: "nobody-allowed".into(), reason: "no".into() };
        for_owner(&Refusal::Denied(Arc::new(denial)), None).unwrap()
    };
    assert!(owners(POLICY).starts_with("The gateway's own rules"));
    assert!(owners("team-role").starts_with("Policy plugin team-role"));
}
