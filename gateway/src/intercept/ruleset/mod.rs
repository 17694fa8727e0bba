//! Our table: what it must hold, and how nft's listing differs from that.
//!
//! It is written in nft's text format, so that an operator can read and repeat what is done. It is read back as JSON,
//! which is the same in every release.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Value, json};

use crate::config::{Interfaces, NodeAddresses};

pub const TABLE: &str = "metagate";
const FAMILY: &str = "inet";

/// Where the pods' requests for the metadata service are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub interfaces: Interfaces,
    pub node: NodeAddresses,
    pub port: u16,
}

#[derive(Debug, PartialEq, Eq)]
struct Chain {
    /// Also its hook.
    name: &'static str,
    kind: &'static str,
    priority: i32,
}

/// Other programs' destination NAT is at -100 (kube-proxy, and iptables' nat table, which kube2iam and kiam use).
const REDIRECT: Chain = Chain { name: "prerouting", kind: "nat", priority: -101 };
/// NAT handles a connection's first packet only. A packet that still carries the metadata service's address here
/// belongs to a connection from before the redirect, or to a family that has no node address. This chain runs before
/// other programs' filters, at 0.
const FORWARDED: Chain = Chain { name: "forward", kind: "filter", priority: -1 };
/// The same where the service's address is the node's own.
const LOCAL: Chain = Chain { name: "input", kind: "filter", priority: -1 };
const CHAINS: [&Chain; 3] = [&REDIRECT, &FORWARDED, &LOCAL];

#[derive(Debug)]
struct Rule {
    chain: &'static Chain,
    service: IpAddr,
    /// nft's operator and name.
    interfaces: Vec<(&'static str, String)>,
    /// None: reset.
    to: Option<(IpAddr, u16)>,
}

/// How the listed table differs from the required one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Such as `dormant`, which switches a table off. It is not known which: nft 1.0.6 lists the table's name instead.
    Flags,
    NoChain(&'static str),
    Chain {
        name: &'static str,
        found: String,
    },
    NoRule(String),
    Order(&'static str),
    /// Something that we do not put there.
    Extra(String),
    ExtraRule {
        chain: String,
        handle: u64,
    },
}

/// What our rules have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) connections: u64,
    pub(super) rejected: u64,
}

impl Redirect {
    /// One transaction: pods see the old rules or the new ones. The first line creates the table where there is none,
    /// as the second one would fail then.
    pub fn script(&self) -> String {
        let mut text = format!("table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\ntable {FAMILY} {TABLE} {{\n");
        let rules = self.rules();
        for chain in CHAINS {
            text.push_str(&format!("\tchain {} {{\n\t\t{chain}\n", chain.name));
            for rule in rules.iter().filter(|rule| rule.chain == chain) {
                text.push_str(&format!("\t\t{rule}\n"));
            }
            text.push_str("\t}\n");
        }
        text + "}\n"
    }

    /// Each address of the metadata service, and where pods are sent instead.
    pub fn routes(&self) -> [(SocketAddr, Option<SocketAddr>); 2] {
        let pairs = self.node.pairs();
        pairs.map(|(service, node)| ((service, 80).into(), node.map(|node| (node, self.port).into())))
    }

    fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (service, node) in self.node.pairs() {
            for interfaces in self.interface_matches() {
                let rule = |chain, to| Rule { chain, service, interfaces: interfaces.clone(), to };
                rules.extend(node.map(|node| rule(&REDIRECT, Some((node, self.port)))));
                rules.extend([rule(&FORWARDED, None), rule(&LOCAL, None)]);
            }
        }
        rules
    }

    /// One match for each positive pattern: nodes in use are older than nft's sets of names with wildcards.
    fn interface_matches(&self) -> Vec<Vec<(&'static str, String)>> {
        let excluded: Vec<_> = self.interfaces.excluded().map(|pattern| ("!=", pattern.glob())).collect();
        let mut matches: Vec<Vec<_>> = Vec::new();
        for named in self.interfaces.named() {
            matches.push([vec![("==", named.glob())], excluded.clone()].concat());
        }
        if matches.is_empty() { vec![excluded] } else { matches }
    }

    /// Empty where `listed`, nft's JSON of our table, is exactly what [`Self::script`] writes.
    pub(super) fn differences(&self, listed: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut rules: Vec<&Value> = Vec::new();
        let mut chains: Vec<&Value> = Vec::new();
        for object in objects(listed) {
            match object {
                ("metainfo", _) => {}
                ("table", table) => found.extend(table.get("flags").map(|_| Difference::Flags)),
                ("chain", chain) => chains.push(chain),
                ("rule", rule) => rules.push(rule),
                (kind, other) => found.push(Difference::Extra(format!("{kind} {}", text_of(other, "name")))),
            }
        }
        for chain in CHAINS {
            match chains.iter().find(|listed| text_of(listed, "name") == chain.name) {
                None => found.push(Difference::NoChain(chain.name)),
                Some(listed) => found.extend(chain.difference(listed)),
            }
        }
        let ours = |name: &str| CHAINS.iter().any(|chain| chain.name == name);
        for extra in chains.iter().map(|chain| text_of(chain, "name")).filter(|name| !ours(name)) {
            found.push(Difference::Extra(format!("chain {extra}")));
        }
        found.extend(self.rule_differences(&rules));
        found
    }

