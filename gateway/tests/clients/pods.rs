//! The pods of the lab: one for each way to have a role, or none.

use std::net::{Ipv4Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    /// The pod's other keys in the roster file.
    keys: &'static str,
    /// The ARN that STS must return for it.
    pub(crate) arn: Option<&'static str>,
}

/// A role by its short name.
pub(crate) const CHECKOUT: Pod = Pod {
    namespace: "payments",
    name: "checkout-0",
    address: Ipv4Addr::new(127, 0, 0, 2),
    keys: r#"annotations = { "iam.amazonaws.com/role" = "payments-checkout" }"#,
    arn: Some("arn:aws:sts::123456789012:assumed-role/payments-checkout/payments.checkout-0"),
};

/// A role with a path, which an assumed role's ARN does not show.
pub(crate) const AUDITOR: Pod = Pod {
    namespace: "payments",
    name: "auditor-0",
    address: Ipv4Addr::new(127, 0, 0, 3),
    keys: r#"annotations = { "iam.amazonaws.com/role" = "finance/auditor" }"#,
    arn: Some("arn:aws:sts::123456789012:assumed-role/auditor/payments.auditor-0"),
};

/// Its service account's role (IRSA), assumed with its own web identity token.
pub(crate) const LEDGER: Pod = Pod {
    namespace: "payments",
    name: "ledger-0",
    address: Ipv4Addr::new(127, 0, 0, 4),
    keys: "service_account = \"ledger\"\ntoken_file = \"ledger-token\"",
    arn: Some("arn:aws:sts::123456789012:assumed-role/ledger/payments.ledger-0"),
};

/// A role by its ARN, in another namespace.
pub(crate) const VISITOR: Pod = Pod {
    namespace: "guests",
    name: "visitor-0",
    address: Ipv4Addr::new(127, 0, 0, 5),
    keys: r#"annotations = { "iam.amazonaws.com/role" = "arn:aws:iam::123456789012:role/guests-visitor" }"#,
    arn: Some("arn:aws:sts::123456789012:assumed-role/guests-visitor/guests.visitor-0"),
};

/// Asks for a role that its namespace does not permit.
pub(crate) const INTRUDER: Pod = Pod {
    namespace: "guests",
    name: "intruder-0",
    address: Ipv4Addr::new(127, 0, 0, 6),
    keys: r#"annotations = { "iam.amazonaws.com/role" = "payments-checkout" }"#,
    arn: None,
};

/// Asks for no role.
pub(crate) const IDLE: Pod =
    Pod { namespace: "guests", name: "idle-0", address: Ipv4Addr::new(127, 0, 0, 7), keys: "", arn: None };

pub(crate) const WITH_ROLE: [Pod; 4] = [CHECKOUT, AUDITOR, LEDGER, VISITOR];
/// In the order in which the gateway lists their listeners.
pub(crate) const ALL: [Pod; 6] = [CHECKOUT, AUDITOR, LEDGER, VISITOR, INTRUDER, IDLE];

/// The prefix of the roles' short names.
pub(crate) const BASE: &str = "arn:aws:iam::123456789012:role/";
/// The name of the file with [`LEDGER`]'s web identity token, beside the roster.
pub(crate) const TOKEN_FILE: &str = "ledger-token";

const NAMESPACES: &str = r#"
[[namespace]]
name = "payments"
annotations = { "iam.amazonaws.com/permitted" = "arn:aws:iam::123456789012:role/(payments-.*|finance/.*)" }

[[namespace]]
name = "guests"
annotations = { "iam.amazonaws.com/permitted" = "arn:aws:iam::123456789012:role/guests-.*" }

[[service_account]]
namespace = "payments"
name = "ledger"
annotations = { "eks.amazonaws.com/role-arn" = "arn:aws:iam::123456789012:role/ledger" }
"#;

/// The roster's file. SDKs cannot choose the address that they ask from, so each pod has a listener of its own too.
pub(crate) fn roster(listeners: &[SocketAddr]) -> String {
    let pods = ALL.iter().zip(listeners);
    let workloads = pods.map(|(Pod { namespace, name, address, keys, .. }, listener)| {
        format!(
            r#"
[[workload]]
namespace = "{namespace}"
pod = "{name}"
ips = ["{address}"]
listen = "{listener}"
{keys}
"#
        )
    });
    NAMESPACES.to_owned() + &workloads.collect::<String>()
}
