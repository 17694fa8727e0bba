//! kube2iam: one DaemonSet, every flag on it.

use std::time::Duration;

use super::{
    allow, changes,
    conversion::Conversion,
    flags::{
        Becomes::{Lost, NotNeeded, Rule},
        Flag, switch, value,
    },
    notes::Note,
    rules::{self, NODE_NAME, PluginConfig},
    settings::Settings,
};

pub(super) const FLAGS: &[Flag] = &[
    value("app-port", Rule),
    value("metrics-port", Rule),
    value("log-format", Rule),
    value("log-level", Rule),
    switch("verbose", Rule),
    switch("version", NotNeeded("`metagate --version` prints it")),
    value("kubeconfig", Rule),
    value("api-server", Lost("Metagate takes no API server on the command line", KUBECONFIG)),
    value("api-token", Lost("a token on the command line is readable by everybody on the node", KUBECONFIG)),
    switch("insecure", Lost("Metagate always checks the API server's certificate", KUBECONFIG)),
    value("node", Rule),
    value("cache-resync-period", NotNeeded("the roster follows the API server's watches, and relists when one ends")),
    value("base-role-arn", Rule),
    switch("auto-discover-base-arn", Rule),
    value("default-role", Rule),
    switch(
        "auto-discover-default-role",
        Lost(
            "no pod gets the node's own role just because it names none",
            "name a role for such pods in policy.default_role; the base ARN is still discovered",
        ),
    ),
    value("iam-role-key", Rule),
    value("iam-external-id", Rule),
    value("namespace-key", Rule),
    switch("namespace-restrictions", Rule),
    value("namespace-restriction-format", Rule),
    value("iam-role-session-ttl", Rule),
    value("iam-role-error-ttl", NotNeeded("failures of STS are always cached, each class for its own time")),
    switch(
        "use-regional-sts-endpoint",
        NotNeeded("kube2iam no longer reads it; Metagate always calls a regional endpoint of STS"),
    ),
    value("metadata-addr", Rule),
    switch("iptables", Rule),
    value("host-interface", Rule),
    value("host-ip", Rule),
    switch(
        "resolve-duplicate-cache-ips",
        NotNeeded("pods are identified by their UID; two live pods on one address get nothing until one is gone"),
    ),
    value("backoff-max-interval", NotNeeded("a request waits for a change of the roster and does not poll")),
    value("backoff-max-elapsed-time", Rule),
    switch("debug", NotNeeded("the admin listener always has /api/v1/state; pods cannot reach it")),
];

const KUBECONFIG: &str =
    "in the cluster nothing is needed; elsewhere write a kubeconfig and name it in [kubernetes] kubeconfig";

/// kube2iam's default, and how long it caches credentials.
const SESSION_TTL: Duration = Duration::from_secs(15 * 60);
/// STS gives no shorter session.
const SESSION_MIN: Duration = Duration::from_secs(15 * 60);

pub(super) fn convert(settings: &Settings, conversion: &mut Conversion) {
    listeners(settings, conversion);
    logs(settings, conversion);
    node(settings, conversion);
    roles(settings, conversion);
    plugins(settings, conversion);
    session(settings, conversion);
    metadata(settings, conversion);
    rules::interception(conversion, settings, "kube2iam", "host-ip");
    rules::kubeconfig(conversion, settings);
    rules::sdk_environment(conversion, settings, None);
    changes::of_kube2iam(settings, conversion);
}

fn listeners(settings: &Settings, conversion: &mut Conversion) {
    let app = settings.get("app-port");
    if let Some(port) = app {
        conversion.set("--app-port", "pods.listen", format!("0.0.0.0:{port}"), "");
    }
    match settings.get("metrics-port") {
        Some(port) if port == app.unwrap_or("8181") => conversion.note(Note::not_needed(
            "--metrics-port",
            "it is the pods' port, where Metagate serves no metrics: admin.listen serves them",
        )),
        Some(port) => {
            let comment = "All addresses, so that Prometheus can connect from elsewhere: pods can then reach the \
                           metrics and the state too. With the default, 127.0.0.1:9620, only the node can.";
            conversion.set("--metrics-port", "admin.listen", format!("0.0.0.0:{port}"), comment);
        }
        None => {}
    }
}

