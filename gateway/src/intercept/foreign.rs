//! Other programs' redirects of the metadata service: reported with the command that removes them, and never changed.

use std::{fmt, io::ErrorKind};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    nft::{ChainName, Nft, NftError, execute},
    ruleset::{TABLE, objects, statements, text_of},
};
use crate::config::{METADATA_V4, METADATA_V6};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignRule {
    /// Family, table and chain.
    pub chain: String,
    pub rule: String,
    /// The program that seems to have added it.
    pub owner: String,
    /// Whether it runs before our rules, and so redirects what it matches.
    pub goes_first: bool,
    /// The command that removes it.
    pub remove: String,
}

/// kube2iam and kiam append the same rule, so its shape does not tell which one did.
const PEER: &str = "kube2iam or kiam";
const OTHER: &str = "another program";
const OUR_PRIORITY: i64 = -101;

/// Searches all NAT chains for arriving packets, both iptables-nft's and those of nftables itself; and
/// iptables-legacy's, where that is in use.
pub(super) fn find(nft: &Nft) -> Result<Vec<ForeignRule>, NftError> {
    let mut found = Vec::new();
    for (_, chain) in objects(&nft.chains()?).filter(|(kind, chain)| *kind == "chain" && begins_nat(chain)) {
        let of = |key| text_of(chain, key).to_owned();
        let name = ChainName { family: of("family"), table: of("table"), name: of("name") };
        // Below our own priority or at it: chains of equal priority run in the order in which they were added.
        let goes_first = chain.get("prio").and_then(Value::as_i64).is_some_and(|prio| prio <= OUR_PRIORITY);
        for (_, rule) in objects(&nft.chain(&name)?).filter(|(kind, rule)| *kind == "rule" && diverts(rule)) {
            let handle = rule.get("handle").and_then(Value::as_u64).unwrap_or_default();
            let peers = name.table == "nat" && name.name == "PREROUTING" && is_xt(rule);
            found.push(ForeignRule {
                chain: name.to_string(),
                rule: nft.quote(&name, handle)?,
                owner: if peers { PEER } else { OTHER }.to_owned(),
                goes_first,
                remove: format!("nft delete rule {name} handle {handle}"),
            });
        }
    }
    found.extend(legacy("/proc/self/net/ip_tables_names", "iptables-legacy"));
    found.extend(legacy("/proc/self/net/ip6_tables_names", "ip6tables-legacy"));
    Ok(found)
}

fn begins_nat(chain: &Value) -> bool {
    let ours = text_of(chain, "table") == TABLE && text_of(chain, "family") == "inet";
    text_of(chain, "type") == "nat" && text_of(chain, "hook") == "prerouting" && !ours
}

/// Whether a rule sends the metadata service's packets elsewhere.
fn diverts(rule: &Value) -> bool {
    let matched = |field: &str| {
        let field = field.to_owned();
        statements(rule, "match").filter(move |found| {
            found.pointer("/left/payload/field").and_then(Value::as_str) == Some(&field) && text_of(found, "op") == "=="
        })
    };
    let services = [METADATA_V4.to_string(), METADATA_V6.to_string()];
    let service = matched("daddr").any(|found| services.iter().any(|service| holds(found, &|v| v == service.as_str())));
    let other_port = matched("dport").any(|found| !holds(found, &|v| v == 80));
    let target = ["dnat", "redirect", "tproxy", "jump", "goto"];
    service && !other_port && (is_xt(rule) || target.iter().any(|kind| statements(rule, kind).next().is_some()))
}

/// iptables-nft's DNAT and REDIRECT. nft lists only their names, and older releases not even that.
fn is_xt(rule: &Value) -> bool {
    statements(rule, "xt").any(|xt| xt.is_null() || matches!(text_of(xt, "name"), "DNAT" | "REDIRECT"))
}

/// Whether the right side of a match is such a value, or a set or range with one.
fn holds(found: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
    fn within(value: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
        match value {
            Value::Array(all) => all.iter().any(|value| within(value, is)),
            Value::Object(all) => all.values().any(|value| within(value, is)),
            value => is(value),
        }
    }
    found.get("right").is_some_and(|right| within(right, is))
}

