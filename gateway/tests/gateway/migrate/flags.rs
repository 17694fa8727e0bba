//! The peers' flags, one by one and at random.

use metagate::catalogue::AllowList;
use proptest::prelude::*;

use super::*;

/// Every flag in either peer's documentation and code, with a value; `-` for switches. The list comes from the peers,
/// not from the gateway's own table.
const KUBE2IAM: &str = "app-port=8282 metrics-port=9543 log-format=text log-level=debug verbose=- version=-
    kubeconfig=/k api-server=https://a api-token=hunter2 insecure=- node=n cache-resync-period=10m
    base-role-arn=arn:aws:iam::123456789012:role/ auto-discover-base-arn=- default-role=guest
    auto-discover-default-role=- iam-role-key=e/r iam-external-id=e/x namespace-key=e/n namespace-restrictions=-
    namespace-restriction-format=regexp iam-role-session-ttl=40m iam-role-error-ttl=1m use-regional-sts-endpoint=-
    metadata-addr=10.0.0.1 iptables=- host-interface=eni+ host-ip=10.0.0.1 resolve-duplicate-cache-ips=-
    backoff-max-interval=1s backoff-max-elapsed-time=2s debug=-";
const KIAM: &str =
    "port=8282 prometheus-listen-addr=:9999 prometheus-sync-interval=5s pprof-listen-addr=:6060 json-log=-
    level=debug kubeconfig=/k sync=1m role-base-arn=arn:aws:iam::123456789012:role/ role-base-arn-autodetect=-
    disable-strict-namespace-regexp=- session=s session-duration=40m session-refresh=5m
    assume-role-arn=arn:aws:iam::123456789012:role/kiam region=eu-west-1 iptables=- iptables-remove=- host-interface=eni+
    host=10.0.0.1 allow-ip-query=- allow-route-regexp=placement whitelist-route-regexp=placement bind=:443
    grpc-keepalive-time-duration=10s grpc-keepalive-timeout-duration=2s grpc-max-connection-idle-duration=15m
    grpc-max-connection-age-duration=15m grpc-max-connection-age-grace-duration=15m
    grpc-keepalive-permit-without-stream=- server-address=s:443 server-address-refresh=0s gateway-timeout-creation=1s
    timeout=1s cert=c key=k ca=a fetchers=9 prefetch-buffer-size=9";

fn known(peer: Peer) -> Vec<(&'static str, Option<&'static str>)> {
    let text = match peer {
        Peer::Kube2iam => KUBE2IAM,
        Peer::Kiam => KIAM,
    };
    let flags = text.split_whitespace().map(|flag| flag.split_once('=').unwrap());
    flags.map(|(name, value)| (name, Some(value).filter(|value| *value != "-"))).collect()
}

/// Whether the whole name stands in a comment of the configuration or at the head of a note.
fn is_mentioned(name: &str, Migration { config, notes }: &Migration) -> bool {
    let flag = format!("--{name}");
    let words = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == flag);
    config.lines().filter(|line| line.starts_with('#')).any(words) || notes.iter().any(|note| words(&note.about))
}

#[test]
fn no_flag_of_either_peer_is_unknown_or_ignored_whatever_its_value() {
    for peer in PEERS {
        for (name, value) in known(peer) {
            let forms: Vec<Vec<String>> = match value {
                Some(value) => [value, "", "$(ELSEWHERE)", "{odd\u{1b}}"]
                    .into_iter()
                    .flat_map(|value| [vec![format!("--{name}={value}")], vec![format!("--{name}"), value.to_owned()]])
                    .collect(),
                None => ["", "=true", "=false"].map(|value| vec![format!("--{name}{value}")]).into(),
            };
            for form in forms {
                let migration = of_flags(peer, &form);
                loaded(&migration.config);
                assert!(is_mentioned(name, &migration), "{form:?}\n{}{}", migration.config, migration.notes);
                let unknown = migration.notes.iter().any(|note| note.text.contains("is not a flag"));
                assert!(!unknown, "{form:?}");
            }
        }
    }
}

