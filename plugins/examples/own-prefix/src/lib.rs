//! Gives many workloads one role, and limits each session to its own prefix of a bucket: `NAMESPACE/SERVICE-ACCOUNT/`.

use metagate_plugin_sdk::{Glob, Interest, Policy, Resolution, Role, RoleArn, Verdict, Workload, export_policy};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A whole ARN, to compare with the ARN that the gateway passes.
    role: String,
    bucket: String,
    /// The namespaces whose pods get the role.
    namespaces: Vec<Glob>,
}

pub struct OwnPrefix {
    role: String,
    /// The bucket's ARN, in the role's partition.
    bucket: String,
    namespaces: Vec<Glob>,
}

impl Policy for OwnPrefix {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let Config { role, bucket, namespaces } = config;
        let arn = RoleArn::parse(&role).map_err(|fault| format!("role: {fault}"))?;
        if !is_bucket(&bucket) {
            return Err("bucket: must be a bucket's name, 3 to 63 of a-z 0-9 - and dots".to_owned());
        }
        if namespaces.is_empty() {
            return Err("namespaces: must name at least one, such as `team-*`".to_owned());
        }
        let bucket = format!("arn:{}:s3:::{bucket}", arn.partition);
        Ok(Self { role: arn.to_string(), bucket, namespaces })
    }

    fn interest(&self) -> Interest {
        Interest::none()
    }

    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        Ok(if self.is_for(workload) { Resolution::Role(self.scoped(workload)) } else { Resolution::Abstain })
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        if role.arn != self.role {
            return Ok(Verdict::Abstain);
        }
        if !self.is_for(workload) {
            return Ok(Verdict::deny("not-shared", "this role is not shared with the pod's namespace"));
        }
        let own = self.scoped(workload);
        // A managed policy would widen the session, because a session may do what any of its policies allows.
        let is_scoped = role.source == own.source
            && role.session_policy == own.session_policy
            && role.policy_arns.is_empty()
            && own.tags.iter().all(|tag| role.tags.contains(tag));
        Ok(if is_scoped {
            Verdict::Allow
        } else {
            let reason = "this role needs the session policy of the pod's own prefix: only own-prefix may name it";
            Verdict::deny("not-scoped", reason)
        })
    }
}

impl OwnPrefix {
    fn is_for(&self, workload: &Workload) -> bool {
        self.namespaces.iter().any(|glob| glob.matches(&workload.namespace))
    }

    fn scoped(&self, workload: &Workload) -> Role {
        // Both are DNS names, so they hold no `*`, `?` or `$`, which have a meaning in IAM policies.
        let prefix = format!("{}/{}", workload.namespace, workload.service_account);
        let bucket = &self.bucket;
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": bucket,
                    "Condition": { "StringLike": { "s3:prefix": format!("{prefix}/*") } },
                },
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                    "Resource": format!("{bucket}/{prefix}/*"),
                },
            ],
        });
        Role::named(&self.role).with_session_policy(policy.to_string()).with_tag("prefix", prefix)
    }
}

/// The rules of the Amazon S3 User Guide, general purpose bucket naming rules, that keep other characters out of the
/// ARN.
fn is_bucket(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    (3..=63).contains(&name.len()) && name.bytes().all(plain)
}

export_policy!(OwnPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/shared/reports";

    fn policy(bucket: &str) -> OwnPrefix {
        let namespaces = vec![Glob::new("team-*").unwrap()];
        OwnPrefix::new(Config { role: ROLE.to_owned(), bucket: bucket.to_owned(), namespaces }).unwrap()
    }

    fn pod(service_account: &str) -> Workload {
        Workload { service_account: service_account.to_owned(), ..Workload::of("team-a", "reports-0") }
    }

    fn is_allowed(workload: &Workload, role: &Role) -> bool {
        policy("reports").authorize(workload, role) == Ok(Verdict::Allow)
    }

    #[test]
    fn what_it_resolves_it_allows_to_that_workload_and_to_no_other() {
        let Ok(Resolution::Role(role)) = policy("reports").resolve(&pod("nightly")) else { panic!("no role") };
        assert!(is_allowed(&pod("nightly"), &role));
        assert!(!is_allowed(&pod("weekly"), &role));
        assert!(!is_allowed(&Workload { namespace: "team-b".to_owned(), ..pod("nightly") }, &role));
    }

    #[test]
    fn a_wider_session_is_denied() {
        let own = policy("reports").scoped(&pod("nightly"));
        let wider = [
            Role::named(ROLE),
            own.clone().with_session_policy("{}"),
            own.clone().with_policy_arn("arn:aws:iam::aws:policy/AmazonS3FullAccess"),
            own.with_tag("prefix", "team-b/nightly"),
        ];
        for role in wider {
            let verdict = policy("reports").authorize(&pod("nightly"), &role).unwrap();
            assert!(matches!(verdict, Verdict::Deny(_)), "{role:?}");
        }
    }

    #[test]
    fn the_policy_of_the_longest_names_is_within_the_bound_of_sts() {
        let workload = Workload { namespace: "n".repeat(63), ..pod(&"s".repeat(253)) };
        let role = policy(&"b".repeat(63)).scoped(&workload);
        let text = role.session_policy.unwrap();
        assert!(text.len() <= 2048, "{}", text.len());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["Statement"][0]["Resource"], format!("arn:aws:s3:::{}", "b".repeat(63)));
    }
}
