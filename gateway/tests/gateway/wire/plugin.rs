//! A custom plugin beside the built-ins, as pods and operators see it.

use metagate::{
    config::{Mode, Plugin as Settings, PluginCode},
    plugin::Plugin,
    policy::Rules,
};
use metagate_plugin_artifacts::testing::HOSTILE;
use metagate_testkit::FakeSource;

use super::{admin::look, *};

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

/// A gateway whose last plugin does `action` whenever it is asked about a path.
async fn on_paths(action: &str) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    std::fs::write(&path, HOSTILE).unwrap();
    let builtins = ["annotations", "irsa-fallback", "namespace-regex"];
    let mut plugins: Vec<String> =
        builtins.iter().map(|name| format!("{{ name = \"{name}\", builtin = \"{name}\" }}")).collect();
    plugins.push(format!(
        "{{ name = \"own\", path = {path:?}, config = {{ on = \"authorize-path\", do = \"{action}\", code = \"never\" }} }}"
    ));
    setup().set("plugin", &format!("[{}]", plugins.join(", "))).start().await.unwrap()
}

fn failed_decisions(gateway: &TestGateway) -> usize {
    let text = gateway.gateway().telemetry.metrics().text().unwrap();
    let text = String::from_utf8(text).unwrap();
    let failed = text.lines().filter(|line| line.starts_with("metagate_policy_decisions_total{outcome=\"failed\","));
    failed.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

#[tokio::test]
async fn a_listing_names_nothing_that_a_plugin_denies() {
    let gateway = on_paths("deny").await;
    let denied = get(&gateway, CHECKOUT, "/latest/meta-data/placement/region").await;
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert_eq!(get(&gateway, CHECKOUT, "/latest/meta-data/").await.text(), "iam/");
    assert_eq!(get(&gateway, CHECKOUT, "/latest/meta-data/placement/").await.status, 404);
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
}

#[tokio::test]
async fn a_plugin_that_fails_on_paths_fails_listings_too_and_nothing_else() {
    let gateway = on_paths("trap").await;
    for path in ["/latest/meta-data/placement/region", "/latest/meta-data/"] {
        assert_eq!(get(&gateway, CHECKOUT, path).await.status, 503, "{path}");
    }
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
}

#[tokio::test]
async fn explain_tells_the_status_of_a_listing_that_plugins_deny_or_fail_on() {
    for (action, pod, address, path, status) in [
        ("deny", "payments/checkout-0", CHECKOUT, "/latest/meta-data/", 200),
        ("deny", "payments/idle-0", IDLE, "/latest/meta-data/", 404),
        ("deny", "payments/checkout-0", CHECKOUT, "/latest/meta-data/placement/", 404),
        ("deny", "payments/checkout-0", CHECKOUT, "/latest/meta-data/iam/", 200),
        ("trap", "payments/checkout-0", CHECKOUT, "/latest/meta-data/", 503),
        ("trap", "payments/checkout-0", CHECKOUT, "/latest/meta-data/iam/", 200),
    ] {
        let gateway = on_paths(action).await;
        assert_eq!(get(&gateway, address, path).await.status, status, "{action} {pod} {path}");
        let explained = look(&gateway, &format!("/api/v1/explain?pod={pod}&path={path}")).await;
        let explained: serde_json::Value = serde_json::from_slice(&explained.body).unwrap();
        assert_eq!(explained["status"], status, "{action} {pod} {path}");
    }
}

#[tokio::test]
async fn credentials_stay_cached_while_a_plugin_fails_and_are_served_again_once_it_does_not() {
    let source = Arc::new(FakeSource::default());
    let gateway = setup().source(Arc::clone(&source) as _).start().await.unwrap();
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
    let policy = &gateway.gateway().policy;
    let sound = policy.rules();
    let pods = gateway.gateway().feed.current().workloads().count();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    std::fs::write(&path, HOSTILE).unwrap();
    let failing = Settings {
        name: "own".into(),
        code: PluginCode::File { path, sha256: None },
        mode: Mode::Enforce,
        config: serde_json::json!({ "on": "resolve", "do": "trap" }),
        ..sound.plugins[0].settings().clone()
    };
    let failing = Plugin::load(policy.host(), failing).await.unwrap();
    policy.replace(|rules| Rules::new(vec![failing.clone()], rules.defaults.clone()));
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 503);
    // The wanted set comes from every pod's decision.
    while failed_decisions(&gateway) < pods {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // This request goes through the keeper, after the wanted set.
    gateway.admin().await.unwrap().ask("GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();

    policy.replace(|_| Rules::clone(&sound));
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
    let asked = source.asked().iter().filter(|role| role.ends_with("/payments-checkout")).count();
    assert_eq!(asked, 1, "the cached credential is served");
}
