//! A gateway in front of moto's STS.

use std::{
    env, fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    FETCHES,
    pods::{self, Pod, WITH_ROLE},
    process::Process,
    sts::Sts,
};

/// `imds.token`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tokens {
    Optional,
    Required,
}

pub(crate) struct Lab {
    /// The folder that `make clients` installs into.
    pub(crate) clients: PathBuf,
    /// The STS that every client asks for its identity. moto knows each credential that it issued, and whose session it
    /// is.
    pub(crate) sts: String,
    /// What the gateway takes for STS: moto, behind this.
    pub(crate) faults: Sts,
    tokens: Tokens,
    listeners: Vec<SocketAddr>,
    admin: String,
    // Declared before the folder, so that they end before it is removed. None between two gateways.
    gateway: Option<Process>,
    _moto: Process,
    folder: TempDir,
}

impl Lab {
    /// None if the clients are not installed; `make clients` installs them.
    pub(crate) async fn start(tokens: Tokens) -> Option<Self> {
        let lab = Self::start_unready(tokens, None, false).await?;
        lab.wait_until_ready().await;
        Some(lab)
    }

    /// STS's credentials have this life if one is given, and it throttles if it shall. Nothing is fetched yet, perhaps.
    pub(crate) async fn start_unready(tokens: Tokens, life: Option<Duration>, throttles: bool) -> Option<Self> {
        let Some(clients) = env::var_os("METAGATE_CLIENTS").map(PathBuf::from) else {
            // Not by eprintln!, whose output the test runner hides when a test succeeds.
            let _ = writeln!(std::io::stderr(), "SKIPPED, as no AWS client is installed: run `make clients`");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (moto, sts) = start_moto(&clients).await;
        let faults = Sts::start(&sts, life, throttles).await;
        let anywhere = [SocketAddr::from(([127, 0, 0, 1], 0)); pods::ALL.len() + 1];
        write_configuration(folder.path(), &faults.endpoint, tokens, &anywhere);
        let (gateway, listeners, admin) = start_gateway(folder.path()).await;
        let gateway = Some(gateway);
        Some(Self { clients, sts, faults, tokens, listeners, admin, gateway, _moto: moto, folder })
    }

    /// Another gateway on the same addresses, with other keys for session tokens.
    pub(crate) async fn restart_gateway(&mut self) {
        self.gateway = None;
        write_configuration(self.folder.path(), &self.faults.endpoint, self.tokens, &self.listeners);
        let (gateway, listeners, admin) = start_gateway(self.folder.path()).await;
        assert_eq!(listeners, self.listeners);
        (self.gateway, self.admin) = (Some(gateway), admin);
        self.wait_until_ready().await;
    }

    /// Where the gateway tells pods apart by their peer address.
    pub(crate) fn shared_listener(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// The endpoint that only this pod's SDK gets.
    pub(crate) fn endpoint_of(&self, pod: Pod) -> String {
        let place = pods::ALL.iter().position(|known| *known == pod).unwrap();
        format!("http://{}", self.listeners[place + 1])
    }

    /// A counter of the gateway, summed over the series that contain `with`.
    pub(crate) async fn counted(&self, counter: &str, with: &str) -> u64 {
        let (status, text) = self.admin("/metrics").await;
        assert_eq!(status, StatusCode::OK);
        let series = text.lines().filter(|line| line.starts_with(counter) && line.contains(with));
        series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    async fn admin(&self, path: &str) -> (StatusCode, String) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let request = Request::get(format!("{}{path}", self.admin)).body(Empty::new()).unwrap();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Ready, and every credential fetched: SDKs give a request one second, in which moto may not answer where the machine
    /// is busy. After STS has throttled for a while the gateway asks again within a minute.
    pub(crate) async fn wait_until_ready(&self) {
        let began = Instant::now();
        while self.admin("/readyz").await.0 != StatusCode::OK
            || self.counted(FETCHES, r#"result="ok""#).await < WITH_ROLE.len() as u64
        {
            assert!(began.elapsed() < Duration::from_secs(180), "the gateway did not become ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Listens on a port that the system chooses and moto prints.
async fn start_moto(clients: &Path) -> (Process, String) {
    let program = clients.join("moto/bin/moto_server");
    let mut moto = Process::start("moto_server", &program, |command| {
        command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
    });
    let sts = moto
        .says(|line| {
            let address: SocketAddr = line.split_once("Running on http://")?.1.trim().parse().ok()?;
            Some(format!("http://{address}"))
        })
        .await;
    (moto, sts)
}

/// The first listener is for all pods, the others for one each.
fn write_configuration(folder: &Path, sts: &str, tokens: Tokens, listeners: &[SocketAddr]) {
    let token = match tokens {
        Tokens::Optional => "optional",
        Tokens::Required => "required",
    };
    let text = format!(
        r#"
[pods]
listen = "{}"
[admin]
listen = "127.0.0.1:0"
[roster]
source = "fixed"
file = "roster.toml"
[imds]
endpoint = "sandbox"
token = "{token}"
[credentials]
source = "sts"
identity = "environment"
base_role_arn = "{}"
region = "us-east-1"
sts_endpoint = "{sts}"
"#,
        listeners[0],
        pods::BASE
    );
    fs::write(folder.join("metagate.toml"), text).unwrap();
    fs::write(folder.join("roster.toml"), pods::roster(&listeners[1..])).unwrap();
    // moto does not verify it, but it must look like a token.
    fs::write(folder.join(pods::TOKEN_FILE), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJsZWRnZXIifQ.").unwrap();
}

async fn start_gateway(folder: &Path) -> (Process, Vec<SocketAddr>, String) {
    let mut gateway = Process::start("metagate", Path::new(env!("CARGO_BIN_EXE_metagate")), |command| {
        let identity = [("AWS_ACCESS_KEY_ID", "AKIAGATEWAY"), ("AWS_SECRET_ACCESS_KEY", "gateway")];
        command.args(["run", "--config"]).arg(folder.join("metagate.toml")).envs(identity);
    });
    let line = gateway
        .says(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "metagate listens").then_some(line)
        })
        .await;
    let listeners: Vec<SocketAddr> =
        line["pods"].as_str().unwrap().split(", ").map(|address| address.parse().unwrap()).collect();
    assert_eq!(listeners.len(), pods::ALL.len() + 1);
    (gateway, listeners, line["admin"].as_str().unwrap().to_owned())
}
