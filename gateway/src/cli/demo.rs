//! `metagate demo`: a walk through the sandbox.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use metagate::{
    app::{self, App, Parts},
    config::{AdminListen, Config, Mode, Plugin, PluginCode, Sources, load},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{FAILURE, Failure, block_on, http as client, print, run::serve, tell};

/// The sandbox's pods, by what each is there to show.
const CHECKOUT: Pod = Pod { name: "payments/checkout-0", address: [127, 0, 0, 2] };
const LEDGER: Pod = Pod { name: "payments/ledger-0", address: [127, 0, 0, 3] };
const VISITOR: Pod = Pod { name: "guests/visitor-0", address: [127, 0, 0, 4] };
const AUDITOR: Pod = Pod { name: "payments/auditor-0", address: [127, 0, 0, 5] };
const REPORTING: Pod = Pod { name: "payments/reporting-0", address: [127, 0, 0, 6] };

#[derive(Clone, Copy)]
struct Pod {
    name: &'static str,
    address: [u8; 4],
}

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

pub(super) fn run(keep: bool) -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir().context("cannot make a folder for the custom plugin")?;
    let config = sandbox_with_custom_plugin(folder.path())?;
    block_on(async {
        let app = app::build(&config, Parts::default()).await?;
        if keep { stay(app).await } else { pass_through(app).await }
    })
}

/// The sandbox on free ports, with one more plugin from a file, whose digest is pinned.
fn sandbox_with_custom_plugin(folder: &std::path::Path) -> Result<Config, Failure> {
    let mut config = load(&Sources::sandbox()?)?.config;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pods.listen = any_port;
    config.admin.listen = AdminListen::Tcp(any_port);
    let component = metagate_plugin_artifacts::EXAMPLE_TRUSTED_ADMIN;
    let path = folder.join("trusted-admin.wasm");
    std::fs::write(&path, component).context("cannot write the custom plugin")?;
    let Some(like) = config.plugins.first().cloned() else {
        return Err(anyhow::anyhow!("the sandbox has no plugins").into());
    };
    config.plugins.push(Plugin {
        name: "trusted-admin".into(),
        code: PluginCode::File { path, sha256: Some(Sha256::digest(component).into()) },
        mode: Mode::Enforce,
        config: Value::Object(serde_json::Map::new()),
        ..like
    });
    Ok(config)
}

async fn pass_through(app: App) -> Result<ExitCode, Failure> {
    let tour = Tour::of(&app)?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    let walked = tour.walk().await;
    stop.cancel();
    running.await.context("the gateway ended badly")?;
    Ok(conclude(walked))
}

async fn stay(app: App) -> Result<ExitCode, Failure> {
    let tour = Tour::of(&app)?;
    let walk = tokio::spawn(async move {
        conclude(tour.walk().await);
        tell("\nstill running; Ctrl-C stops it");
    });
    let ended = serve(app).await;
    walk.abort();
    ended
}

