//! Answers "Why was my pod denied?".

mod subject;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use self::subject::{NotServed, Subject};
use crate::{
    catalogue::{AllowList, Directory, Listing},
    clock::rfc3339,
    credential::{Credential, KeyState},
    interest::Interest,
    policy::{Decision, Grant, Outcome, Policy, Principal, Rules, Step},
    refusal::Refusal,
    remedy::{self, Remedy},
    workload::Workload,
};

/// What the gateway would decide for one workload, and why. Contains no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `namespace/pod`.
    pub pod: String,
    pub uid: String,
    pub ips: Vec<String>,
    pub service_account: String,
    pub node: String,
    /// Labels, annotations and images that plugins read of it, each with its value.
    pub known: Vec<(String, String)>,
    /// The role or path in the question, if there was one.
    pub asked: Option<String>,
    /// Each plugin's answer, in order.
    pub steps: Vec<Answer>,
    /// `granted`, `admitted`, or the label of the refusal, as logs and metrics have it: `no-role`, `denied`, …
    pub outcome: String,
    /// The status of the answer to such a request.
    pub status: u16,
    pub reason: Option<String>,
    /// What was resolved, granted or not.
    pub role_arn: Option<String>,
    pub session_name: Option<String>,
    pub source: Option<String>,
    /// None: no credential is held, and no fetch was tried.
    pub credential: Option<CredentialStatus>,
    /// How to get the pod its role or credential.
    pub next_step: Option<Remedy>,
}

/// The credential for a grant: how long it is valid, and why it is missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// CloudTrail shows the same id. None: no credential is held.
    pub access_key_id: Option<String>,
    /// RFC 3339, like the other moments.
    pub issued: Option<String>,
    pub expires: Option<String>,
    /// Such as `41m`.
    pub remaining: Option<String>,
    /// When the keeper asks the source again.
    pub renews: Option<String>,
    /// The last error since the last success.
    pub last_error: Option<String>,
}

/// What the credential cache and the keeper have for a grant.
#[derive(Clone, Debug, Default)]
pub struct CacheEntry {
    pub held: Option<Arc<Credential>>,
    pub key: Option<KeyState>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub plugin: String,
    pub phase: String,
    pub answer: String,
    /// Audit mode: the answer was not acted on.
    pub audited: bool,
    pub microseconds: u64,
}

/// The question: a pod's own role, another role, or a path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    pub role: Option<&'a str>,
    pub path: Option<&'a str>,
}

impl Explanation {
    /// Decides anew, without the decision cache. `cached` looks up what is held for a grant.
    pub async fn of(
        policy: &Policy,
        allow: &AllowList,
        principal: Principal<'_>,
        question: Question<'_>,
        cached: impl Fn(&Grant) -> CacheEntry,
        now: SystemTime,
    ) -> Self {
        let (workload, rules) = (principal.workload, policy.rules());
        let mut explanation = Self::about(workload, &rules);
        explanation.asked = question.role.or(question.path).map(str::to_owned);
        let subject = match question.path {
            Some(path) => Subject::at(path, allow),
            None => Subject::Role(question.role.map(str::to_owned)),
        };
        match subject {
            Subject::Role(role) => {
                let decision = policy.explain(principal, None).await;
                explanation.tell(workload, &decision, &rules);
                if let Outcome::Granted(grant) = &decision.outcome {
                    explanation.tell_grant(grant, &cached(grant), now);
                    explanation.judge_role(role.as_deref(), &grant.role().arn);
                }
            }
            Subject::Entry(path) => {
                let decision = policy.explain(principal, Some(&path)).await;
                explanation.tell(workload, &decision, &rules);
            }
            Subject::Directory(directory) => explanation.tell_listing(policy, principal, &directory).await,
            Subject::Versions => {}
            Subject::NotServed(NotServed { refusal, reason, next_step }) => {
                explanation.refuse(&refusal, Some(reason));
                explanation.next_step = next_step;
            }
        }
        explanation
    }

    /// As of a request that is answered.
    fn about(workload: &Workload, rules: &Rules) -> Self {
        Self {
            pod: workload.title(),
            uid: workload.uid.as_str().to_owned(),
            ips: workload.ips.iter().map(ToString::to_string).collect(),
            service_account: workload.service_account.clone(),
            node: workload.node.clone(),
            known: known(workload, &rules.interest),
            asked: None,
            steps: Vec::new(),
            outcome: Outcome::Admitted.label().to_owned(),
            status: 200,
            reason: None,
            role_arn: None,
            session_name: None,
            source: None,
            credential: None,
            next_step: None,
        }
    }

    fn tell(&mut self, workload: &Workload, decision: &Decision, rules: &Rules) {
        self.steps = decision.steps.iter().map(Answer::from).collect();
        match decision.outcome.rejection() {
            None => self.outcome = decision.outcome.label().to_owned(),
            Some(rejection) => self.refuse(&Refusal::from(rejection.clone()), None),
        }
        self.role_arn = decision.role.as_ref().map(ToString::to_string);
        self.next_step = remedy::of_rejection(workload, decision, rules);
    }

