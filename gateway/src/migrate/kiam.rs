//! kiam: an agent on each node and a server somewhere, which become one process.

use std::time::Duration;

use super::{
    allow::{self, Withheld},
    changes,
    conversion::{Conversion, Entry},
    flags::{
        Becomes::{Lost, NotNeeded, Rule},
        Flag, switch, value,
    },
    notes::Note,
    rules::{self, PluginConfig},
    settings::Settings,
};
use crate::config::quote;

pub(super) const FLAGS: &[Flag] = &[
    value("port", Rule),
    value("prometheus-listen-addr", Rule),
    value("prometheus-sync-interval", NotNeeded("metrics are counted as they happen")),
    value("pprof-listen-addr", NotNeeded("it is for Go's own profiler")),
    switch("json-log", Rule),
    value("level", Rule),
    value("kubeconfig", Rule),
    value("sync", NotNeeded("the roster follows the API server's watches, and relists when one ends")),
    value("role-base-arn", Rule),
    switch("role-base-arn-autodetect", Rule),
    switch("disable-strict-namespace-regexp", Rule),
    value("session", Rule),
    value("session-duration", Rule),
    value("session-refresh", NotNeeded("credentials are renewed at half of their lifetime")),
    value("assume-role-arn", Rule),
    value("region", Rule),
    switch("iptables", Rule),
    switch("iptables-remove", NotNeeded("the redirect always stays; `metagate intercept uninstall` removes it")),
    value("host-interface", Rule),
    value("host", Rule),
    switch(
        "allow-ip-query",
        Lost("a caller's address is never taken from its request", "use `metagate explain --pod NAMESPACE/NAME`"),
    ),
    value("allow-route-regexp", Rule),
    value("whitelist-route-regexp", Rule),
    value("bind", NotNeeded(ONE_PROCESS)),
    value("grpc-keepalive-time-duration", NotNeeded(ONE_PROCESS)),
    value("grpc-keepalive-timeout-duration", NotNeeded(ONE_PROCESS)),
    value("grpc-max-connection-idle-duration", NotNeeded(ONE_PROCESS)),
    value("grpc-max-connection-age-duration", NotNeeded(ONE_PROCESS)),
    value("grpc-max-connection-age-grace-duration", NotNeeded(ONE_PROCESS)),
    switch("grpc-keepalive-permit-without-stream", NotNeeded(ONE_PROCESS)),
    value("server-address", NotNeeded(ONE_PROCESS)),
    value("server-address-refresh", NotNeeded(ONE_PROCESS)),
    value("gateway-timeout-creation", NotNeeded(ONE_PROCESS)),
    value("timeout", NotNeeded(ONE_PROCESS)),
    value("cert", NotNeeded(NO_TLS)),
    value("key", NotNeeded(NO_TLS)),
    value("ca", NotNeeded(NO_TLS)),
    value("fetchers", Rule),
    value(
        "prefetch-buffer-size",
        NotNeeded("each node fetches for its own pods, once for each role, and drops no fetch"),
    ),
];

const ONE_PROCESS: &str = "agent and server are one process, without gRPC between them";
const NO_TLS: &str = "one process needs no TLS between its parts; the certificates are no longer needed";

/// kiam's default and minimum.
const SESSION: Duration = Duration::from_secs(15 * 60);

pub(super) fn convert(settings: &Settings, conversion: &mut Conversion) {
    listeners(settings, conversion);
    logs(settings, conversion);
    roles(settings, conversion);
    plugins(settings, conversion);
    sessions(settings, conversion);
    metadata(settings, conversion);
    rules::interception(conversion, settings, "kiam", "host");
    rules::kubeconfig(conversion, settings);
    rules::sdk_environment(conversion, settings, settings.get("region").filter(|region| !region.is_empty()));
    changes::of_kiam(settings, conversion);
}