/// iptables-legacy keeps its rules where nft does not see them. It is run only where its nat table is in use: running
/// it would create that table.
fn legacy(in_use: &str, iptables: &'static str) -> Vec<ForeignRule> {
    let tables = std::fs::read_to_string(in_use).unwrap_or_default();
    if !tables.lines().any(|table| table == "nat") {
        return Vec::new();
    }
    let service = if iptables.starts_with("ip6") { METADATA_V6.to_string() } else { METADATA_V4.to_string() };
    match execute(&format!("{iptables}-save"), &["-t", "nat"], None) {
        Ok(ended) => legacy_rules(iptables, &service, &String::from_utf8_lossy(&ended.stdout)),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(%error, "cannot run {iptables}-save");
            }
            Vec::new()
        }
    }
}

/// `-A PREROUTING -d 169.254.169.254/32 -i eni+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181`
fn legacy_rules(iptables: &str, service: &str, saved: &str) -> Vec<ForeignRule> {
    let mut found = Vec::new();
    for rule in saved.lines().filter_map(|line| line.strip_prefix("-A PREROUTING ")) {
        let words: Vec<&str> = rule.split_whitespace().collect();
        let after = |flag: &str| words.windows(2).find(|pair| pair.first() == Some(&flag)).and_then(|pair| pair.get(1));
        let service = after("-d").is_some_and(|to| to.split('/').next() == Some(service));
        let port = after("--dport").is_none_or(|port| *port == "80");
        let target = after("-j").copied().unwrap_or_default();
        if service && port && !matches!(target, "ACCEPT" | "RETURN" | "LOG" | "") {
            found.push(ForeignRule {
                chain: format!("{iptables} nat PREROUTING"),
                rule: rule.to_owned(),
                owner: if target == "DNAT" { PEER } else { OTHER }.to_owned(),
                goes_first: false,
                remove: format!("{iptables} -t nat -D PREROUTING {rule}"),
            });
        }
    }
    found
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.name)
    }
}

impl fmt::Display for ForeignRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, rule, owner, remove, .. } = self;
        let order = if self.goes_first { "it goes before ours" } else { "ours goes before it" };
        write!(f, "a rule that looks like {owner} is in {chain}; {order}, and it is left alone\n  {rule}\n")?;
        write!(f, "  to remove it, once its owner is gone: {remove}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(right: Value, port: Option<u16>, target: Value) -> Value {
        let daddr = json!({"match": {"op": "==", "right": right,
            "left": {"payload": {"protocol": "ip", "field": "daddr"}}}});
        let dport = port.map(|port| {
            json!({"match": {"op": "==", "right": port, "left": {"payload": {"protocol": "tcp", "field": "dport"}}}})
        });
        let expr: Vec<Value> = [Some(daddr), dport, Some(target)].into_iter().flatten().collect();
        json!({"expr": expr})
    }

    #[test]
    fn a_rule_that_takes_metadata_requests_elsewhere_is_found() {
        let dnat = json!({"xt": {"type": "target", "name": "DNAT"}});
        let service = json!("169.254.169.254");
        for (found, rule) in [
            (true, rule(service.clone(), Some(80), dnat.clone())),
            (true, rule(service.clone(), None, dnat.clone())),
            (true, rule(service.clone(), None, json!({"xt": null}))),
            (true, rule(json!("fd00:ec2::254"), Some(80), json!({"dnat": {"addr": "fd00::1"}}))),
            (true, rule(json!({"set": ["10.0.0.1", "169.254.169.254"]}), Some(80), json!({"redirect": {"port": 1}}))),
            (true, rule(service.clone(), None, json!({"jump": {"target": "elsewhere"}}))),
            (false, rule(service.clone(), Some(443), dnat.clone())),
            (false, rule(json!("169.254.169.253"), Some(80), dnat)),
            (false, rule(service, Some(80), json!({"accept": null}))),
        ] {
            assert_eq!(diverts(&rule), found, "{rule}");
        }
    }

    #[test]
    fn iptables_legacys_rules_are_named_with_the_command_that_removes_them() {
        let saved = "*nat\n:PREROUTING ACCEPT [0:0]\n\
            -A PREROUTING -d 169.254.169.254/32 -i cali+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181\n\
            -A PREROUTING -d 169.254.169.253/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:1\n\
            -A PREROUTING -d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.0.0.1:1\n\
            -A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\nCOMMIT\n";
        let found = legacy_rules("iptables-legacy", "169.254.169.254", saved);
        let [rule] = &found[..] else { panic!("{found:?}") };
        assert_eq!(rule.owner, PEER);
        assert_eq!(
            rule.remove,
            "iptables-legacy -t nat -D PREROUTING -d 169.254.169.254/32 -i cali+ -p tcp -m tcp --dport 80 \
             -j DNAT --to-destination 10.0.0.1:8181"
        );
    }
}
