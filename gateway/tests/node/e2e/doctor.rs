//! `metagate doctor` on this node, with the gateway's own rights.

use serde_json::Value;

use super::lab::Lab;

fn findings(out: &str) -> Vec<(String, String)> {
    let findings: Vec<Value> = serde_json::from_str(out).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    findings.iter().map(|finding| (text(finding, "verdict"), text(finding, "check"))).collect()
}

fn failed(out: &str) -> Vec<String> {
    findings(out).into_iter().filter(|(verdict, _)| verdict == "fail").map(|(_, check)| check).collect()
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_on_a_node_that_works_and_names_an_api_server_that_is_gone() {
    let Some(lab) = Lab::start().await else { return };
    let gateway = lab.guard().await;
    let ended = gateway.doctor().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(failed(&ended.stdout), [""; 0], "{}", ended.stdout);
    assert!(findings(&ended.stdout).iter().filter(|(verdict, _)| verdict == "pass").count() > 10, "{}", ended.stdout);
    lab.kill_api_server();
    let ended = gateway.doctor().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(failed(&ended.stdout).iter().any(|check| check.contains("api")), "{}", ended.stdout);
}
