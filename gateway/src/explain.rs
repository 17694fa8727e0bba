//! "Why was my pod denied?", answered.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    credential::Credential,
    policy::{Decision, Outcome, Policy, Rejection, Step},
    refusal::Refusal,
    relay::{AllowList, Catalogue},
    workload::Workload,
};

/// What the gateway would decide for one workload, and how it came to it. Holds no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `namespace/pod`.
    pub pod: String,
    pub uid: String,
    pub ips: Vec<String>,
    pub service_account: String,
    /// The role or path that was asked about, if one was.
    pub asked: Option<String>,
    /// Each plugin's answer, in order.
    pub steps: Vec<Answer>,
    /// `granted`, `admitted`, `no-role`, `denied`, `failed`, …
    pub outcome: String,
    /// What a pod's request would be answered with.
    pub status: u16,
    pub reason: Option<String>,
    pub role_arn: Option<String>,
    pub session_name: Option<String>,
    pub source: Option<String>,
    /// RFC 3339; None while no credential is held.
    pub credential_expires: Option<String>,
    /// What to do about it.
    pub next_step: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub plugin: String,
    pub phase: String,
    pub answer: String,
    /// Not acted on: audit mode.
    pub audited: bool,
    pub microseconds: u64,
}

/// What to explain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    pub role: Option<&'a str>,
    pub path: Option<&'a str>,
}

impl Explanation {
    /// Works the decision out anew. `held` finds the credential of a grant, where there is one.
    pub async fn of(
        policy: &Policy,
        allow: &AllowList,
        workload: &Arc<Workload>,
        question: Question<'_>,
        held: impl Fn(&crate::policy::Grant) -> Option<Arc<Credential>>,
    ) -> Self {
        let path = question.path.map(canonical);
        let decision = policy.explain(workload, path.as_deref()).await;
        let mut explanation = Self::told(workload, &decision);
        explanation.asked = question.role.or(question.path).map(str::to_owned);
        if let Some(path) = &path {
            explanation.judge_path(path, allow);
        } else if let Outcome::Granted(grant) = &decision.outcome {
            let role = grant.role();
            explanation.role_arn = Some(role.arn.to_string());
            explanation.session_name = Some(role.session_name.to_string());
            explanation.source = Some(role.source.to_string());
            explanation.credential_expires = held(grant).map(|held| rfc3339(held.expires_at));
            explanation.judge_role(question.role, &role.arn);
        }
        explanation
    }

    fn told(workload: &Workload, decision: &Decision) -> Self {
        let refusal = decision.outcome.rejection().cloned().map(Refusal::from);
        Self {
            pod: workload.title(),
            uid: workload.uid.as_str().to_owned(),
            ips: workload.ips.iter().map(ToString::to_string).collect(),
            service_account: workload.service_account.clone(),
            asked: None,
            steps: decision.steps.iter().map(Answer::from).collect(),
            outcome: decision.outcome.label().to_owned(),
            status: refusal.as_ref().map_or(200, |refusal| refusal.status().as_u16()),
            reason: refusal.map(|refusal| refusal.cause().unwrap_or_else(|| refusal.text())),
            role_arn: None,
            session_name: None,
            source: None,
            credential_expires: None,
            next_step: next_step(&decision.outcome),
        }
    }

    fn judge_role(&mut self, asked: Option<&str>, own: &crate::role::RoleArn) {
        if let Some(asked) = asked.filter(|asked| !own.is_named_by(asked)) {
            self.outcome = "other-role".into();
            self.status = 404;
            self.reason = Some(format!("the pod asks for {asked}, but its role is {own}"));
            self.next_step =
                Some("change the pod's role annotation, or ask for the role that the service lists".into());
        }
    }

    fn judge_path(&mut self, path: &str, allow: &AllowList) {
        let segments: Vec<&str> = path.split('/').collect();
        match Catalogue::find(&segments) {
            Some(entry) if allow.admits(&entry) => {}
            found => {
                let known = found.is_some();
                self.outcome = "no-such-path".into();
                self.status = 404;
                self.reason = Some(format!(
                    "{path} is {}",
                    if known { "not in imds.allow" } else { "not a path that any pod may read" }
                ));
                self.next_step = known.then(|| format!("add \"{path}\" to imds.allow"));
            }
        }
    }
}

/// Below a version, without slashes at either end.
fn canonical(path: &str) -> String {
    let path = path.trim_matches('/');
    path.strip_prefix("latest/").unwrap_or(path).to_owned()
}

fn next_step(outcome: &Outcome) -> Option<String> {
    Some(match outcome.rejection()? {
        Rejection::NoRole => {
            "annotate the pod with iam.amazonaws.com/role, or its service account with eks.amazonaws.com/role-arn".into()
        }
        Rejection::Denied(denial) => match denial.code.as_str() {
            "namespace-not-permitted" => {
                "annotate the namespace with iam.amazonaws.com/permitted: a regular expression that matches the whole role ARN".into()
            }
            "role-not-permitted" => {
                "give the pod a role that its namespace permits, or widen the namespace's annotation".into()
            }
            "nobody-allowed" => "add a plugin whose `authorize` allows this role, such as namespace-regex".into(),
            "bad-annotation" | "invalid-role" => "correct the annotation that the reason names".into(),
            _ => format!("ask who owns the policy `{}`", denial.by),
        },
        Rejection::Failed(fault) => format!("see the gateway's log for plugin {}; the request may be tried again", fault.plugin),
        Rejection::Unread => "wait until the roster is listed anew: these plugins read more than was kept of the pod".into(),
        Rejection::BaseUnknown => "set credentials.base_role_arn, or wait until the node's metadata service answers".into(),
    })
}

pub(crate) fn rfc3339(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

impl From<&Step> for Answer {
    fn from(step: &Step) -> Self {
        Self {
            plugin: step.plugin.clone(),
            phase: step.phase.label().to_owned(),
            answer: step.said.text(),
            audited: step.audited,
            microseconds: u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}
