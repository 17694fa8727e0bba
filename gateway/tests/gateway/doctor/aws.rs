//! The gateway's identity at AWS, and STS: the node's role comes from a metadata service on loopback, and STS is
//! another server there.

use std::time::SystemTime;

use metagate_testkit::{FakeImds, imds::Fault};

use super::server::{Ask, Reply, Server, dead_endpoint};
use super::{
    Verdict::{Fail, Pass, Skip, Warn},
    *,
};

const SECRET: &str = "the-node-s-secret";
const SESSION: &str = "the-node-s-session";

/// A node with credentials that a client can use.
async fn node() -> FakeImds {
    let node = FakeImds::start().await.unwrap();
    let document = format!(
        r#"{{"Code":"Success","AccessKeyId":"ASIANODE","SecretAccessKey":"{SECRET}","Token":"{SESSION}","Expiration":"2999-01-01T00:00:00Z"}}"#
    );
    node.put("meta-data/iam/security-credentials/node", document);
    node
}

async fn judged(node: &FakeImds, sts: &str, changed: &[(&str, &str)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = node.endpoint();
    let keys = [
        ("imds.endpoint", endpoint.as_str()),
        ("credentials.source", "sts"),
        ("credentials.identity", "imds"),
        ("credentials.sts_endpoint", sts),
        ("credentials.region", "auto"),
        ("credentials.base_role_arn", "auto"),
    ];
    let report = examine(&folder, &[&keys, changed].concat()).await;
    let text = format!("{report:?}");
    assert!(!text.contains(SECRET) && !text.contains(SESSION), "{text}");
    report
}

fn identity(account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:sts::{account}:assumed-role/node/i-1</Arn><UserId>AROA:i-1</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::Answer(
        status,
        format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>no</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
        ),
    )
}

async fn sts(account: &'static str) -> Server {
    Server::start(move |ask: &Ask| match ask.body.contains("Action=GetCallerIdentity") {
        true => Reply::Answer(200, identity(account)),
        false => refusal(400, "InvalidAction"),
    })
    .await
}

#[tokio::test]
async fn an_identity_that_sts_knows_passes_and_is_named() {
    let (node, sts) = (node().await, sts("123456789012").await);
    let report = judged(&node, &sts.endpoint, &[]).await;
    let arn = "the gateway is arn:aws:sts::123456789012:assumed-role/node/i-1 (account 123456789012)";
    report.expect("identity", Pass, arn);
    report.expect("base-role", Pass, "the gateway's own account, 123456789012");
    report.expect("sts", Pass, &format!("{} answers in", sts.endpoint.strip_prefix("http://").unwrap()));
    report.expect("sts-clock", Pass, "agrees");
}

#[tokio::test]
async fn roles_of_another_account_are_a_warning() {
    let (node, sts) = (node().await, sts("123456789012").await);
    let base = ("credentials.base_role_arn", "arn:aws:iam::210987654321:role/team/");
    let report = judged(&node, &sts.endpoint, &[base]).await;
    report.expect("base-role", Warn, "roles of account 210987654321, and the gateway is in account 123456789012");
}

#[tokio::test]
async fn a_clock_that_sts_would_refuse_fails_long_before_it_does() {
    for (ahead, off, verdict, part) in [
        (true, 10, Pass, "agrees"),
        (true, 120, Warn, "behind that of STS"),
        (false, 120, Warn, "ahead of that of STS"),
        (true, 3600, Fail, "NTP"),
        (false, 400, Fail, "ahead of"),
    ] {
        let off = Duration::from_secs(off);
        let server = Server::start(move |_| {
            let now = SystemTime::now();
            Reply::Dated(if ahead { now + off } else { now - off }, identity("123456789012"))
        })
        .await;
        let node = node().await;
        judged(&node, &server.endpoint, &[]).await.expect("sts-clock", verdict, part);
    }
}

#[tokio::test]
async fn an_error_of_sts_about_the_identity_is_a_finding_on_the_identity() {
    for (status, code, verdict, part) in [
        (403, "InvalidClientTokenId", Fail, "See the check `sts-clock`"),
        (403, "SignatureDoesNotMatch", Fail, "See the check `sts-clock`"),
        (403, "AccessDenied", Fail, "VPC endpoint"),
        (400, "Throttling", Warn, "Run this again later"),
    ] {
        let server = Server::start(move |_| refusal(status, code)).await;
        let node = node().await;
        let report = judged(&node, &server.endpoint, &[]).await;
        report.expect("identity", verdict, part);
        report.expect("identity", verdict, code);
        report.expect("sts", Pass, "answers in");
        report.expect("sts-clock", Pass, "agrees");
        report.expect("base-role", Pass, "account 123456789012");
    }
}

#[tokio::test]
async fn an_unreachable_or_failing_sts_is_a_finding_on_sts() {
    let ailing = Server::start(|_| Reply::Answer(500, "<html>".into())).await;
    let silent = Server::start(|_| Reply::Silence).await;
    let with_password = dead_endpoint().await.replace("http://", &format!("http://user:{SECRET}@"));
    for (endpoint, part) in [
        (with_password, "Connection refused"),
        (dead_endpoint().await, "a VPC endpoint for STS"),
        (silent.endpoint.clone(), "does not answer"),
        (ailing.endpoint.clone(), "does not answer as STS does"),
    ] {
        let node = node().await;
        let report = judged(&node, &endpoint, &[]).await;
        report.expect("sts", Fail, part);
        report.expect("identity", Skip, "see the check `sts`");
    }
}

#[tokio::test]
async fn a_node_without_a_role_has_no_identity_and_no_account() {
    let (node, sts) = (node().await, sts("123456789012").await);
    for path in ["meta-data/iam/info", "meta-data/iam/security-credentials/", "meta-data/iam/security-credentials/node"]
    {
        node.remove(path);
    }
    let report = judged(&node, &sts.endpoint, &[]).await;
    report.expect("identity", Fail, "an instance profile");
    report.expect("base-role", Fail, "Set `credentials.base_role_arn`");
    report.expect("sts", Skip, "no identity to ask STS with");
    report.expect("sts-clock", Skip, "no answer from STS");
}

#[tokio::test]
async fn an_unknown_region_is_reported_and_nobody_is_asked() {
    let (node, sts) = (node().await, Server::start(|_| panic!("nobody is to be asked")).await);
    node.set_fault(Fault::Status(500));
    let report = judged(&node, &sts.endpoint, &[]).await;
    report.expect("identity", Fail, "Set `credentials.region`");
    report.expect("sts", Skip, "no identity");
}

#[tokio::test]
async fn a_missing_identity_of_the_sandboxs_instance_is_reported() {
    let (node, sts) = (node().await, sts("123456789012").await);
    let report = judged(&node, &sts.endpoint, &[("imds.endpoint", "sandbox")]).await;
    report.expect("identity", Fail, "imds.endpoint = \"sandbox\" has no role");
}