    fn rule_differences(&self, listed: &[&Value]) -> Vec<Difference> {
        let mut found = Vec::new();
        let wanted = self.rules();
        let mut unmatched: Vec<&Value> = listed.to_vec();
        for rule in &wanted {
            match unmatched.iter().position(|listed| rule.is(listed)) {
                Some(at) => drop(unmatched.remove(at)),
                None => found.push(Difference::NoRule(format!("chain {}: {rule}", rule.chain.name))),
            }
        }
        found.extend(unmatched.iter().map(|rule| Difference::ExtraRule {
            chain: text_of(rule, "chain").to_owned(),
            handle: rule.get("handle").and_then(Value::as_u64).unwrap_or_default(),
        }));
        if found.is_empty() {
            let in_chain = |chain: &Chain| {
                let wanted = wanted.iter().filter(|rule| rule.chain == chain);
                let listed = listed.iter().filter(|rule| text_of(rule, "chain") == chain.name);
                wanted.zip(listed).all(|(rule, listed)| rule.is(listed))
            };
            let reordered = CHAINS.into_iter().filter(|chain| !in_chain(chain));
            found.extend(reordered.map(|chain| Difference::Order(chain.name)));
        }
        found
    }
}

pub(super) fn counted(listed: &Value) -> Counted {
    let mut counted = Counted::default();
    for (_, rule) in objects(listed).filter(|(kind, _)| *kind == "rule") {
        let packets: u64 = statements(rule, "counter").filter_map(|counter| counter.get("packets")?.as_u64()).sum();
        if text_of(rule, "chain") == REDIRECT.name {
            counted.connections += packets;
        } else {
            counted.rejected += packets;
        }
    }
    counted
}

impl Chain {
    fn difference(&self, listed: &Value) -> Option<Difference> {
        let wanted = [
            ("type", json!(self.kind)),
            ("hook", json!(self.name)),
            ("prio", json!(self.priority)),
            ("policy", json!("accept")),
        ];
        let other = wanted.into_iter().find(|(key, wanted)| listed.get(key) != Some(wanted));
        other.map(|(key, wanted)| {
            let listed = listed.get(key).unwrap_or(&Value::Null);
            Difference::Chain { name: self.name, found: format!("{key} is {listed} and not {wanted}") }
        })
    }
}

impl Rule {
    fn comment(&self) -> &'static str {
        if self.to.is_some() { "pods ask the gateway" } else { "pods never ask the node" }
    }

    fn is(&self, listed: &Value) -> bool {
        let mut listed = listed.clone();
        for statement in listed.get_mut("expr").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(counter) = statement.get_mut("counter") {
                *counter = Value::Null;
            }
        }
        text_of(&listed, "chain") == self.chain.name
            && text_of(&listed, "comment") == self.comment()
            && listed.get("expr") == Some(&self.expression())
    }

    fn expression(&self) -> Value {
        let family = family(self.service);
        let matches = |op: &str, left: Value, right: Value| json!({"match": {"op": op, "left": left, "right": right}});
        let payload = |protocol: &str, field: &str| json!({"payload": {"protocol": protocol, "field": field}});
        let mut statements = vec![
            matches("==", payload(family, "daddr"), json!(self.service)),
            matches("==", payload("tcp", "dport"), json!(80)),
        ];
        for (op, name) in &self.interfaces {
            statements.push(matches(op, json!({"meta": {"key": "iifname"}}), json!(name)));
        }
        statements.push(json!({"counter": null}));
        statements.push(match self.to {
            Some((node, port)) => json!({"dnat": {"family": family, "addr": node, "port": port}}),
            None => json!({"reject": {"type": "tcp reset"}}),
        });
        Value::Array(statements)
    }
}

/// As nft reads it.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} hook {} priority {}; policy accept;", self.kind, self.name, self.priority)
    }
}

/// As nft reads it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = family(self.service);
        write!(f, "{family} daddr {} tcp dport 80", self.service)?;
        for (op, name) in &self.interfaces {
            write!(f, " iifname {}\"{name}\"", if *op == "!=" { "!= " } else { "" })?;
        }
        match self.to {
            Some((node, port)) => write!(f, " counter dnat {family} to {}", SocketAddr::from((node, port)))?,
            None => f.write_str(" counter reject with tcp reset")?,
        }
        write!(f, " comment \"{}\"", self.comment())
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

/// `{"nftables": [{KIND: OBJECT}, …]}`
pub(super) fn objects(listed: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = listed.get("nftables").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|object| object.as_object()?.iter().next()).map(|(kind, object)| (kind.as_str(), object))
}

/// The statements of one kind in a rule.
pub(super) fn statements<'a>(rule: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(move |statement| statement.get(kind))
}

pub(super) fn text_of<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