fn logs(settings: &Settings, conversion: &mut Conversion) {
    if let Some(format) = settings.get("log-format") {
        conversion.set("--log-format", "telemetry.log_format", format, "");
    }
    let verbose = settings.is_on("verbose");
    if let Some(level) = settings.get("log-level") {
        if verbose {
            conversion.note(Note::not_needed("--log-level", "--verbose overrides it"));
        } else {
            rules::log_level(conversion, "--log-level", level);
        }
    }
    match settings.switch("verbose") {
        Some(true) => rules::log_level(conversion, "--verbose", "debug"),
        Some(false) => conversion.note(Note::not_needed("--verbose", "it is off")),
        None => {}
    }
}

fn node(settings: &Settings, conversion: &mut Conversion) {
    match settings.get("node") {
        Some(NODE_NAME | "") => {
            conversion.note(Note::not_needed("--node", "Metagate reads NODE_NAME, which its DaemonSet sets"));
        }
        Some(name) => {
            let comment = "The name of one node: right only in a file that one node reads. Otherwise remove this \
                           line: the DaemonSet sets NODE_NAME.";
            conversion.set("--node", "roster.node", name, comment);
        }
        None => {}
    }
    if let Some(longest) = settings.get("backoff-max-elapsed-time")
        && rules::duration(conversion, "--backoff-max-elapsed-time", longest).is_some()
    {
        let comment = "How long a request waits for its pod to appear. botocore gives up after 1s, so more than 800ms, \
                       the default, helps other SDKs only.";
        conversion.set("--backoff-max-elapsed-time", "roster.wait", longest, comment);
    }
}

fn roles(settings: &Settings, conversion: &mut Conversion) {
    let discovers = settings.is_on("auto-discover-base-arn");
    match settings.get("base-role-arn") {
        Some("") => conversion.note(Note::not_needed("--base-role-arn", "it is empty")),
        Some(base) => rules::base_role_arn(conversion, "--base-role-arn", base),
        None => {}
    }
    if settings.switch("auto-discover-base-arn").is_some() {
        let why = match (discovers, settings.get("base-role-arn")) {
            (true, Some(base)) if !base.is_empty() => {
                "--base-role-arn overrides it; kube2iam refuses to start with both"
            }
            (true, _) => "base_role_arn = \"auto\" is the default",
            (false, _) => "it is off",
        };
        conversion.note(Note::not_needed("--auto-discover-base-arn", why));
    }
    match settings.get("default-role") {
        Some("") => conversion.note(Note::not_needed("--default-role", "it is empty")),
        Some(role) => {
            let comment = "For pods that name no role; the namespace must permit it, like any other role.";
            conversion.set("--default-role", "policy.default_role", role, comment);
        }
        None => {}
    }
}

fn plugins(settings: &Settings, conversion: &mut Conversion) {
    let mut annotations = PluginConfig::new();
    let keys = [
        ("iam-role-key", "role_key", "iam.amazonaws.com/role"),
        ("iam-external-id", "external_id_key", "iam.amazonaws.com/external-id"),
    ];
    for (flag, key, default) in keys {
        annotations.extend(annotation_key(settings, conversion, flag, key, default));
    }
    let comment = "kube2iam has no annotation for the session's name. Remove this line to read \
                   iam.amazonaws.com/session-name.";
    annotations.push(("session_name_key", "".into(), comment.to_owned()));
    let mut namespaces = vec![dialect(settings, conversion)];
    namespaces.extend(annotation_key(
        settings,
        conversion,
        "namespace-key",
        "allowed_roles_key",
        "iam.amazonaws.com/allowed-roles",
    ));
    namespaces.push(("permitted_key", "".into(), "kiam's annotation, which kube2iam does not read.".to_owned()));
    if settings.is_on("namespace-restrictions") {
        let why = "restrictions are always on: `missing = \"deny\"` is the plugin's default";
        conversion.note(Note::not_needed("--namespace-restrictions", why));
    } else {
        let comment = "WARNING: without --namespace-restrictions any pod may have any role that the node may assume. \
                       This line keeps it so for namespaces without the annotation. Annotate them, then remove it.";
        namespaces.push(("missing", "allow".into(), comment.to_owned()));
        if settings.switch("namespace-restrictions").is_some() {
            let why = "it is off, which is `missing = \"allow\"` of the plugin";
            conversion.note(Note::not_needed("--namespace-restrictions", why));
        }
    }
    rules::plugins(conversion, "kube2iam", annotations, namespaces);
}