    /// Names that differ from instance to instance are not fetched from the node, so plugins are not asked about them.
    async fn tell_listing(&mut self, policy: &Policy, principal: Principal<'_>, directory: &Directory) {
        let listed = match directory.listing() {
            Some(Listing::Node(_)) => {
                let reason = "only the node knows these names; a pod gets 404 where there is none that plugins admit";
                self.reason = Some(reason.to_owned());
                return;
            }
            Some(Listing::Names(names)) => names.clone(),
            None => Vec::new(),
        };
        match policy.explain_list(principal, directory, listed).await {
            Ok(names) if names.is_empty() => {
                self.refuse(&Refusal::NoSuchPath, Some("there is nothing in it that this pod may read".to_owned()));
            }
            Ok(_) => {}
            Err(rejected) => {
                self.next_step = remedy::of_rejection(principal.workload, &rejected.decision, &policy.rules());
                self.refuse(&rejected.rejection.into(), None);
            }
        }
    }

    /// As a pod's request is refused. Without a reason it is the refusal's own.
    fn refuse(&mut self, refusal: &Refusal, reason: Option<String>) {
        self.outcome = refusal.label().to_owned();
        self.status = refusal.status().as_u16();
        self.reason = reason.or_else(|| refusal.cause()).or_else(|| Some(refusal.text()));
    }

    fn tell_grant(&mut self, grant: &Grant, cached: &CacheEntry, now: SystemTime) {
        let role = grant.role();
        self.role_arn = Some(role.arn.to_string());
        self.session_name = Some(role.session_name.to_string());
        self.source = Some(role.source.to_string());
        let failed = cached.key.as_ref().and_then(|key| key.last_error.as_ref()).filter(|_| cached.held.is_none());
        self.next_step = failed.map(|error| remedy::of_fetch(error, grant.key()));
        self.credential = CredentialStatus::of(cached, now);
    }

    fn judge_role(&mut self, asked: Option<&str>, own: &crate::role::RoleArn) {
        if let Some(asked) = asked.filter(|asked| !own.is_named_by(asked)) {
            self.refuse(&Refusal::OtherRole, Some(format!("the pod asks for {asked}, but its role is {own}")));
            let say = "change the pod's role annotation, or ask for the role that the service lists";
            self.next_step = Some(Remedy::say(say));
        }
    }
}

impl CredentialStatus {
    fn of(cached: &CacheEntry, now: SystemTime) -> Option<Self> {
        let CacheEntry { held, key } = cached;
        if held.is_none() && key.is_none() {
            return None;
        }
        let whole_seconds = |life: Duration| Duration::from_secs(life.as_secs());
        let remaining = held.as_ref().map(|held| whole_seconds(held.remaining(now)));
        Some(Self {
            access_key_id: held.as_ref().map(|held| held.access_key_id.clone()),
            issued: held.as_ref().map(|held| rfc3339(held.issued_at)),
            expires: held.as_ref().map(|held| rfc3339(held.expires_at)),
            remaining: remaining.map(|life| humantime::format_duration(life).to_string()),
            renews: key.as_ref().and_then(|key| key.next_fetch).map(rfc3339),
            last_error: key
                .as_ref()
                .and_then(|key| key.last_error.as_ref())
                .map(|error| error.class.label().to_owned()),
        })
    }
}

/// What plugins see of the workload: each key with its kind, and its value.
fn known(workload: &Workload, interest: &Interest) -> Vec<(String, String)> {
    let groups = [
        ("label", &interest.labels, &workload.labels),
        ("annotation", &interest.annotations, &workload.annotations),
        ("namespace label", &interest.namespace_labels, &workload.namespace_labels),
        ("namespace annotation", &interest.namespace_annotations, &workload.namespace_annotations),
        ("service account annotation", &interest.service_account_annotations, &workload.service_account_annotations),
    ];
    let pairs = groups.into_iter().flat_map(|(what, keys, pairs)| {
        let shown = pairs.iter().filter(|(key, _)| keys.show(key));
        shown.map(move |(key, value)| (format!("{what} {key}"), value.clone()))
    });
    let images = workload.images.iter().filter(|(container, _)| interest.asks_for_image(container));
    pairs.chain(images.map(|(container, image)| (format!("image {container}"), image.clone()))).collect()
}

impl From<&Step> for Answer {
    fn from(step: &Step) -> Self {
        Self {
            plugin: step.plugin.to_string(),
            phase: step.phase.label().to_owned(),
            answer: step.answer.text(),
            audited: step.audited,
            microseconds: u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interest::Keys;

    #[test]
    fn what_plugins_read_is_known_and_nothing_else_is() {
        let pairs = |pairs: [(&str, &str); 2]| pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let workload = Workload {
            labels: pairs([("app", "web"), ("tier", "a")]),
            images: pairs([("app", "shop:1"), ("proxy", "mesh:2")]),
            ..Workload::default()
        };
        let keys = |key: &str| Keys::new([key.to_owned()]);
        let interest = Interest { labels: keys("tier"), attributes: keys("image/app"), ..Interest::default() };
        let expected = [("label tier", "a"), ("image app", "shop:1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(known(&workload, &interest), expected);
    }
}
