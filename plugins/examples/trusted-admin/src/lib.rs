//! Only pods labelled `tier=trusted` may have a role under the path `/admin/`.

use metagate_plugin_sdk::{Interest, Policy, Role, RoleArn, Verdict, Workload, export_policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    label: String,
    value: String,
    path: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { label: "tier".to_owned(), value: "trusted".to_owned(), path: "/admin/".to_owned() }
    }
}

pub struct TrustedAdmin(Config);

impl Policy for TrustedAdmin {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if !(config.path.starts_with('/') && config.path.ends_with('/')) {
            return Err("path: must begin and end with `/`".to_owned());
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::none().labels([&self.0.label])
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let Config { label, value, path } = &self.0;
        let arn = RoleArn::parse(&role.arn).map_err(|fault| fault.to_string())?;
        if arn.role.is_under(path) && workload.label(label) != Some(value) {
            return Ok(Verdict::deny(
                "not-trusted",
                format!("roles under {path} are for pods labelled {label}={value}"),
            ));
        }
        // Another plugin decides which pods may have a role at all.
        Ok(Verdict::Abstain)
    }
}

export_policy!(TrustedAdmin);

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(workload: Workload, role: &str) -> Verdict {
        let policy = TrustedAdmin::new(Config::default()).unwrap();
        policy.authorize(&workload, &Role::named(format!("arn:aws:iam::123456789012:role/{role}"))).unwrap()
    }

    #[test]
    fn an_admin_role_is_for_trusted_pods_only() {
        let pod = || Workload::of("payments", "checkout-0");
        assert!(matches!(verdict(pod(), "admin/dba"), Verdict::Deny(_)));
        assert!(matches!(verdict(pod().with_label("tier", "public"), "admin/dba"), Verdict::Deny(_)));
        assert_eq!(verdict(pod().with_label("tier", "trusted"), "admin/dba"), Verdict::Abstain);
    }

    #[test]
    fn other_roles_are_none_of_its_business() {
        assert_eq!(verdict(Workload::of("payments", "checkout-0"), "administrator"), Verdict::Abstain);
    }
}