#[test]
fn a_flag_that_the_configuration_refuses_is_lost_with_its_reason() {
    for (peer, flag, reason) in [
        (Peer::Kube2iam, "--app-port=x", "pods.listen: expected IP:PORT, found \"0.0.0.0:x\""),
        (Peer::Kube2iam, "--base-role-arn=nobody", "credentials.base_role_arn: \"nobody\" is not of the form"),
        (Peer::Kube2iam, "--iam-role-session-ttl=24h", "expected 15m to 12h, found 2days"),
        (
            Peer::Kube2iam,
            "--metadata-addr=localhost:8181",
            "imds.endpoint (http://localhost:8181) is the gateway's own",
        ),
        (Peer::Kiam, "--region=Europe", "credentials.region: expected a region"),
        (Peer::Kiam, "--fetchers=1000", "credentials.concurrent_fetches: expected 1 to 256, found 1000"),
    ] {
        let Migration { config, notes } = of_flags(peer, &[flag]);
        let note = notes.iter().find(|note| note.kind == Kind::Lost).unwrap_or_else(|| panic!("{flag}\n{config}"));
        assert!(note.text.contains(reason), "{flag}: {}", note.text);
        assert!(!notes.is_complete());
    }
}

#[test]
fn what_was_asked_for_is_in_force() {
    let config = |peer, flags: &[&str]| loaded(&of_flags(peer, flags).config);
    let kube2iam = config(Peer::Kube2iam, &["--iam-role-session-ttl", "10m", "--app-port=1", "--metrics-port", "2"]);
    assert_eq!(kube2iam.credentials.session_duration.as_secs(), 20 * 60);
    assert_eq!(kube2iam.credentials.min_remaining.as_secs(), 6 * 60);
    assert_eq!(kube2iam.pods.listen.port(), 1);
    assert_eq!(kube2iam.plugins[1].config["missing"], "allow");
    let restricted = config(Peer::Kube2iam, &["--namespace-restrictions", "--namespace-restriction-format=Regexp"]);
    assert_eq!(restricted.plugins[1].config.get("missing"), None);
    assert_eq!(restricted.plugins[1].config["dialect"], "kube2iam-regexp");
    let kiam = config(Peer::Kiam, &["--no-json-log", "--session=a b"]);
    assert_eq!(kiam.telemetry.log_format, metagate::config::LogFormat::Text);
    assert_eq!(kiam.credentials.session_name, "kiam-a-b".parse().unwrap());
    assert_eq!(Ok(kiam.imds.allow), AllowList::parse(&[]));
}

#[test]
fn a_similar_flag_is_suggested_and_the_value_of_an_unknown_flag_is_not_printed() {
    let Migration { config, notes } =
        of_flags(Peer::Kube2iam, &["--ap-port=hunter2", "--passwrod", "hunter2", "hunter2", "-phunter2", "--ap-port"]);
    let text = notes.to_string();
    assert!(text.contains("did you mean --app-port?"), "{text}");
    assert!(!text.contains("hunter2") && !config.contains("hunter2"), "{text}");
}

#[test]
fn a_value_that_looks_like_the_programs_name_hides_no_flag() {
    for flags in [
        ["--port=8282", "--assume-role-arn=arn:aws:iam::123456789012:role/kiam"].as_slice(),
        &["--port=8282", "--session", "kiam"],
        &["/usr/bin/kiam", "agent", "--port=8282", "--session", "/kiam"],
        &["tini", "-s", "--", "kiam", "--port", "8282"],
    ] {
        let migration = of_flags(Peer::Kiam, flags);
        assert_eq!(loaded(&migration.config).pods.listen.port(), 8282, "{flags:?}");
        assert!(migration.notes.is_complete(), "{flags:?}\n{}", migration.notes);
    }
}

#[test]
fn only_kiam_has_negated_switches_and_parts() {
    let lost = |peer, flags: &[&str]| of_flags(peer, flags).notes.iter().filter(|note| note.kind == Kind::Lost).count();
    assert_eq!(lost(Peer::Kiam, &["agent", "--no-iptables", "server", "--no-json-log"]), 0);
    assert_eq!(lost(Peer::Kiam, &["--no-session=x"]), 1);
    assert_eq!(lost(Peer::Kube2iam, &["--no-iptables"]), 1);
    assert_eq!(lost(Peer::Kube2iam, &["agent"]), 1);
}

