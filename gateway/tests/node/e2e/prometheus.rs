//! Every query of the dashboards and every rule, against a Prometheus that scraped a gateway after everything had
//! happened to it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use metagate_plugin_artifacts::testing::HOSTILE;

use super::{
    gateway::{Gateway, USER},
    lab::Lab,
    node::STS,
    pod::{Cni, Inside, Pod, curl},
    process::Process,
    programs::source,
    wait::until_equal,
};

const ADMIN: &str = "127.0.0.1:9620";
const PROMETHEUS: &str = "127.0.0.1:9090";
const FAULTY_STS: &str = "10.0.0.1:5001";
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// A plugin that fails for paths, a plugin in audit mode, few connections per pod, a collector that does not exist, and
/// a watched redirect.
fn more(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
[telemetry]
otlp_endpoint = "http://127.0.0.1:4318"
metrics_interval = "1s"
[[plugin]]
name = "annotations"
builtin = "annotations"
[[plugin]]
name = "namespace-regex"
builtin = "namespace-regex"
[[plugin]]
name = "broken"
path = "{folder}/hostile.wasm"
config = {{ on = "authorize-path", do = "trap" }}
[[plugin]]
name = "tried"
path = "{folder}/hostile.wasm"
mode = "audit"
config = {{ on = "authorize", do = "deny", code = "not-now" }}
"#
    )
}

/// Starts it as on a node, except for what this test needs to see.
async fn start<'a>(lab: &'a Lab, redirect: &Path) -> Gateway<'a> {
    let mut gateway = lab.guard_unready().await;
    let folder = gateway.folder().to_owned();
    fs::write(folder.join("hostile.wasm"), HOSTILE).unwrap();
    chown(folder.join("hostile.wasm"), Some(USER), Some(USER)).unwrap();
    gateway.configure(|text| {
        let text = text.replace(&format!("unix:{}/admin.sock", folder.display()), ADMIN);
        let text = text.replace(STS, &format!("http://{FAULTY_STS}"));
        let text = text.replace("[pods]\n", "[pods]\nmax_connections_per_pod = 4\n");
        let status = format!("[intercept]\nstatus_file = \"{}\"\n", redirect.display());
        text.replace("[intercept]\n", &status) + &more(&folder)
    });
    gateway.start_unready();
    let ready = format!("http://{ADMIN}/readyz");
    until_equal("the gateway's readiness", Some(200), async || {
        curl(&lab.node.namespace, &ready, &[]).await.map(|(status, _)| status)
    })
    .await;
    gateway
}

fn start_sts(lab: &Lab) -> Process {
    lab.node.namespace.start("sts", &lab.programs.python, |command| {
        command.arg(source("sts.py")).args([FAULTY_STS, STS]);
    })
}

fn start_prometheus(lab: &Lab, folder: &Path) -> Process {
    let configuration = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: ['{DEPLOY}/dashboards/alerts.yaml']\n\
         scrape_configs: [{{ job_name: metagate, static_configs: [{{ targets: ['{ADMIN}'] }}] }}]\n"
    );
    fs::write(folder.join("prometheus.yaml"), configuration).unwrap();
    lab.node.namespace.start("prometheus", &lab.programs.prometheus, |command| {
        command.arg(format!("--config.file={}", folder.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={PROMETHEUS}"));
    })
}

async fn get(pod: &Inside<'_>, token: &str, path: &str) {
    pod.get(path, token).await;
}

/// Causes everything that a metric is about.
async fn all_happens(lab: &Lab, gateway: &Gateway<'_>) {
    let pods = [
        Pod::new("payments", "checkout", "10.0.1.5").with_role("payments-checkout"),
        Pod::new("payments", "brief", "10.0.1.6").with_role("payments-brief"),
        Pod::new("payments", "throttled", "10.0.1.7").with_role("payments-throttled"),
        Pod::new("payments", "refused", "10.0.1.8").with_role("payments-refused"),
        Pod::new("guests", "visitor", "10.0.1.9").with_role("payments-checkout"),
        Pod::new("guests", "idle", "10.0.1.10"),
    ];
    // One pod asks before the roster knows it.
    let early = lab.connect(&Pod::new("payments", "early", "10.0.1.11"), Cni::AmazonVpc);
    get(&early, &early.session_token().await, "/latest/meta-data/iam/info").await;
    let mut insides = Vec::new();
    for pod in &pods {
        insides.push((pod, lab.run(pod, Cni::AmazonVpc).await));
    }
    for (pod, inside) in &insides {
        let token = inside.session_token().await;
        let credentials = "/latest/meta-data/iam/security-credentials/";
        for path in [credentials, &format!("{credentials}payments-{}", pod.name), "/latest/meta-data/instance-id"] {
            get(inside, &token, path).await;
        }
        inside.get_without_token(credentials).await;
    }
    insides[0].1.hold_connections(8).await;
    // A wrong configuration is refused, and the one before stays in force.
    let right = gateway.configure(|text| format!("{text}\n[nonsense]\n"));
    let refused = format!("http://{ADMIN}/readyz");
    until_equal("the refused reload", true, async || {
        curl(&lab.node.namespace, &refused, &[]).await.is_some_and(|(_, text)| text.contains("reload was refused"))
    })
    .await;
    gateway.configure(|_| right.clone());
}

#[tokio::test]
async fn every_query_of_the_dashboards_and_every_rule_has_an_answer() {
    let Some(lab) = Lab::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut sts = start_sts(&lab);
    sts.says(|line| (line == "sts listens").then_some(())).await;
    // The watcher has this folder to itself, because it may write nowhere else; the gateway reads it.
    let watched = tempfile::tempdir().unwrap();
    fs::set_permissions(watched.path(), Permissions::from_mode(0o755)).unwrap();
    let redirect = watched.path().join("redirect.json");
    let gateway = start(&lab, &redirect).await;
    let _watch = gateway.watch_redirect(&redirect);
    let _prometheus = start_prometheus(&lab, folder.path());
    all_happens(&lab, &gateway).await;

    let queries = Path::new(DEPLOY).join("tests/queries.py");
    let look = async || {
        let asked = lab.node.namespace.run("queries", &lab.programs.python, |command| {
            command.arg(&queries).args(["--prometheus", &format!("http://{PROMETHEUS}"), "--window", "2m"]);
        });
        let asked = asked.await;
        if asked.status.success() { Vec::new() } else { lines(&asked.stdout, &asked.stderr) }
    };
    until_equal("queries without an answer", Vec::<String>::new(), look).await;
    take_pictures(&lab).await;
}

/// Pictures of a status page with a failing plugin, failing calls of STS, and a watched redirect, in
/// target/screenshots/node.
async fn take_pictures(lab: &Lab) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let taken = lab.node.namespace.run("screenshots", Path::new("node"), |command| {
        command.arg(tests.join("tests/screenshots/screenshots.mjs"));
        command.arg(format!("http://{ADMIN}")).arg(tests.join("../target/screenshots/node"));
    });
    let taken = taken.await;
    assert!(taken.status.success(), "{taken:?}");
}

fn lines(out: &str, err: &str) -> Vec<String> {
    out.lines().chain(err.lines()).map(str::to_owned).collect()
}
