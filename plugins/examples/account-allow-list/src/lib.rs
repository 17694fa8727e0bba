//! Denies roles in accounts that are not listed, and, if partitions are listed, in other partitions.

use metagate_plugin_sdk::{Interest, Policy, Role, RoleArn, Verdict, Workload, export_policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    accounts: Vec<String>,
    /// Empty: any partition.
    #[serde(default)]
    partitions: Vec<String>,
}

pub struct AccountAllowList(Config);

impl Policy for AccountAllowList {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.accounts.is_empty() {
            return Err("accounts: must name at least one".to_owned());
        }
        let is_account = |account: &String| account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit());
        if let Some(index) = config.accounts.iter().position(|account| !is_account(account)) {
            return Err(format!("accounts[{index}]: must be twelve digits"));
        }
        if let Some(index) = config.partitions.iter().position(|partition| !partition.starts_with("aws")) {
            return Err(format!("partitions[{index}]: must be `aws`, `aws-cn`, `aws-us-gov` or the like"));
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::none()
    }

    fn authorize(&self, _: &Workload, role: &Role) -> Result<Verdict, String> {
        let Config { accounts, partitions } = &self.0;
        let RoleArn { account, partition, .. } = RoleArn::parse(&role.arn).map_err(|fault| fault.to_string())?;
        if !partitions.is_empty() && !partitions.iter().any(|listed| listed == partition) {
            let reason = format!("partition {partition} is not listed: take a role of another, or have it listed");
            return Ok(Verdict::deny("partition-not-listed", reason));
        }
        if !accounts.iter().any(|listed| listed == account) {
            let reason = format!("account {account} is not listed: take a role of another, or have it listed");
            return Ok(Verdict::deny("account-not-listed", reason));
        }
        // Another plugin decides which pods may have which of these roles.
        Ok(Verdict::Abstain)
    }
}

export_policy!(AccountAllowList);

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied(partitions: &[&str], arn: &str) -> bool {
        let partitions = partitions.iter().map(ToString::to_string).collect();
        let policy = AccountAllowList::new(Config { accounts: vec!["012345678901".to_owned()], partitions }).unwrap();
        let verdict = policy.authorize(&Workload::of("payments", "checkout-0"), &Role::named(arn)).unwrap();
        assert!(matches!(verdict, Verdict::Deny(_) | Verdict::Abstain));
        verdict != Verdict::Abstain
    }

    #[test]
    fn a_listed_account_is_left_to_others_and_any_other_denied() {
        assert!(!is_denied(&[], "arn:aws:iam::012345678901:role/web"));
        assert!(is_denied(&[], "arn:aws:iam::123456789012:role/web"));
        assert!(is_denied(&[], "arn:aws:iam::123456789012:role/012345678901/web"));
    }

    #[test]
    fn the_same_account_of_another_partition_is_denied_where_partitions_are_listed() {
        assert!(!is_denied(&[], "arn:aws-cn:iam::012345678901:role/web"));
        assert!(is_denied(&["aws"], "arn:aws-cn:iam::012345678901:role/web"));
        assert!(!is_denied(&["aws-us-gov", "aws"], "arn:aws:iam::012345678901:role/web"));
    }

    #[test]
    fn an_account_is_twelve_digits() {
        for account in ["12345678901", "1234567890123", "12345678901x", ""] {
            let config = Config { accounts: vec![account.to_owned()], partitions: Vec::new() };
            assert!(AccountAllowList::new(config).is_err(), "{account}");
        }
    }
}