/// Command lines that are almost valid.
fn a_command_line(peer: Peer) -> impl Strategy<Value = Vec<String>> {
    let known = known(peer);
    let values: Vec<&str> = known.iter().filter_map(|(_, value)| *value).chain(["", "true", "0s", "$(A)"]).collect();
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let flag = (prop::sample::select(names), prop::sample::select(values), "(no-)?", 0..4);
    let nearly = flag.prop_map(|(name, value, no, form)| match form {
        0 => vec![format!("--{name}")],
        1 => vec![format!("--{name}"), value.to_owned()],
        2 => vec![format!("--{no}{name}={value}")],
        _ => vec![value.to_owned()],
    });
    let odd = "\\PC{0,8}|--[a-z-]{0,6}=?\\PC{0,4}|agent|server|--|-".prop_map(|word| vec![word]);
    prop::collection::vec(prop_oneof![6 => nearly, 1 => odd], 0..12).prop_map(|parts| parts.concat())
}

proptest! {

    #[test]
    fn whatever_the_flags_the_configuration_is_right(
        kube2iam in a_command_line(Peer::Kube2iam), kiam in a_command_line(Peer::Kiam)
    ) {
        for (peer, flags) in [(Peer::Kube2iam, &kube2iam), (Peer::Kiam, &kiam)] {
            let migration = of_flags(peer, flags);
            loaded(&migration.config);
            for name in known(peer).iter().map(|(name, _)| *name) {
                let given = flags.iter().any(|flag| flag.strip_prefix("--").is_some_and(|flag| flag.split('=').next() == Some(name)));
                // A flag in the place of a value is that value.
                let is_value = flags.windows(2).any(|pair| pair[1].split('=').next() == Some(&format!("--{name}"))
                    && pair[0].starts_with("--") && !pair[0].contains('='));
                prop_assert!(!given || is_value || is_mentioned(name, &migration), "{} {:?}", name, flags);
            }
        }
    }

    #[test]
    fn a_manifest_says_what_its_flags_say(
        flags in a_command_line(Peer::Kube2iam), at in any::<prop::sample::Index>(), literal in any::<bool>()
    ) {
        // The first argument must be a flag, or it could be taken for the program.
        let flags = [vec!["--verbose".to_owned()], flags].concat();
        // `$$` is one dollar in a manifest, and two on a command line.
        prop_assume!(!flags.iter().any(|flag| flag.contains("$$")));
        let at = at.index(flags.len() + 1);
        let mut command = vec!["/bin/kube2iam".to_owned()];
        command.extend_from_slice(&flags[..at]);
        let (value, args): (&str, Vec<String>) = if literal {
            // A variable stands for its value.
            ("--verbose", std::iter::once("$(FLAG)".to_owned()).chain(flags[at..].to_vec()).collect())
        } else {
            ("", flags[at..].to_vec())
        };
        let container = serde_json::json!({"name": "a", "image": "b", "command": command, "args": args,
            "env": [{"name": "FLAG", "value": value}]});
        let pod = serde_json::json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}});
        let manifest = serde_json::json!({"kind": "PodList", "items": [pod]}).to_string();
        let mut flags = flags;
        if literal {
            flags.insert(at, "--verbose".to_owned());
        }
        let (one, other) = (migrate(Peer::Kube2iam, Input::Manifest(&manifest)).unwrap(), of_flags(Peer::Kube2iam, &flags));
        prop_assert_eq!(one.config, other.config);
        prop_assert_eq!(one.notes.to_string(), other.notes.to_string());
    }

    #[test]
    fn no_manifest_panics(text in "\\PC{0,60}|(kind: |List|\n|items:|- |  |\\{|\\[|&a |\\*a|image: |kube2iam|spec:|containers:|---\n|args: ){0,30}") {
        for peer in PEERS {
            let _ = migrate(peer, Input::Manifest(&text));
        }
    }
}
