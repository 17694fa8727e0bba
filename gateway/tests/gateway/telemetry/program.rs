//! The program's log: decision records, on standard error and at a collector.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};

use metagate_testkit::{Client, Collector, Reply, collector::attribute};
use serde_json::Value;
use tokio::task::block_in_place;

use super::{CHECKOUT, CREDENTIAL, VISITOR, in_time};

const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/sandbox.toml");

struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
    pods: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Program {
    /// The sandbox's configuration as a file, and `set` from the environment.
    async fn start(set: &[(&str, &str)]) -> Self {
        let pods = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_metagate"))
            .args(["run", "--config"])
            .arg(Path::new(SANDBOX))
            .env_clear()
            .env("METAGATE_PODS__LISTEN", pods.to_string())
            .env("METAGATE_ADMIN__LISTEN", format!("unix:{}", folder.path().join("admin.sock").display()))
            .env("METAGATE_TELEMETRY__LOG_FORMAT", "json")
            .envs(set.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("metagate listens") {
            line.clear();
            let read = block_in_place(|| log.read_line(&mut line)).unwrap();
            assert_ne!(read, 0, "it ended before it listened");
        }
        Self { child, log, pods, _folder: folder }
    }

    async fn ask(&self, pod: [u8; 4]) {
        self.get(pod, CREDENTIAL, "").await;
    }

    /// `headers` are whole lines, each with its end.
    async fn get(&self, pod: [u8; 4], path: &str, headers: &str) -> Reply {
        self.send(pod, "GET", path, headers).await
    }

    async fn send(&self, pod: [u8; 4], method: &str, path: &str, headers: &str) -> Reply {
        let mut client = Client::connect(pod, self.pods).await.unwrap();
        client.ask(format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.pods)).await.unwrap()
    }

    /// Ends it by SIGTERM, and returns all that it logged.
    async fn ended(mut self) -> Vec<Value> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut rest = String::new();
        block_in_place(|| self.log.read_to_string(&mut rest)).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Killed if the test ends first.
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn decisions(log: &[Value]) -> Vec<&Value> {
    log.iter().filter(|line| line["target"] == "metagate::decision").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_grant_of_a_credential_and_every_refusal_leave_a_record_that_cloudtrail_can_be_joined_with() {
    let program = Program::start(&[]).await;
    for pod in [CHECKOUT, CHECKOUT, CHECKOUT, VISITOR, VISITOR] {
        program.ask(pod).await;
    }
    let log = in_time("end", program.ended()).await;
    let decisions = decisions(&log);
    let named: Vec<_> = decisions.iter().map(|record| (&record["decision"], &record["pod"])).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    let granted = decisions.iter().find(|record| record["decision"] == "granted").unwrap();
    assert_eq!(granted["namespace"], "payments");
    assert_eq!(granted["role"], "arn:aws:iam::123456789012:role/payments-checkout");
    assert_eq!(granted["session_name"], "payments.checkout-0");
    assert!(granted["access_key_id"].as_str().unwrap().starts_with("ASIA"), "{granted}");
    assert!(granted["expires"].is_string() && granted["by"] == "annotations", "{granted}");
    let refused = decisions.iter().find(|record| record["decision"] == "refused").unwrap();
    assert_eq!(
        (&refused["pod"], &refused["by"], &refused["status"]),
        (&"visitor-0".into(), &"namespace-regex".into(), &403.into())
    );
    assert!(refused["cause"].as_str().unwrap().contains("role-not-permitted"));
    assert!(refused["access_key_id"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_reach_a_collector_with_their_trace() {
    for protocol in ["http", "grpc"] {
        let collector = if protocol == "grpc" { Collector::grpc().await } else { Collector::http().await }.unwrap();
        let set = [
            ("METAGATE_TELEMETRY__OTLP_ENDPOINT", &*collector.endpoint()),
            ("METAGATE_TELEMETRY__OTLP_PROTOCOL", protocol),
            ("METAGATE_TELEMETRY__TRACE_RATIO", "1.0"),
            ("METAGATE_TELEMETRY__LOG_LEVEL", "debug"),
        ];
        let program = Program::start(&set).await;
        program.ask(VISITOR).await;
        let log = in_time("end", program.ended()).await;
        let record = decisions(&log)[0].clone();
        let received = collector.received();
        let exported = received.records();
        let outcome = |record: &&opentelemetry_proto::tonic::logs::v1::LogRecord| {
            attribute(&record.attributes, "outcome") == "denied"
        };
        let same = exported.iter().find(outcome).unwrap_or_else(|| panic!("{protocol}: {exported:#?}"));
        assert_eq!(attribute(&same.attributes, "request_id"), record["request_id"].as_str().unwrap());
        let trace_id = same.trace_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(trace_id, record["trace_id"].as_str().unwrap(), "{protocol}");
        assert!(received.spans().iter().any(|span| span.trace_id == same.trace_id), "{protocol}");
        // If an export logged, that line would be exported too, without end.
        let of_an_export = |name: &str| ["hyper", "h2::", "tonic", "opentelemetry"].iter().any(|of| name.contains(of));
        let scopes = received.logs.iter().flat_map(|request| &request.resource_logs).flat_map(|of| &of.scope_logs);
        let names: Vec<_> = scopes.filter_map(|scope| scope.scope.as_ref()).map(|scope| scope.name.clone()).collect();
        assert!(!names.is_empty() && !names.iter().any(|name| of_an_export(name)), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_policy_did_not_decide_names_no_role_whatever_the_pod_was_granted_before() {
    let program = Program::start(&[]).await;
    program.ask(CHECKOUT).await;
    assert_eq!(program.get(CHECKOUT, "/latest/meta-data/no-such-entry", "").await.status, 404);
    let log = in_time("end", program.ended()).await;
    let decisions = decisions(&log);
    let refused = decisions.iter().find(|record| record["decision"] == "refused").unwrap();
    assert_eq!((&refused["pod"], &refused["outcome"]), (&"checkout-0".into(), &"no-such-path".into()));
    assert!(refused["role"].is_null() && refused["session_name"].is_null() && refused["by"].is_null(), "{refused}");
}

const ONE_POD: &str = r#"
[[namespace]]
name = "payments"
annotations = { "iam.amazonaws.com/permitted" = ".*" }
[[workload]]
namespace = "payments"
pod = "POD"
ips = ["127.0.0.2"]
annotations = { "iam.amazonaws.com/role" = "payments-checkout" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_another_pods_token_is_recorded_without_a_workload() {
    let folder = tempfile::tempdir().unwrap();
    let roster = folder.path().join("roster.toml");
    std::fs::write(&roster, ONE_POD.replace("POD", "old-0")).unwrap();
    let file = roster.display().to_string();
    let set = [("METAGATE_ROSTER__SOURCE", "fixed"), ("METAGATE_ROSTER__FILE", &*file)];
    let program = Program::start(&set).await;
    // The roster is read by then: a token that is minted before belongs to the address alone.
    assert_eq!(program.get(CHECKOUT, CREDENTIAL, "").await.status, 200);
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 600\r\n";
    let token = program.send(CHECKOUT, "PUT", "/latest/api/token", ttl).await.text();
    let with_token = format!("X-aws-ec2-metadata-token: {token}\r\n");
    assert_eq!(program.get(CHECKOUT, CREDENTIAL, &with_token).await.status, 200);
    // The address now belongs to another pod, which has the same role.
    std::fs::write(&roster, ONE_POD.replace("POD", "new-0")).unwrap();
    in_time("take over the address", async {
        while program.get(CHECKOUT, CREDENTIAL, &with_token).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let log = in_time("end", program.ended()).await;
    let decisions = decisions(&log);
    let refused = decisions.iter().find(|record| record["outcome"] == "token-of-another");
    let refused = refused.unwrap_or_else(|| panic!("{log:#?}"));
    for field in ["namespace", "pod", "uid", "role", "by"] {
        assert!(refused[field].is_null(), "{field}: {refused}");
    }
    assert_eq!(refused["peer"], "127.0.0.2");
}
