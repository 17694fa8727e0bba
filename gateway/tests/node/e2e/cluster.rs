//! A Kubernetes API server and its etcd, on a node's loopback.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    api::Api,
    namespace::Namespace,
    node,
    process::{Ended, Process},
    programs::Programs,
    socket,
    wait::{until_equal, until_some},
};

const ETCD: &str = "http://127.0.0.1:2379";
/// The API server's port in every kubeconfig.
const PORT: u16 = 6443;
/// A port that no kubeconfig names.
const ASIDE: u16 = 6444;
const ADMIN_TOKEN: &str = "admin-token";

pub(crate) struct Cluster {
    programs: Programs,
    namespace: String,
    /// None while it is down.
    server: RefCell<Option<Server>>,
    _etcd: Process,
    folder: TempDir,
}

struct Server {
    // The API as admin, from outside the node's namespace.
    _proxy: Process,
    api: Api,
    _kube_apiserver: Process,
}

impl Cluster {
    pub(crate) async fn start(programs: &Programs, node: &Namespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_service_account_key(folder.path());
        let tokens = format!("{ADMIN_TOKEN},admin,admin,system:masters\n");
        fs::write(folder.path().join("tokens.csv"), tokens).unwrap();
        let etcd = start_etcd(programs, node, folder.path());
        let cluster = Self {
            programs: programs.clone(),
            namespace: node.name.clone(),
            server: RefCell::default(),
            _etcd: etcd,
            folder,
        };
        cluster.start_server(node).await;
        cluster
    }

    /// As admin.
    pub(crate) fn api(&self) -> Api {
        self.server.borrow().as_ref().expect("the API server was killed").api.clone()
    }

    /// Kills it at once, as when a machine fails.
    pub(crate) fn kill_server(&self) {
        self.server.replace(None);
    }

    pub(crate) async fn start_server(&self, node: &Namespace) {
        self.server.replace(Some(self.server_on(node, PORT).await));
    }

    /// On a port that no kubeconfig of this cluster names: objects change, and no watch sees it.
    pub(crate) async fn start_server_aside(&self, node: &Namespace) {
        self.server.replace(Some(self.server_on(node, ASIDE).await));
    }

    async fn server_on(&self, node: &Namespace, port: u16) -> Server {
        let kube_apiserver = self.start_kube_apiserver(node, port);
        // The server makes its own certificate when it starts for the first time, and stores it.
        until_some("the API server's certificate", async || fs::read(self.certificate()).ok()).await;
        let (proxy, path) = self.start_proxy(node, port);
        let ready = async || socket::send(&path, Method::GET, "/readyz", None).await.map(|(status, _)| status);
        until_equal("the API server's readiness", Some(StatusCode::OK), ready).await;
        Server { _proxy: proxy, api: Api::new(path), _kube_apiserver: kube_apiserver }
    }

    fn start_kube_apiserver(&self, node: &Namespace, port: u16) -> Process {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        node.start("kube-apiserver", &self.programs.kube_apiserver, |command| {
            command.args([
                format!("--etcd-servers={ETCD}"),
                "--etcd-compaction-interval=0".into(),
                "--bind-address=127.0.0.1".into(),
                format!("--advertise-address={}", node::ADDRESS),
                format!("--secure-port={port}"),
                format!("--cert-dir={}", file("certificates")),
                "--authorization-mode=RBAC".into(),
                format!("--token-auth-file={}", file("tokens.csv")),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                "--api-audiences=https://kubernetes.default.svc".into(),
                format!("--service-account-key-file={}", file("service-account.key")),
                format!("--service-account-signing-key-file={}", file("service-account.key")),
                "--service-cluster-ip-range=10.96.0.0/16".into(),
                "--endpoint-reconciler-type=none".into(),
                // It needs secrets that a controller makes, and this cluster has no controller.
                "--disable-admission-plugins=ServiceAccount".into(),
            ]);
        })
    }

    fn start_proxy(&self, node: &Namespace, port: u16) -> (Process, PathBuf) {
        let kubeconfig = self.folder.path().join(format!("admin-{port}"));
        fs::write(&kubeconfig, self.kubeconfig(ADMIN_TOKEN, port)).unwrap();
        let socket = self.folder.path().join(format!("proxy-{port}"));
        let _ = fs::remove_file(&socket);
        let proxy = node.start("kubectl", &self.programs.kubectl, |command| {
            command.arg("--kubeconfig").arg(kubeconfig).arg("proxy").arg("--unix-socket").arg(&socket);
        });
        (proxy, socket)
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    fn kubeconfig(&self, token: &str, port: u16) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "e2e", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                // Not a path: the gateway, as another user, may not be able to read it.
                "certificate-authority-data": base64(&fs::read(self.certificate()).unwrap()),
            } }],
            "users": [{ "name": "e2e", "user": { "token": token } }],
            "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "e2e" } }],
            "current-context": "e2e",
        })
        .to_string()
    }

    /// A real token, by TokenRequest.
    pub(crate) async fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": 3600 },
        });
        let answer = self.api().post(&path, request).await;
        self.kubeconfig(answer["status"]["token"].as_str().unwrap(), PORT)
    }

    /// As admin.
    pub(crate) async fn kubectl(&self, arguments: impl AsRef<[&str]>) -> Ended {
        self.kubectl_as(&self.folder.path().join(format!("admin-{PORT}")), arguments).await
    }

    pub(crate) async fn kubectl_as(&self, kubeconfig: &Path, arguments: impl AsRef<[&str]>) -> Ended {
        let configure = |command: &mut Command| {
            command
                .args(["netns", "exec", &self.namespace])
                .arg(&self.programs.kubectl)
                .arg("--kubeconfig")
                .arg(kubeconfig)
                .args(arguments.as_ref());
        };
        Process::start("kubectl", Path::new("ip"), configure).ends().await
    }

    /// Deletes every revision but the newest: a watch from an older one gets 410.
    pub(crate) async fn compact_etcd(&self, node: &Namespace) {
        let status = etcd(node, "/v3/maintenance/status", json!({})).await;
        let revision = status["header"]["revision"].clone();
        etcd(node, "/v3/kv/compaction", json!({ "revision": revision, "physical": true })).await;
    }
}

fn start_etcd(programs: &Programs, node: &Namespace, folder: &Path) -> Process {
    node.start("etcd", &programs.etcd, |command| {
        command.arg("--data-dir").arg(folder.join("etcd")).args([
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
        ]);
    })
}

async fn etcd(node: &Namespace, path: &str, request: Value) -> Value {
    let url = format!("{ETCD}{path}");
    let ended = node
        .run("curl", Path::new("curl"), |command| {
            command.args(["--silent", "--show-error", "--fail-with-body", "--data", &request.to_string(), &url]);
        })
        .await;
    assert!(ended.status.success(), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn make_service_account_key(folder: &Path) {
    let key = folder.join("service-account.key");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
