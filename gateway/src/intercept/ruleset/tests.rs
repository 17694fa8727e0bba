//! The rules that are written, and how a listing is compared with them. `tests/node/intercept` proves that nft lists
//! what is written here.

use std::{fs, path::Path};

use super::*;

fn redirect(interfaces: &[&str], node: &[&str]) -> Redirect {
    let patterns = interfaces.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let addresses = node.iter().map(|address| address.parse().unwrap());
    Redirect {
        interfaces: Interfaces::of(patterns).unwrap(),
        node: addresses.fold(NodeAddresses::default(), |all, address| all.and(address).unwrap()),
        port: 8181,
    }
}

/// As nft lists `redirect` once it is installed and has been used.
fn listed(redirect: &Redirect) -> Value {
    let mut all = vec![
        json!({"metainfo": {"version": "1.0.6"}}),
        json!({"table": {"family": "inet", "name": "metagate", "handle": 1}}),
    ];
    for Chain { name, kind, priority } in CHAINS {
        all.push(json!({"chain": {"family": "inet", "table": "metagate", "name": name, "handle": 2, "type": kind,
            "hook": name, "prio": priority, "policy": "accept"}}));
    }
    for rule in redirect.rules() {
        let mut expr = rule.expression();
        for statement in expr.as_array_mut().unwrap() {
            if statement.get("counter").is_some() {
                *statement = json!({"counter": {"packets": 3, "bytes": 180}});
            }
        }
        all.push(json!({"rule": {"family": "inet", "table": "metagate", "chain": rule.chain.name, "handle": 9,
            "comment": rule.comment(), "expr": expr}}));
    }
    json!({"nftables": all})
}

#[test]
fn rulesets_are_written_in_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/intercept");
    for (name, redirect) in [
        ("default", redirect(&["!lo"], &["10.0.0.7", "fd00::7"])),
        ("vpc-cni", redirect(&["eni+", "vlan+"], &["10.0.0.7"])),
        ("only-ipv6", redirect(&["cali+", "!cali9"], &["fd00::7"])),
        ("not-eth0", redirect(&["!lo", "!eth0", "!ens+"], &["10.0.0.7"])),
    ] {
        let expected = folder.join(name).with_extension("nft");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, redirect.script()).unwrap();
        }
        assert_eq!(redirect.script(), fs::read_to_string(&expected).unwrap_or_default(), "{name}");
    }
}

#[test]
fn what_was_written_does_not_differ_however_often_it_was_used() {
    for redirect in [redirect(&["eni+", "!eni0"], &["10.0.0.7"]), redirect(&["!lo"], &["fd00::7", "10.0.0.7"])] {
        assert_eq!(redirect.differences(&listed(&redirect)), []);
    }
}

#[test]
fn another_redirect_differs() {
    let redirects = [
        redirect(&["!lo"], &["10.0.0.7"]),
        redirect(&["!lo"], &["10.0.0.8"]),
        redirect(&["!lo"], &["10.0.0.7", "fd00::7"]),
        redirect(&["!lo", "!eth0"], &["10.0.0.7"]),
        redirect(&["lo"], &["10.0.0.7"]),
        Redirect { port: 8182, ..redirect(&["!lo"], &["10.0.0.7"]) },
    ];
    for (a, wanted) in redirects.iter().enumerate() {
        for (b, there) in redirects.iter().enumerate() {
            assert_eq!(wanted.differences(&listed(there)).is_empty(), a == b, "{wanted:?}\n{there:?}");
        }
    }
}

#[test]
fn every_kind_of_meddling_is_named() {
    let redirect = redirect(&["eni+", "vlan+"], &["10.0.0.7"]);
    let whole = listed(&redirect);
    let meddle = |how: &dyn Fn(&mut Vec<Value>)| {
        let mut listed = whole.clone();
        how(listed["nftables"].as_array_mut().unwrap());
        redirect.differences(&listed)
    };
    let dormant = meddle(&|all| all[1]["table"]["flags"] = json!("dormant"));
    assert_eq!(dormant, [Difference::Flags]);
    let policy = meddle(&|all| all[3]["chain"]["policy"] = json!("drop"));
    assert!(matches!(&policy[..], [Difference::Chain { name: "forward", .. }]), "{policy:?}");
    let late = meddle(&|all| all[2]["chain"]["prio"] = json!(-99));
    assert!(matches!(&late[..], [Difference::Chain { name: "prerouting", .. }]), "{late:?}");
    let unhooked = meddle(&|all| drop(all.remove(4)));
    assert_eq!(unhooked, [Difference::NoChain("input")]);
    let set = meddle(&|all| all.push(json!({"set": {"name": "x"}})));
    assert_eq!(set, [Difference::Extra("set x".into())]);
    let accept = meddle(&|all| {
        all.insert(5, json!({"rule": {"chain": "prerouting", "handle": 7, "expr": [{"accept": null}]}}));
    });
    assert_eq!(accept, [Difference::ExtraRule { chain: "prerouting".into(), handle: 7 }]);
    // As a table that is flushed would be.
    let flushed = meddle(&|all| all.truncate(5));
    assert_eq!(flushed.len(), redirect.rules().len());
    assert!(flushed.iter().all(|difference| matches!(difference, Difference::NoRule(_))), "{flushed:?}");
    let twice = meddle(&|all| all.push(all[5].clone()));
    assert!(matches!(&twice[..], [Difference::ExtraRule { .. }]), "{twice:?}");
    let mixed = meddle(&|all| {
        let last = all.len() - 1;
        all.swap(5, last);
        all.swap(5, last - 2);
    });
    assert!(mixed.iter().any(|difference| matches!(difference, Difference::Order(_))), "{mixed:?}");
}

#[test]
fn redirected_and_rejected_are_counted_apart() {
    // One rule redirects; forward and input reject in each of two families.
    let counted = counted(&listed(&redirect(&["!lo"], &["10.0.0.7"])));
    assert_eq!(counted, Counted { connections: 3, rejected: 12 });
}

#[test]
fn no_listing_panics() {
    let redirect = redirect(&["!lo"], &["10.0.0.7"]);
    for listed in [json!(null), json!({"nftables": [1, {}, {"rule": 1}, {"chain": []}, {"table": "x"}]}), json!([])] {
        assert!(!redirect.differences(&listed).is_empty());
        assert_eq!(super::counted(&listed), Counted::default());
    }
}
