//! What both peers have in common.

use std::{collections::BTreeMap, time::Duration};

use toml_edit::{Array, Value};

use super::{
    conversion::{Conversion, Entry, PluginTable},
    notes::Note,
    settings::Settings,
};
use crate::{config::quote, role::BaseArn};

/// Filled in by Kubernetes, not by us.
pub(super) const HOST_IP: &str = "$(HOST_IP)";
pub(super) const NODE_NAME: &str = "$(NODE_NAME)";

/// `$(NAME)` as Kubernetes fills it in: `$$` is a dollar sign, and an unknown name stays as it is.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, Option<String>>) -> String {
    let mut expanded = String::new();
    let mut remaining = text;
    while let Some((before, after)) = remaining.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(tail), _) => {
                expanded.push('$');
                remaining = tail;
            }
            (None, Some((name, tail))) => {
                match variables.get(name).and_then(Option::as_deref) {
                    Some(value) => expanded.push_str(value),
                    None => expanded.extend(["$(", name, ")"]),
                }
                remaining = tail;
            }
            (None, None) => {
                expanded.push('$');
                remaining = after;
            }
        }
    }
    expanded + remaining
}

pub(super) fn is_reference(text: &str) -> bool {
    text.split_once("$(").is_some_and(|(_, rest)| rest.contains(')'))
}

/// The environment variable that overrides a key of the file.
pub(super) fn env_variable(section: &str, key: &str) -> String {
    format!("METAGATE_{}__{}", section.to_ascii_uppercase(), key.to_ascii_uppercase())
}

/// A duration as Go writes it, in the forms that people use: `15m`, `1h30m0s`. Anything else becomes a note.
pub(super) fn duration(conversion: &mut Conversion, flag: &str, written: &str) -> Option<Duration> {
    let read = humantime::parse_duration(written).ok();
    if read.is_none() {
        conversion.note(Note::lost(flag, format!("{} is not a duration", quote(written)), "write it as 15m or 1h30m"));
    }
    read
}

pub(super) fn base_role_arn(conversion: &mut Conversion, flag: &str, written: &str) {
    // Written in the form that is used: with its closing slash.
    let normal = written.parse::<BaseArn>().map_or_else(|_| written.to_owned(), |base| base.as_str().to_owned());
    conversion.set(flag, "credentials.base_role_arn", normal, "The prefix of a role's short name.");
}

/// logrus' levels, which both peers have.
pub(super) fn log_level(conversion: &mut Conversion, flag: &str, written: &str) {
    let level = match written.to_ascii_lowercase().as_str() {
        "panic" | "fatal" => "error".to_owned(),
        "warning" => "warn".to_owned(),
        other => other.to_owned(),
    };
    conversion.set(flag, "telemetry.log_level", level, "");
}

/// A session's duration, and a `min_remaining` that fits it.
pub(super) fn session(conversion: &mut Conversion, flag: &str, length: Duration, comment: &str) {
    let show = |duration: Duration| humantime::format_duration(duration).to_string();
    let comment = format!("From {flag}. {comment} A role whose own maximum is lower gets 1h.");
    let mut entries = vec![Entry::new("credentials.session_duration", show(length), comment)];
    // Renewal starts at half of the lifetime, so min_remaining is less; a third leaves room for a slow STS.
    if length < Duration::from_secs(3600) {
        let floor = Duration::from_secs(length.as_secs() / 3 / 60 * 60);
        let comment = "A third of session_duration, as renewal starts at half of the lifetime. botocore renews at \
                       each call below 15m, so sessions of less than 1h cost calls. Without these two keys sessions \
                       last 1h.";
        entries.push(Entry::new("credentials.min_remaining", show(floor), comment));
    }
    conversion.set_all(flag, entries);
}

/// The node's redirect: a switch, an interface, an address.
pub(super) fn interception(conversion: &mut Conversion, settings: &Settings, peer: &str, host: &str) {
    let is_on = settings.is_on("iptables");
    if settings.switch("iptables").is_some() {
        let why = if is_on {
            "`metagate intercept install` installs the node's redirect, in a container of its own"
        } else {
            "it is off: `metagate intercept install` replaces what redirects 169.254.169.254 to the peer now"
        };
        conversion.note(Note::not_needed("--iptables", why));
    }
    match settings.get("host-interface") {
        Some(interface) if is_on => {
            let comment = "Without this line every interface but lo is redirected, so that none can be forgotten.";
            conversion.set("--host-interface", "intercept.interfaces", list([interface]), comment);
        }
        Some(_) => conversion.note(Note::not_needed("--host-interface", "it has no effect without --iptables")),
        None if is_on => conversion.note(Note::not_needed(
            "--host-interface",
            "it was not given and so meant docker0; Metagate redirects what arrives on any interface but lo",
        )),
        None => {}
    }
    match settings.get(host) {
        Some(HOST_IP) => {
            let why = "the DaemonSet gives the node's address to `metagate intercept install --node-ip $(HOST_IP)`";
            conversion.note(Note::not_needed(format!("--{host}"), why));
        }
        Some(address) if is_on => {
            let comment = "The address of one node: right only in a file that one node reads. Otherwise remove this \
                           line and run `metagate intercept install --node-ip $(HOST_IP)`.";
            if !address.is_empty() {
                conversion.set(&format!("--{host}"), "intercept.node_ips", list([address]), comment);
            } else {
                conversion.note(Note::not_needed(format!("--{host}"), "it is empty"));
            }
        }
        Some(_) => conversion.note(Note::not_needed(format!("--{host}"), "it has no effect without --iptables")),
        None => {}
    }
    if is_on {
        conversion.note(Note::change(
            "the redirect",
            format!(
                "it stays when the gateway stops, so that pods get nothing rather than the node's role; {peer}'s \
                     own rule is left alone"
            ),
            "`metagate intercept verify` names the peer's rule; remove it once Metagate's is in place. `metagate \
             intercept uninstall` removes Metagate's",
        ));
    }
}

