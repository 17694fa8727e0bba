//! `metagate run`

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use metagate::{
    app::{self, App, Parts, Reload},
    config::{Sources, load},
    lifecycle::Signals,
    telemetry::init_log,
};
use tokio_util::sync::CancellationToken;

use super::{Failure, RunArgs, block_on, tell};

pub(super) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let sources = if args.sandbox { Sources::sandbox()? } else { Sources::read(args.config.config.as_deref())? };
    let loaded = load(&sources)?;
    block_on(async {
        let log = init_log(&loaded.config).context("cannot log")?;
        // The sandbox is embedded, so nothing in it can change.
        let reload = (!args.sandbox).then(|| Reload::new(sources, &loaded));
        let reload = reload.transpose().context("cannot listen for SIGHUP")?;
        let mut app = app::build(&loaded.config, Parts::default()).await?;
        log.watch(&app.gateway().telemetry.metrics().meter());
        if let Some(reload) = reload {
            app = app.reloading(reload);
        }
        announce(&app);
        if args.sandbox {
            tell(&what_to_try(&app));
        }
        let ended = serve(app).await;
        log.flush().await;
        ended
    })
}

/// Runs until SIGTERM or SIGINT.
pub(super) async fn serve(app: App) -> Result<ExitCode, Failure> {
    let stop = CancellationToken::new();
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let mut running = tokio::spawn(app.run(stop.clone()));
    let signal = tokio::select! {
        signal = signals.stop() => signal,
        ended = &mut running => {
            ended.context("the gateway ended badly")?;
            return Err(anyhow!("a part of the gateway ended; see the log").into());
        }
    };
    tracing::info!(signal, "stopping: requests under way may finish");
    stop.cancel();
    tokio::select! {
        ended = &mut running => {
            ended.context("the gateway ended badly")?;
            Ok(ExitCode::SUCCESS)
        }
        signal = signals.stop() => {
            tracing::warn!(signal, "stopping at once");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn announce(app: &App) {
    let pods: Vec<String> = app.pods_addresses().iter().flatten().map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pods = pods.join(", "),
        admin = app.admin_address(),
        plugins =
            app.gateway().policy.rules().plugins.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(", "),
        waits_for = app.readiness().waits_for().iter().map(|part| part.label()).collect::<Vec<_>>().join(", "),
        "metagate listens"
    );
    app.gateway().policy.rules().warn_of_audit();
}

fn what_to_try(app: &App) -> String {
    let pods =
        app.pods_addresses().into_iter().flatten().next().map_or_else(String::new, |address| address.to_string());
    let admin = app.admin_address();
    let token = "-H \"X-aws-ec2-metadata-token: $TOKEN\"";
    let credentials = format!("http://{pods}/latest/meta-data/iam/security-credentials/");
    [
        "",
        "The sandbox is up; each pod has a loopback address of its own. In another terminal:",
        "",
        "  # as payments/checkout-0",
        &format!(
            "  TOKEN=$(curl -sX PUT --interface 127.0.0.2 -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://{pods}/latest/api/token)"
        ),
        &format!("  curl -s --interface 127.0.0.2 {token} {credentials}"),
        &format!("  curl -s --interface 127.0.0.2 {token} {credentials}payments-checkout"),
        "  # as guests/visitor-0, whose namespace does not permit that role",
        &format!("  curl -s --interface 127.0.0.4 {credentials}"),
        "  # why",
        &format!("  curl -s '{admin}/api/v1/explain?pod=guests/visitor-0'"),
        "",
        &format!("In a browser: {admin}/ shows which pod has which role, and why."),
        "",
        "Ctrl-C stops it.",
        "",
    ]
    .join("\n")
}