fn listeners(settings: &Settings, conversion: &mut Conversion) {
    match settings.get("port") {
        Some(port) => conversion.set("--port", "pods.listen", format!("0.0.0.0:{port}"), ""),
        None if settings.has_part("agent") => conversion.entries.push(Entry::new(
            "pods.listen",
            "0.0.0.0:3100",
            "The default of kiam's --port. Network policies may name it.",
        )),
        None => {}
    }
    match settings.get("prometheus-listen-addr") {
        Some("") => {
            conversion.note(Note::not_needed("--prometheus-listen-addr", "it is empty; admin.listen has /metrics"))
        }
        Some(address) => {
            let comment = "Unless this is a loopback address, pods can reach the metrics and the state too. With the \
                           default, 127.0.0.1:9620, only the node can.";
            conversion.set("--prometheus-listen-addr", "admin.listen", socket(address), comment);
        }
        None => {}
    }
}

/// Go reads `:9620` as all addresses, and accepts names.
fn socket(written: &str) -> String {
    match written.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => written.to_owned(),
    }
}

fn logs(settings: &Settings, conversion: &mut Conversion) {
    if let Some(json) = settings.switch("json-log") {
        conversion.set("--json-log", "telemetry.log_format", if json { "json" } else { "text" }, "");
    }
    if let Some(level) = settings.get("level") {
        rules::log_level(conversion, "--level", level);
    }
}

fn roles(settings: &Settings, conversion: &mut Conversion) {
    let detects = settings.is_on("role-base-arn-autodetect");
    match settings.get("role-base-arn") {
        Some("") => conversion.note(Note::not_needed("--role-base-arn", "it is empty")),
        Some(_) if detects => {
            conversion.note(Note::not_needed("--role-base-arn", "--role-base-arn-autodetect overrides it"));
        }
        Some(base) => rules::base_role_arn(conversion, "--role-base-arn", base),
        None => {}
    }
    if settings.switch("role-base-arn-autodetect").is_some() {
        let why = if detects { "base_role_arn = \"auto\" is the default" } else { "it is off" };
        conversion.note(Note::not_needed("--role-base-arn-autodetect", why));
    }
    match settings.get("assume-role-arn") {
        Some("") => conversion.note(Note::not_needed("--assume-role-arn", "it is empty")),
        Some(role) => {
            let comment = "Assumed first; it then assumes the pods' roles, whose trust policies stay as they are.";
            conversion.set("--assume-role-arn", "credentials.assume_role_arn", role, comment);
        }
        None => {}
    }
    match settings.get("region") {
        Some("") => conversion.note(Note::not_needed("--region", "it is empty; the node's own region is used")),
        Some(region) => conversion.set("--region", "credentials.region", region, ""),
        None => {}
    }
    if let Some(fetchers) = settings.get("fetchers") {
        match fetchers.parse::<i64>() {
            Ok(number) => conversion.set("--fetchers", "credentials.concurrent_fetches", number, "For each node."),
            Err(_) => conversion.note(Note::lost("--fetchers", format!("{} is not a number", quote(fetchers)), "")),
        }
    }
}

fn plugins(settings: &Settings, conversion: &mut Conversion) {
    let comment = "kiam adds this prefix to the session names that pods choose; trust policies may check it.";
    let annotations: PluginConfig = vec![("session_name_prefix", "kiam-".into(), comment.to_owned())];
    let is_v3 = settings.get("whitelist-route-regexp").is_some()
        || settings.tag.as_deref().is_some_and(|tag| tag.trim_start_matches('v').starts_with("3."));
    let dialect = if is_v3 {
        let comment = "kiam v3 matches the role as the pod wrote it; v4 matches its whole ARN.";
        ("dialect", "kiam-v3".into(), comment.to_owned())
    } else {
        ("dialect", "kiam-v4".into(), "Matches the role's whole ARN. For kiam v3 write \"kiam-v3\".".to_owned())
    };
    let comment = "kube2iam's annotation, which kiam does not read.";
    rules::plugins(
        conversion,
        "kiam",
        annotations,
        vec![dialect, ("allowed_roles_key", "".into(), comment.to_owned())],
    );
    match settings.switch("disable-strict-namespace-regexp") {
        Some(true) => conversion.note(Note::lost(
            "--disable-strict-namespace-regexp",
            "an expression must always match the whole ARN",
            "widen namespaces' iam.amazonaws.com/permitted: write `.*web.*` instead of `web`",
        )),
        Some(false) => conversion.note(Note::not_needed("--disable-strict-namespace-regexp", "it is off")),
        None => {}
    }
}

