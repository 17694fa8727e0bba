//! Roles under the path `/admin/` are for pods labelled `tier=trusted`. The policy abstains from all other roles.

use metagate_plugin_sdk::{Interest, Policy, Role, RoleArn, Verdict, Workload, export_policy};
use serde::Deserialize;

/// The plugin's `config` in metagate.toml. An unknown key refuses the plugin.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    label: String,
    value: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { label: "tier".to_owned(), value: "trusted".to_owned() }
    }
}

pub struct TrustedOnly(Config);

impl Policy for TrustedOnly {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.label.is_empty() {
            return Err("label: must not be empty".to_owned());
        }
        Ok(Self(config))
    }

    /// The gateway shows the policy only what is named here.
    fn interest(&self) -> Interest {
        Interest::none().labels([&self.0.label])
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let Config { label, value } = &self.0;
        let arn = RoleArn::parse(&role.arn).map_err(|fault| fault.to_string())?;
        if arn.role.is_under("/admin/") && workload.label(label) != Some(value) {
            let reason = format!("roles under /admin/ are for pods labelled {label}={value}");
            return Ok(Verdict::deny("not-trusted", reason));
        }
        // Another plugin decides who may have a role at all.
        Ok(Verdict::Abstain)
    }
}

export_policy!(TrustedOnly);

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(workload: &Workload, role: &str) -> Verdict {
        let policy = TrustedOnly::new(Config::default()).unwrap();
        policy.authorize(workload, &Role::named(format!("arn:aws:iam::123456789012:role/{role}"))).unwrap()
    }

    #[test]
    fn an_admin_role_is_for_trusted_pods() {
        let pod = Workload::of("payments", "checkout-0");
        assert!(matches!(verdict(&pod, "admin/dba"), Verdict::Deny(_)));
        assert_eq!(verdict(&pod.with_label("tier", "trusted"), "admin/dba"), Verdict::Abstain);
    }

    #[test]
    fn any_other_role_is_none_of_its_business() {
        assert_eq!(verdict(&Workload::of("payments", "checkout-0"), "checkout"), Verdict::Abstain);
    }
}