fn dialect(settings: &Settings, conversion: &mut Conversion) -> (&'static str, toml_edit::Value, String) {
    const FLAG: &str = "--namespace-restriction-format";
    let format = settings.get("namespace-restriction-format");
    // The value's case does not matter; every other value means glob.
    if format.is_some_and(|format| format.eq_ignore_ascii_case("regexp")) {
        return ("dialect", "kube2iam-regexp".into(), format!("From {FLAG}."));
    }
    match format {
        Some(format) if format.eq_ignore_ascii_case("glob") => {
            ("dialect", "kube2iam-glob".into(), format!("From {FLAG}."))
        }
        Some(_) => {
            conversion.note(Note::lost(
                FLAG,
                "is neither glob nor regexp",
                "kube2iam treats it as glob, and so does this configuration",
            ));
            ("dialect", "kube2iam-glob".into(), String::new())
        }
        None => ("dialect", "kube2iam-glob".into(), String::new()),
    }
}

/// Kubernetes, "Annotations": a prefix of 253 characters, a slash, a name of 63.
const ANNOTATION_KEY_MAX: usize = 253 + 1 + 63;

/// The plugin's key, where the flag names another annotation than the default one.
fn annotation_key(
    settings: &Settings,
    conversion: &mut Conversion,
    flag: &'static str,
    key: &'static str,
    default: &str,
) -> Option<(&'static str, toml_edit::Value, String)> {
    let about = format!("--{flag}");
    let written = settings.get(flag)?;
    if written == default {
        conversion.note(Note::not_needed(about, format!("it is the plugin's default {key}")));
        return None;
    }
    let is_key = (1..=ANNOTATION_KEY_MAX).contains(&written.len()) && !written.contains('*');
    if !is_key || rules::is_reference(written) {
        conversion.note(Note::lost(
            about,
            "is not the key of an annotation",
            format!("write its whole key into {key} of the plugin"),
        ));
        return None;
    }
    Some((key, written.into(), format!("From {about}.")))
}

fn session(settings: &Settings, conversion: &mut Conversion) {
    const FLAG: &str = "--iam-role-session-ttl";
    let Some(written) = settings.get("iam-role-session-ttl") else { return };
    let Some(ttl) = rules::duration(conversion, FLAG, written) else { return };
    if ttl == SESSION_TTL {
        let why = "it is kube2iam's default; Metagate's sessions last 1h, which every role allows, and SDKs renew them \
                   less often";
        return conversion.note(Note::not_needed(FLAG, why));
    }
    let length = ttl.saturating_mul(2).max(SESSION_MIN);
    rules::session(conversion, FLAG, length, "kube2iam asks STS for twice the time that it keeps credentials.");
}

fn metadata(settings: &Settings, conversion: &mut Conversion) {
    match settings.get("metadata-addr") {
        Some("") => conversion.note(Note::not_needed("--metadata-addr", "it is empty")),
        Some(address) => {
            let comment = "kube2iam also redirected this address; Metagate redirects 169.254.169.254 and \
                           fd00:ec2::254.";
            conversion.set("--metadata-addr", "imds.endpoint", format!("http://{address}"), comment);
        }
        None => {}
    }
    let everything = allow::admitted(".*").map(|admitted| admitted.entries).unwrap_or_default();
    let entry = super::conversion::Entry::new(
        "imds.allow",
        rules::list(everything.iter().map(String::as_str)),
        "kube2iam passes on everything. This is all of it but user-data, the signatures of the instance identity \
         document and the node's own credentials. Narrow it down: Metagate's default is what SDKs ask for.",
    );
    conversion.entries.push(entry);
}