fn conclude(walked: Result<()>) -> ExitCode {
    match walked {
        Ok(()) => {
            print("\nEvery answer was right. To look around by hand: metagate run --sandbox");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("\nmetagate demo: {error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}

struct Tour {
    pods: SocketAddr,
    admin: String,
}

impl Tour {
    fn of(app: &App) -> Result<Self> {
        let pods = app.pods_addresses()?.into_iter().next().context("the sandbox listens nowhere")?;
        Ok(Self { pods, admin: app.admin_address() })
    }

    async fn walk(&self) -> Result<()> {
        print(&format!(
            "Metagate {} answers pods on http://{}; each pod is a loopback address here.",
            env!("CARGO_PKG_VERSION"),
            self.pods
        ));
        let token = self.token(CHECKOUT).await?;
        let role = self.role_name(CHECKOUT, &token).await?;
        self.credentials("The credentials of that role", CHECKOUT, &token, &role).await?;
        self.another_pod().await?;
        self.irsa().await?;
        self.denied("A pod of a namespace that does not permit the role it asks for", VISITOR, "role-not-permitted")
            .await?;
        self.denied("A custom plugin denies this: only trusted pods get roles below /admin/", AUDITOR, "not-trusted")
            .await?;
        self.node_credentials_are_blocked(&token).await?;
        self.instance_path(&token).await?;
        print(&format!("\nStatus page: {}/   why: {0}/explain?pod={}", self.admin, VISITOR.name));
        Ok(())
    }

    async fn token(&self, pod: Pod) -> Result<String> {
        self.title("A session token (IMDSv2), which only this pod at this address can use", pod);
        let request = Request::put("/latest/api/token").header("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let answer = self.ask(pod, request).await?;
        show(&answer, &format!("{}…", text(&answer).get(..16).unwrap_or_default()));
        expect_status(&answer, StatusCode::OK)?;
        Ok(text(&answer))
    }

    async fn role_name(&self, pod: Pod, token: &str) -> Result<String> {
        self.title("The name of its role", pod);
        let answer = self.get(pod, CREDENTIALS, token).await?;
        show(&answer, &text(&answer));
        expect_status(&answer, StatusCode::OK)?;
        Ok(text(&answer))
    }

    async fn credentials(&self, about: &str, pod: Pod, token: &str, role: &str) -> Result<String> {
        self.title(about, pod);
        let answer = self.get(pod, &format!("{CREDENTIALS}{role}"), token).await?;
        expect_status(&answer, StatusCode::OK)?;
        let document: Value = serde_json::from_slice(answer.body()).context("the document is not JSON")?;
        let field = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        show(
            &answer,
            &format!(
                "Code {}, AccessKeyId {}, Expiration {}",
                field("Code"),
                field("AccessKeyId"),
                field("Expiration")
            ),
        );
        ensure!(field("Code") == "Success" && !field("Token").is_empty(), "the document holds no credentials");
        Ok(field("AccessKeyId"))
    }

    async fn another_pod(&self) -> Result<()> {
        let token = self.quiet_token(REPORTING).await?;
        let about = "Another pod of that namespace gets the credentials of its own role";
        self.credentials(about, REPORTING, &token, "payments-reporting").await?;
        self.title("… and not its neighbour's", REPORTING);
        let answer = self.get(REPORTING, &format!("{CREDENTIALS}payments-checkout"), &token).await?;
        show(&answer, &text(&answer));
        expect_status(&answer, StatusCode::NOT_FOUND)
    }

    async fn irsa(&self) -> Result<()> {
        let token = self.quiet_token(LEDGER).await?;
        let about = "A pod without a role of its own gets the role of its service account (IRSA fallback)";
        self.credentials(about, LEDGER, &token, "ledger").await.map(drop)
    }

    async fn denied(&self, about: &str, pod: Pod, code: &str) -> Result<()> {
        let token = self.quiet_token(pod).await?;
        self.title(about, pod);
        let answer = self.get(pod, CREDENTIALS, &token).await?;
        show(&answer, &text(&answer));
        expect_status(&answer, StatusCode::FORBIDDEN)?;
        ensure!(text(&answer).contains(code), "the reason does not name {code}");
        Ok(())
    }

    async fn node_credentials_are_blocked(&self, token: &str) -> Result<()> {
        let path = "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";
        self.title("No pod gets the node's own credentials", CHECKOUT);
        let answer = self.get(CHECKOUT, path, token).await?;
        show(&answer, &text(&answer));
        expect_status(&answer, StatusCode::NOT_FOUND)
    }

    async fn instance_path(&self, token: &str) -> Result<()> {
        self.title("Metadata of the instance itself, where the configuration allows it", CHECKOUT);
        let answer = self.get(CHECKOUT, "/latest/meta-data/placement/region", token).await?;
        show(&answer, &text(&answer));
        expect_status(&answer, StatusCode::OK)?;
        ensure!(text(&answer) == "eu-west-1", "that is not the sandbox's region");
        Ok(())
    }

    fn title(&self, about: &str, pod: Pod) {
        print(&format!("\n{about}\n  {}", pod.name));
    }

    async fn quiet_token(&self, pod: Pod) -> Result<String> {
        let request = Request::put("/latest/api/token").header("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let answer = client::ask_as(pod.address(), self.pods, self.finish(request)?).await?;
        expect_status(&answer, StatusCode::OK)?;
        Ok(text(&answer))
    }

    async fn get(&self, pod: Pod, path: &str, token: &str) -> Result<Response<Bytes>> {
        self.ask(pod, Request::get(path).header("x-aws-ec2-metadata-token", token)).await
    }

    async fn ask(&self, pod: Pod, request: http::request::Builder) -> Result<Response<Bytes>> {
        let request = self.finish(request)?;
        print(&format!("  > {} {}", request.method(), request.uri()));
        client::ask_as(pod.address(), self.pods, request).await
    }

    fn finish(&self, request: http::request::Builder) -> Result<Request<Empty<Bytes>>> {
        Ok(request.header("host", self.pods.to_string()).body(Empty::new())?)
    }
}

impl Pod {
    fn address(self) -> IpAddr {
        self.address.into()
    }
}

fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).trim_end().to_owned()
}

fn show(answer: &Response<Bytes>, body: &str) {
    print(&format!("  < {} {body}", answer.status().as_u16()));
}

fn expect_status(answer: &Response<Bytes>, status: StatusCode) -> Result<()> {
    ensure!(answer.status() == status, "expected {status}, got {}: {}", answer.status(), text(answer));
    Ok(())
}
