//! Policy's denials, as the pod reads them.

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn a_denial_is_403_with_its_code_and_a_request_id_on_every_path_of_a_role() {
    let gateway = gateway().await;
    for path in [
        "/latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials/",
        "/latest/meta-data/iam/security-credentials/payments-checkout",
        "/latest/meta-data/iam/security-credentials-extended/payments-checkout",
        "/latest/meta-data/iam/info",
    ] {
        let reply = get(&gateway, VISITOR, path).await;
        assert_eq!((reply.status, reply.header("Content-Type")), (403, Some("text/plain")), "{path}");
        let text = reply.text();
        assert!(text.starts_with("denied: role-not-permitted: "), "{text}");
        let id = text.split("(request ").nth(1).and_then(|tail| tail.strip_suffix(")\n")).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{text}");
    }
}

#[tokio::test]
async fn a_denial_names_no_other_pod_and_no_other_role() {
    let gateway = gateway().await;
    let text = get(&gateway, VISITOR, ROLE).await.text();
    for word in
        ["checkout-0", "ledger", "reporting", "auditor", "idle", "twin", "payments/", "127.0.0.2", "AccessKeyId"]
    {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[tokio::test]
async fn each_request_has_its_own_id() {
    let gateway = gateway().await;
    let (one, other) = (get(&gateway, VISITOR, ROLE).await, get(&gateway, VISITOR, ROLE).await);
    assert_ne!(one.body, other.body);
}

#[tokio::test]
async fn a_denied_pod_still_reads_what_every_pod_may() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, VISITOR, "/latest/meta-data/placement/region").await.status, 200);
    let listing = get(&gateway, VISITOR, "/latest/meta-data/").await;
    assert_eq!((listing.status, listing.text().contains("iam")), (200, false), "{}", listing.text());
}

#[tokio::test]
async fn if_no_plugin_allows_everybody_is_denied() {
    let only = r#"[{ name = "annotations", builtin = "annotations" }]"#;
    let gateway = setup().set("plugin", only).start().await.unwrap();
    let reply = get(&gateway, CHECKOUT, ROLE).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().starts_with("denied: nobody-allowed: "), "{}", reply.text());
}
