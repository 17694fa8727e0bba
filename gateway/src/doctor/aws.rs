//! The gateway's identity to AWS, the account whose roles it asks for, and how STS answers.

use std::sync::Arc;

use super::{Finding, skew};
use crate::{
    clock::Clock,
    config::{Config, CredentialsSource},
    credential::{FetchError, FetchErrorKind},
    relay::Relay,
    remedy,
    role::BaseArn,
    source::{Caller, Contact, WhoAmI},
};

const IDENTITY: &str = "identity";
const BASE: &str = "base-role";
const STS: &str = "sts";
const CLOCK: &str = "sts-clock";

pub(super) async fn look(config: Arc<Config>, clock: Clock) -> Vec<Finding> {
    if config.credentials.source == CredentialsSource::Sandbox {
        return [IDENTITY, BASE, STS, CLOCK].map(|check| Finding::skip(check, "sandbox")).into();
    }
    let relay = Relay::from_config(&config.imds, std::sync::Arc::new(())).map_err(|error| error.to_string());
    let (base, asked) = tokio::join!(base_account(&config, &relay), ask(&config, &relay, clock));
    let WhoAmI { caller, contact } = match asked {
        Ok(asked) => asked,
        Err(identity) => {
            let rest = [STS, CLOCK].map(|check| Finding::skip(check, "no identity to ask STS with"));
            return [vec![identity, base_role(&config, base, None)], rest.into()].concat();
        }
    };
    let identity = match &caller {
        Ok(caller) => known(caller),
        Err(error) => unknown(error, &contact),
    };
    let sts = sts(&contact, caller.as_ref().err());
    vec![identity, base_role(&config, base, caller.ok()), sts, sts_clock(&contact)]
}

async fn ask(config: &Config, relay: &Result<Relay, String>, clock: Clock) -> Result<WhoAmI, Finding> {
    let region = match (&config.credentials.region, relay) {
        (Some(region), _) => region.clone(),
        (None, Ok(relay)) => relay.region().await.map_err(|error| no_region(&error.to_string()))?,
        (None, Err(error)) => return Err(no_region(error)),
    };
    let cure = "Choose another `credentials.identity`, or give the gateway what this one needs.";
    WhoAmI::ask(config, region, clock).await.map_err(|error| Finding::fail(IDENTITY, error.to_string(), cure))
}

fn no_region(error: &str) -> Finding {
    let cure = "Set `credentials.region`, or see the check `node-imds`.";
    Finding::fail(IDENTITY, format!("the region of STS is not known: {error}"), cure)
}

fn known(caller: &Caller) -> Finding {
    Finding::pass(IDENTITY, format!("the gateway is {} (account {})", caller.arn, caller.account))
}

fn unknown(error: &FetchError, contact: &Contact) -> Finding {
    // STS was asked and gave no valid answer: the check `sts` says why.
    if contact.host.is_some() && error.class == FetchErrorKind::Unavailable {
        return Finding::skip(IDENTITY, "STS gave no valid answer; see the check `sts`");
    }
    let cure = remedy::of_own_identity(error.class, contact.host.is_some()).say;
    let found = format!("the gateway's own identity is not known: {error}");
    match error.class {
        FetchErrorKind::Throttled => Finding::warn(IDENTITY, found, cure),
        _ => Finding::fail(IDENTITY, found, cure),
    }
}

/// The account that short role names belong to.
async fn base_account(config: &Config, relay: &Result<Relay, String>) -> Result<String, String> {
    let base = match (&config.credentials.base_role_arn, relay) {
        (Some(base), _) => base.clone(),
        (None, Err(error)) => return Err(error.clone()),
        (None, Ok(relay)) => {
            let profile = relay.instance_profile_arn().await.map_err(|error| error.to_string())?;
            BaseArn::of_instance_profile(&profile).map_err(|error| format!("instance profile {profile} {error}"))?
        }
    };
    // The name does not matter: only the account is read.
    let any = base.expand("any").map_err(|error| format!("{} {error}", base.as_str()))?;
    Ok(any.account().to_owned())
}

fn base_role(config: &Config, base: Result<String, String>, caller: Option<Caller>) -> Finding {
    let written = config.credentials.base_role_arn.as_ref().map_or("auto", BaseArn::as_str);
    let account = match base {
        Ok(account) => account,
        Err(error) => {
            let cure =
                "Set `credentials.base_role_arn` to arn:aws:iam::ACCOUNT:role/, or give the node an instance profile.";
            return Finding::fail(BASE, format!("credentials.base_role_arn ({written}): {error}"), cure);
        }
    };
    match caller {
        Some(caller) if caller.account != account => Finding::warn(
            BASE,
            format!(
                "short role names mean roles of account {account}, and the gateway is in account {}",
                caller.account
            ),
            "This is right if pods' roles are in that account and their trust policies name the gateway's role. \
             Otherwise set `credentials.base_role_arn`.",
        ),
        Some(_) => Finding::pass(BASE, format!("short role names mean roles of the gateway's own account, {account}")),
        None => Finding::pass(BASE, format!("short role names mean roles of account {account}")),
    }
}

fn sts(contact: &Contact, error: Option<&FetchError>) -> Finding {
    let failing = error.filter(|error| error.class == FetchErrorKind::Unavailable);
    let detail = failing.map(|error| error.detail.as_str()).unwrap_or_default();
    match (&contact.host, contact.took) {
        (None, _) => Finding::skip(STS, "no identity to ask STS with"),
        (Some(host), Some(_)) if failing.is_some() => Finding::fail(
            STS,
            format!("{host} does not answer as STS does: {detail}"),
            "STS has a fault, or something that is not STS answers: check `credentials.sts_endpoint` and AWS's status \
             page.",
        ),
        (Some(host), Some(took)) => Finding::pass(STS, format!("{host} answers in {}ms", took.as_millis())),
        (Some(host), None) => Finding::fail(
            STS,
            format!("{host} does not answer: {detail}"),
            "Check the node's DNS and routes. A private subnet needs a NAT gateway or a VPC endpoint for STS of that \
             region (`credentials.region`, `credentials.sts_endpoint`).",
        ),
    }
}

fn sts_clock(contact: &Contact) -> Finding {
    match contact.dated {
        Some((there, here)) => skew::judge(CLOCK, "that of STS", there, here),
        None if contact.took.is_some() => Finding::skip(CLOCK, "its answer has no Date header"),
        None => Finding::skip(CLOCK, "no answer from STS"),
    }
}