pub(super) fn kubeconfig(conversion: &mut Conversion, settings: &Settings) {
    match settings.get("kubeconfig") {
        None => {}
        Some("") => conversion.note(Note::not_needed("--kubeconfig", "it is empty: the cluster's own access is used")),
        Some(path) => {
            let comment = "Mount the file into Metagate's container too.";
            conversion.set("--kubeconfig", "kubernetes.kubeconfig", path, comment);
        }
    }
}

/// The AWS SDK's variables that the peer's container has. `region_flag` overrides them.
pub(super) fn sdk_environment(conversion: &mut Conversion, settings: &Settings, region_flag: Option<&str>) {
    let of = |wanted: &str| settings.env().find(|(name, _)| *name == wanted).and_then(|(_, value)| value);
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| Some((name, of(name)?)));
    match (region_flag, region) {
        (Some(_), Some((name, _))) => conversion.note(Note::not_needed(name, "--region overrides it")),
        (None, Some((name, region))) => conversion.set(name, "credentials.region", region, ""),
        (_, None) => {}
    }
    for (name, value) in settings.env().filter(|(name, _)| name.starts_with("AWS_")) {
        match (name, value) {
            ("AWS_REGION" | "AWS_DEFAULT_REGION", Some(_))
            | ("AWS_STS_REGIONAL_ENDPOINTS" | "AWS_SDK_LOAD_CONFIG", _) => {}
            ("AWS_ENDPOINT_URL_STS", Some(url)) => conversion.set(name, "credentials.sts_endpoint", url, ""),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some(url)) => conversion.set(name, "imds.endpoint", url, ""),
            (
                "AWS_ACCESS_KEY_ID"
                | "AWS_SECRET_ACCESS_KEY"
                | "AWS_SESSION_TOKEN"
                | "AWS_ROLE_ARN"
                | "AWS_WEB_IDENTITY_TOKEN_FILE",
                _,
            ) => conversion.note(Note::change(
                name,
                "Metagate reads it too, from its own environment",
                "set it in Metagate's DaemonSet from the same source",
            )),
            _ => {
                let text = "Metagate does not read this variable, or its value is not in the manifest";
                let name = quote(name);
                conversion.note(Note::lost(name.trim_matches('"'), text, "look for a key in config/metagate.toml"));
            }
        }
    }
}

/// The plugins, without irsa-fallback: a migration changes no pod's role.
pub(super) fn plugins(conversion: &mut Conversion, peer: &str, annotations: PluginConfig, namespaces: PluginConfig) {
    conversion.plugins = vec![
        PluginTable {
            builtin: "annotations",
            comment: format!(
                "Decides a pod's role as {peer} does. irsa-fallback, which gives a pod without a role the role of its \
                 service account, is left out: a migration changes no pod's role. config/irsa.toml has it."
            ),
            config: annotations,
        },
        PluginTable {
            builtin: "namespace-regex",
            comment: format!("Decides whether a pod's namespace permits that role, as {peer} does."),
            config: namespaces,
        },
    ];
}

pub(super) type PluginConfig = Vec<(&'static str, Value, String)>;

pub(super) fn list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(entries.into_iter().collect::<Array>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_filled_in_as_kubernetes_does() {
        let variables = [("A".to_owned(), Some("x".to_owned())), ("B".to_owned(), None)].into();
        for (text, expected) in [
            ("--a=$(A)$(A)", "--a=xx"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$x"),
            ("$(B) $(C)", "$(B) $(C)"),
            ("$(A", "$(A"),
            ("a$", "a$"),
            ("$A", "$A"),
        ] {
            assert_eq!(expand(text, &variables), expected);
        }
    }

    proptest! {
        #[test]
        fn without_dollars_nothing_is_filled_in(text in "[^$]{0,30}") {
            prop_assert_eq!(expand(&text, &BTreeMap::new()), text);
        }

        #[test]
        fn filling_in_is_total(text in "[$()A]{0,12}") {
            let _ = expand(&text, &[("A".to_owned(), Some("$(A)".to_owned()))].into());
        }
    }
}
