//! A roster from a TOML file: laptops, tests, and nodes without Kubernetes.

mod parse;
mod pod_table;
mod raw;
mod watched;

pub use parse::{FixedPod, Parsed, parse};
pub(crate) use pod_table::PodTable;
pub use watched::{OpenError, Watched};

/// The sandbox's own sample pods.
pub const SANDBOX: &str = include_str!("../../../../config/sandbox-roster.toml");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workload::Uid;

    fn listed(text: &str) -> Vec<FixedPod> {
        parse(Path::new("lab/roster.toml"), text).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).workloads
    }

    #[test]
    fn a_workload_carries_what_its_namespace_and_service_account_say() {
        let text = r#"
            [[workload]]
            namespace = "payments"
            pod = "ledger-0"
            ips = ["127.0.0.3", "fd00::3"]
            service_account = "ledger"
            token_file = "tokens/ledger"
            labels = { tier = "trusted" }
            images = { app = "registry.example.com/ledger:7" }
            [[namespace]]
            name = "payments"
            labels = { team = "a" }
            annotations = { "iam.amazonaws.com/permitted" = ".*" }
            [[namespace]]
            name = "guests"
            labels = { team = "b" }
            [[service_account]]
            namespace = "payments"
            name = "ledger"
            annotations = { "eks.amazonaws.com/role-arn" = "arn" }
            [[service_account]]
            namespace = "guests"
            name = "ledger"
            annotations = { "eks.amazonaws.com/role-arn" = "other" }
        "#;
        let [FixedPod { workload, listen: None }] = &listed(text)[..] else { panic!("one workload") };
        assert_eq!(workload.title(), "payments/ledger-0");
        assert_eq!(workload.uid, Uid::derived("payments", "ledger-0"));
        assert_eq!(workload.ips.len(), 2);
        assert_eq!(workload.labels.get("tier").unwrap(), "trusted");
        assert_eq!(workload.images.get("app").unwrap(), "registry.example.com/ledger:7");
        assert_eq!(workload.namespace_labels.get("team").unwrap(), "a");
        assert_eq!(workload.namespace_annotations.get("iam.amazonaws.com/permitted").unwrap(), ".*");
        assert_eq!(workload.service_account_annotations.get("eks.amazonaws.com/role-arn").unwrap(), "arn");
        assert_eq!(workload.token_file.as_deref(), Some(Path::new("lab/tokens/ledger")));
    }

    #[test]
    fn two_workloads_on_one_address_are_no_fault_of_the_file() {
        let one = |pod: &str| format!("[[workload]]\nnamespace = 'a'\npod = '{pod}'\nips = ['127.0.0.2']\n");
        let both = listed(&(one("b") + &one("c")));
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].workload.service_account, "default");
    }

    #[test]
    fn a_listener_stands_in_for_an_address() {
        let one = listed("[[workload]]\nnamespace = 'a'\npod = 'b'\nuid = 'u'\nlisten = '127.0.0.1:8191'\n");
        assert_eq!(one[0].listen, Some("127.0.0.1:8191".parse().unwrap()));
        assert_eq!((one[0].workload.uid.as_str(), one[0].workload.ips.len()), ("u", 0));
    }

    #[test]
    fn an_empty_file_is_an_empty_roster() {
        assert!(listed("").is_empty());
    }

    #[test]
    fn the_sandbox_has_a_pod_for_each_answer() {
        let pods = listed(SANDBOX);
        let titles: Vec<String> =
            pods.iter().map(|pod| format!("{} {}", pod.workload.title(), pod.workload.ips[0])).collect();
        assert_eq!(
            titles,
            [
                "payments/checkout-0 127.0.0.2",
                "payments/ledger-0 127.0.0.3",
                "guests/visitor-0 127.0.0.4",
                "payments/auditor-0 127.0.0.5",
                "payments/reporting-0 127.0.0.6",
            ]
        );
        for FixedPod { workload, .. } in &pods {
            assert!(workload.namespace_annotations.contains_key("iam.amazonaws.com/permitted"), "{}", workload.title());
            let own = workload.annotations.contains_key("iam.amazonaws.com/role");
            let irsa = workload.service_account_annotations.contains_key("eks.amazonaws.com/role-arn");
            assert!(own != irsa, "{}", workload.title());
        }
    }
}
