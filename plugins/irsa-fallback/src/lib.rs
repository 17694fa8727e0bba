//! Resolves a pod's role from the IRSA annotation of its service account, and authorizes exactly that role.

use metagate_plugin_sdk::{
    CredentialSource, Interest, Policy, Resolution, Role, RoleArn, Verdict, Workload, export_policy,
};
use serde::Deserialize;

// The EKS webhook reads only these names, so there is nothing to configure.
const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE: &str = "eks.amazonaws.com/audience";
const REGIONAL_ENDPOINTS: &str = "eks.amazonaws.com/sts-regional-endpoints";

const BAD_ANNOTATION: &str = "bad-annotation";
/// The limit for an audience in a token request to the API server, in bytes.
const MAX_AUDIENCE_BYTES: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The audience of the token if the service account names none.
    pub audience: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { audience: "sts.amazonaws.com".to_owned() }
    }
}

#[derive(Debug)]
pub struct IrsaFallback(Config);

impl Policy for IrsaFallback {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if !is_audience(&config.audience) {
            return Err(format!("audience: {AUDIENCE_RULE}"));
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::none().service_account_annotations([ROLE_ARN, AUDIENCE, REGIONAL_ENDPOINTS])
    }

    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        Ok(match self.role_of(workload) {
            Ok(Some(role)) => Resolution::Role(role),
            Ok(None) => Resolution::Abstain,
            Err(reason) => Resolution::deny(BAD_ANNOTATION, reason),
        })
    }

    /// Abstains from a role with another source, even with the same ARN: that is not the service account's role.
    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let own = arn_of(workload).ok().flatten();
        Ok(match role.source {
            CredentialSource::WebIdentity(_) if own.as_ref() == Some(&role.arn) => Verdict::Allow,
            _ => Verdict::Abstain,
        })
    }
}

impl IrsaFallback {
    /// The service account's role, or the sentence that refuses it.
    fn role_of(&self, workload: &Workload) -> Result<Option<Role>, String> {
        let Some(arn) = arn_of(workload)? else { return Ok(None) };
        let audience = match annotation(workload, AUDIENCE) {
            None => self.0.audience.clone(),
            Some(audience) if is_audience(audience) => audience.to_owned(),
            Some(_) => return Err(sentence(AUDIENCE, AUDIENCE_RULE)),
        };
        let role = Role::named(arn).with_source(CredentialSource::WebIdentity(audience));
        Ok(Some(match annotation(workload, REGIONAL_ENDPOINTS) {
            None => role,
            Some(text) => role.with_attribute("sts-regional-endpoints", switch(text)?),
        }))
    }
}

fn arn_of(workload: &Workload) -> Result<Option<String>, String> {
    let Some(text) = annotation(workload, ROLE_ARN) else { return Ok(None) };
    let arn = RoleArn::parse(text).map_err(|fault| sentence(ROLE_ARN, &fault.to_string()))?;
    Ok(Some(arn.to_string()))
}

/// The EKS webhook reads this value with Go's `strconv.ParseBool`, whose spellings these are.
fn switch(text: &str) -> Result<&'static str, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok("true"),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok("false"),
        _ => Err(sentence(REGIONAL_ENDPOINTS, "write `true` or `false`")),
    }
}

const AUDIENCE_RULE: &str = "an audience is 1 to 1024 visible ASCII characters";

fn is_audience(text: &str) -> bool {
    (1..=MAX_AUDIENCE_BYTES).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// An annotation of the service account without surrounding white space; `None` if it is empty.
fn annotation<'a>(workload: &'a Workload, key: &str) -> Option<&'a str> {
    workload.service_account_annotation(key).map(str::trim).filter(|text| !text.is_empty())
}

fn sentence(key: &str, fault: &str) -> String {
    format!("the service account's annotation `{key}` is malformed: {fault}")
}

export_policy!(IrsaFallback);

#[cfg(test)]
mod tests;
