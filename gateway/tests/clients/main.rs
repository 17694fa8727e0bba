//! Real AWS clients against a real gateway; STS says whose credentials they got.
//!
//! `make clients` installs the clients and runs this. STS is moto's server; everything is on loopback.

// clippy.toml's exemptions for tests apply only to code that is marked as a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod client;
mod lab;
mod network;
mod pods;
mod process;
mod rust_sdk;
mod sdks;
mod session;
mod sts;

use std::collections::BTreeSet;

use client::{Client, V1};
use lab::{Lab, Tokens};
use network::{Network, Passes};
use pods::{AUDITOR, CHECKOUT, IDLE, INTRUDER, LEDGER, Pod, VISITOR, WITH_ROLE};
use session::Session;

const V1_REQUESTS: &str = "metagate_imds_v1_requests_total";
const REFUSALS: &str = "metagate_refusals_total";
const FETCHES: &str = "metagate_credential_fetch_duration_seconds_count";

/// Whose credentials the client gets from the metadata service at `endpoint`, as STS says: an ARN, which ends in the session's
/// name. None if it gets none.
async fn who_am_i(client: Client, lab: &Lab, endpoint: &str, v1: V1) -> Option<String> {
    match Session::start(client, lab, endpoint, v1).identity().await {
        Ok(identity) => Some(identity.arn),
        Err(error) => {
            println!("{client:?}: {error}");
            None
        }
    }
}

async fn gets_each_pods_own_role(client: Client) {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    for pod in WITH_ROLE {
        let arn = who_am_i(client, &lab, &lab.endpoint_of(pod), V1::Disabled).await;
        assert_eq!(arn.as_deref(), pod.arn, "{client:?} as {}", pod.name);
    }
    assert_eq!(lab.counted(V1_REQUESTS, "").await, 0, "{client:?} spoke IMDSv1");
}

#[tokio::test]
async fn boto3_gets_its_own_pods_role() {
    gets_each_pods_own_role(Client::Boto3).await;
}

#[tokio::test]
async fn aws_cli_gets_its_own_pods_role() {
    gets_each_pods_own_role(Client::AwsCli).await;
}

#[tokio::test]
async fn javascript_gets_its_own_pods_role() {
    gets_each_pods_own_role(Client::JavaScript).await;
}

#[tokio::test]
async fn rust_gets_its_own_pods_role() {
    gets_each_pods_own_role(Client::Rust).await;
}

#[tokio::test]
async fn pods_on_one_listener_are_told_apart_by_their_address() {
    let Some(lab) = Lab::start(Tokens::Required).await else { return };
    for (client, pod) in Client::FOUR.into_iter().zip(WITH_ROLE) {
        let network = Network::of(pod, lab.shared_listener(), Passes::Everything).await;
        let arn = who_am_i(client, &lab, &network.endpoint, V1::Disabled).await;
        assert_eq!(arn.as_deref(), pod.arn, "{client:?} as {}", pod.name);
    }
}

#[tokio::test]
async fn every_client_agrees_on_the_session_name() {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    for pod in [LEDGER, VISITOR] {
        let mut arns = BTreeSet::new();
        for client in Client::FOUR {
            arns.insert(who_am_i(client, &lab, &lab.endpoint_of(pod), V1::Disabled).await.unwrap());
        }
        assert_eq!(arns.len(), 1, "{arns:?}");
        let session = format!("/{}.{}", pod.namespace, pod.name);
        assert!(arns.first().unwrap().ends_with(&session), "{arns:?}");
    }
}

#[tokio::test]
async fn one_fetch_for_a_pod_serves_all_its_clients() {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    for client in Client::FOUR {
        assert!(who_am_i(client, &lab, &lab.endpoint_of(CHECKOUT), V1::Disabled).await.is_some(), "{client:?}");
    }
    assert_eq!(lab.counted(FETCHES, r#"result="ok""#).await, WITH_ROLE.len() as u64);
}

async fn no_client_gets_credentials(pod: Pod, reason: &str) {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    for client in Client::FOUR {
        let refused = lab.counted(REFUSALS, reason).await;
        let arn = who_am_i(client, &lab, &lab.endpoint_of(pod), V1::Allowed).await;
        assert_eq!(arn, None, "{client:?}");
        assert!(lab.counted(REFUSALS, reason).await > refused, "{client:?} was not refused for {reason}");
    }
}

#[tokio::test]
async fn a_pod_denied_by_its_namespace_gets_no_credentials_from_any_sdk() {
    no_client_gets_credentials(INTRUDER, r#"reason="denied""#).await;
}

#[tokio::test]
async fn a_pod_without_a_role_gets_no_credentials_from_any_sdk() {
    no_client_gets_credentials(IDLE, r#"reason="no-role""#).await;
}

#[tokio::test]
async fn sdks_that_fall_back_to_imdsv1_are_served_and_counted() {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    for (client, pod) in Client::WITH_V1.into_iter().zip([CHECKOUT, AUDITOR, VISITOR]) {
        let counted = lab.counted(V1_REQUESTS, "").await;
        let network = Network::of(pod, lab.shared_listener(), Passes::OnlyV1).await;
        let arn = who_am_i(client, &lab, &network.endpoint, V1::Allowed).await;
        assert_eq!(arn.as_deref(), pod.arn, "{client:?} as {}", pod.name);
        // One for the role's name, and one for its credentials.
        assert_eq!(lab.counted(V1_REQUESTS, "").await - counted, 2, "{client:?}");
    }
}

#[tokio::test]
async fn imdsv1_gets_nothing_where_a_token_is_required() {
    let Some(lab) = Lab::start(Tokens::Required).await else { return };
    for client in Client::WITH_V1 {
        let refused = lab.counted(REFUSALS, r#"reason="token-absent""#).await;
        let network = Network::of(CHECKOUT, lab.shared_listener(), Passes::OnlyV1).await;
        assert_eq!(who_am_i(client, &lab, &network.endpoint, V1::Allowed).await, None, "{client:?}");
        assert!(lab.counted(REFUSALS, r#"reason="token-absent""#).await > refused, "{client:?}");
    }
}