fn sessions(settings: &Settings, conversion: &mut Conversion) {
    match settings.get("session") {
        Some(name) => {
            // The name is plain text here, not a template; kiam replaces each character that STS refuses by a dash.
            let clean = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
            let name = if rules::is_reference(name) { name.to_owned() } else { name.chars().map(clean).collect() };
            let comment = "kiam adds the prefix kiam-. All pods share this name; \"kiam-{namespace}.{pod}\" tells \
                           them apart in CloudTrail, if no trust policy asks for the exact name.";
            conversion.set("--session", "credentials.session_name", format!("kiam-{name}"), comment);
        }
        None => conversion.entries.push(Entry::new(
            "credentials.session_name",
            "kiam-{namespace}.{pod}",
            "kiam names all sessions kiam-kiam. The prefix stays for trust policies that check it; a policy that asks \
             for the exact name needs \"kiam-kiam\" here.",
        )),
    }
    let Some(written) = settings.get("session-duration") else { return };
    let Some(length) = rules::duration(conversion, "--session-duration", written) else { return };
    if length == SESSION {
        let why = "it is kiam's default; Metagate's sessions last 1h, which every role allows: below 15m botocore and \
                   Java's SDK renew at each call";
        return conversion.note(Note::not_needed("--session-duration", why));
    }
    rules::session(conversion, "--session-duration", length, "");
}

fn metadata(settings: &Settings, conversion: &mut Conversion) {
    let flags = ["allow-route-regexp", "whitelist-route-regexp"];
    let given = flags.into_iter().find_map(|flag| Some((flag, settings.get(flag)?)));
    if let [Some(_), Some(_)] = flags.map(|flag| settings.get(flag)) {
        let why = "--allow-route-regexp, its later name, overrides it";
        conversion.note(Note::not_needed("--whitelist-route-regexp", why));
    }
    let Some((flag, expression)) = given else {
        if settings.has_part("agent") {
            let comment = "kiam passes nothing on without --allow-route-regexp. Metagate's default is what SDKs ask for: \
                           remove this line to use it.";
            conversion.entries.push(Entry::new("imds.allow", rules::list([]), comment));
        }
        return;
    };
    let about = format!("--{flag}");
    let Some(admitted) = allow::admitted(expression).filter(|_| !rules::is_reference(expression)) else {
        let instead = "name catalogue entries in imds.allow; nothing is passed on until then";
        conversion.note(Note::lost(about, format!("{} is not a valid regular expression", quote(expression)), instead));
        conversion.entries.push(Entry::new("imds.allow", rules::list([]), ""));
        return;
    };
    let comment = "The paths of the metadata service that the expression matches.";
    conversion.set(&about, "imds.allow", rules::list(admitted.entries.iter().map(String::as_str)), comment);
    if admitted.entries.is_empty() && expression != "^$" {
        let text = format!("{} matches no path that can be passed on", quote(expression));
        let instead = "credentials are never passed on, and single tags only by the entry `tags`";
        conversion.note(Note::lost(about.clone(), text, instead));
    }
    for kind in admitted.withheld {
        let (text, instead) = match kind {
            Withheld::UserData => (
                "the expression admits user-data, which often holds secrets and is not passed on by default",
                "add \"user-data\" to imds.allow where pods read it",
            ),
            Withheld::Signatures => (
                "the expression admits the signatures of the instance identity document, which prove the node to others \
                 and are not passed on by default",
                "add \"dynamic/instance-identity\" to imds.allow where pods need them",
            ),
        };
        let is_meant = kind.is_meant_by(expression);
        let about = about.clone();
        conversion.note(if is_meant { Note::lost(about, text, instead) } else { Note::change(about, text, instead) });
    }
}
