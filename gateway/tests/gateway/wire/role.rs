//! The role's name, `…/iam/security-credentials`, and `…/iam/info`, which is derived from it.

use metagate_testkit::FakeImds;

use super::*;

#[tokio::test]
async fn the_list_is_the_short_name_in_one_line_without_a_newline_however_the_path_is_written() {
    let gateway = gateway().await;
    for path in [
        "/latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials/",
        "/latest//meta-data/iam//security-credentials//",
        "//latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials-extended",
        "/2021-03-23/meta-data/iam/security-credentials/",
        "/1.0/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security%2Dcredentials/",
        "/latest/meta-data/iam/security-credentials/?x=y",
    ] {
        let reply = get(&gateway, CHECKOUT, path).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "payments-checkout"), "{path}");
        assert_eq!(
            headers(&reply),
            [("Content-Type", "text/plain"), ("Server", "EC2ws"), ("Content-Length", "17")],
            "{path}"
        );
    }
    assert_eq!(get(&gateway, AUDITOR, "/latest/meta-data/iam/security-credentials/").await.text(), "auditor");
    assert_eq!(get(&gateway, LEDGER, "/latest/meta-data/iam/security-credentials/").await.text(), "ledger");
}

#[tokio::test]
async fn a_pod_without_a_role_is_404() {
    let gateway = gateway().await;
    for path in [
        "/latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials/",
        "/latest/meta-data/iam/security-credentials/payments-checkout",
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/",
    ] {
        let reply = get(&gateway, IDLE, path).await;
        assert_eq!((reply.status, reply.body.is_empty()), (404, false), "{path}");
    }
}

#[tokio::test]
async fn the_instance_profile_is_made_up_from_the_pods_role_and_the_nodes_is_not_asked_for() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = setup().imds(&imds).start().await.unwrap();
    for (pod, profile) in [(CHECKOUT, "payments-checkout"), (AUDITOR, "admin/auditor")] {
        for path in ["/latest/meta-data/iam/info", "/latest/meta-data/iam/info/", "/2021-03-23/meta-data/iam/info"] {
            let reply = get(&gateway, pod, path).await;
            assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("text/plain")), "{path}");
            let info: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(info["Code"], "Success");
            assert_eq!(info["InstanceProfileArn"], format!("arn:aws:iam::123456789012:instance-profile/{profile}"));
            let id = info["InstanceProfileId"].as_str().unwrap();
            assert!(id.starts_with("AIPA") && id.len() == 21 && id != "AIPA0123456789EXAMPLE", "{id}");
            assert!(humantime::parse_rfc3339(info["LastUpdated"].as_str().unwrap()).is_ok());
            assert_eq!(info.as_object().unwrap().len(), 4);
        }
    }
    assert_eq!(imds.requests(), []);
}
