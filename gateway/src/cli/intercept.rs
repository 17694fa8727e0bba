//! `metagate intercept`

use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, anyhow};
use metagate::{
    clock::Clock,
    config::{Config, Sources, load},
    intercept::{self, Change, Finding, Nft, Redirect, Watch, existing_interfaces},
    lifecycle::Signals,
    telemetry::init_log,
};

use super::{ConfigArgs, FAILURE, Failure, Output, block_on, print, tell};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Send pods' requests for the metadata service to the gateway
    #[command(after_help = "Needs CAP_NET_ADMIN in the node's network namespace, and the program nft.\n\
        The rules stay when this command ends, and while the gateway does not run: pods then get nothing.\n\n\
        Example: metagate intercept install --node-ip 10.0.0.7 --interface 'eni+,vlan+'")]
    Install(Install),
    /// Check that exactly these rules are there; show how often they were used, and other programs' rules
    #[command(after_help = "Exit code: 0 when exactly our rules are there, 1 otherwise.")]
    Verify {
        #[command(flatten)]
        redirect: RedirectArgs,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Remove our rules, and only them: from then on pods reach the node's own metadata service, and so the node's role
    Uninstall {
        /// Keep running afterwards until SIGTERM, as the container of a DaemonSet must
        #[arg(long)]
        stay: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct Install {
    #[command(flatten)]
    redirect: RedirectArgs,
    /// Print the rules, and change nothing
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// Keep running, with no privilege but CAP_NET_ADMIN, and repair the rules whenever they are changed
    #[arg(long)]
    watch: bool,
    /// How often to check the rules
    #[arg(long, value_name = "DURATION", requires = "watch", default_value = "30s", value_parser = every)]
    interval: Duration,
    /// Write the result of each check to this file, as JSON, for programs that may not run nft
    #[arg(long, value_name = "FILE", requires = "watch")]
    status_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct RedirectArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The interfaces to redirect: eth0, eni+ (a prefix), or !lo (all but lo) [default: intercept.interfaces]
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    interface: Vec<String>,
    /// An address of this node, at most one of each family [default: intercept.node_ips]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    node_ip: Vec<IpAddr>,
    /// The gateway's port [default: that of pods.listen]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Install(args) => install(args),
        Command::Verify { redirect, output } => verify(redirect, *output),
        Command::Uninstall { stay } => uninstall(*stay),
    }
}

fn install(args: &Install) -> Result<ExitCode, Failure> {
    let (config, redirect) = args.redirect.load()?;
    warn(&config, &redirect, args.redirect.port);
    if args.dry_run {
        print(redirect.script().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if args.watch {
        // Done before there is a second thread, and before the first rule is installed.
        intercept::keep_only_net_admin().context("cannot watch")?;
    }
    let nft = Nft::default();
    let change = intercept::install(&nft, &redirect).context("cannot put the redirect in place")?;
    print(&done(&change, &redirect));
    if !args.watch {
        let finding = intercept::inspect(&nft, &redirect).context("cannot look at the redirect")?;
        others(&finding).iter().for_each(|line| tell(&format!("metagate: {line}")));
        return Ok(ExitCode::SUCCESS);
    }
    let status_file = args.status_file.clone();
    block_on(async {
        // A process with CAP_NET_ADMIN must not connect to or depend on a collector: its log is on standard error only.
        let mut config = config;
        config.telemetry.otlp = None;
        let log = init_log(&config).context("cannot log")?;
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let watch = Watch { nft, redirect, every: args.interval, status_file, clock: Clock::system() };
        tokio::select! {
            signal = signals.stop() => tracing::info!(signal, "stopping; the redirect stays"),
            () = watch.run() => {}
        }
        log.flush().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn verify(args: &RedirectArgs, output: Output) -> Result<ExitCode, Failure> {
    let (config, redirect) = args.load()?;
    warn(&config, &redirect, args.port);
    let finding = intercept::inspect(&Nft::default(), &redirect).context("cannot look at the redirect")?;
    match output {
        Output::Json => print(&serde_json::to_string_pretty(&finding).context("cannot write JSON")?),
        Output::Text => print(&text(&finding)),
    }
    Ok(if finding.present { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn uninstall(stay: bool) -> Result<ExitCode, Failure> {
    let remove = || -> Result<(), Failure> {
        let removed = intercept::uninstall(&Nft::default()).context("cannot remove the redirect")?;
        print(if removed {
            "removed: pods now reach the node's own metadata service, and so the node's role"
        } else {
            "nothing to remove: the redirect is not installed"
        });
        Ok(())
    };
    if stay {
        // Before anything else: the first process of a container ignores a signal that it does not listen for.
        block_on(async {
            let mut signals = Signals::listen().context("cannot listen for signals")?;
            remove()?;
            signals.stop().await;
            Ok(())
        })?;
    } else {
        remove()?;
    }
    Ok(ExitCode::SUCCESS)
}

impl RedirectArgs {
    fn load(&self) -> Result<(Config, Redirect), Failure> {
        let mut sources = Sources::read(self.config.config.as_deref())?;
        let list = |items: Vec<&str>| items.into_iter().collect::<toml_edit::Array>().to_string();
        if !self.interface.is_empty() {
            let interfaces = list(self.interface.iter().map(String::as_str).collect());
            sources.overrides.push(("intercept.interfaces".into(), interfaces));
        }
        if !self.node_ip.is_empty() {
            let addresses: Vec<String> = self.node_ip.iter().map(ToString::to_string).collect();
            let addresses = list(addresses.iter().map(String::as_str).collect());
            sources.overrides.push(("intercept.node_ips".into(), addresses));
        }
        let config = load(&sources)?.config;
        let (interfaces, node) = (config.intercept.interfaces.clone(), config.intercept.node_ips);
        if node.is_empty() {
            let cure = "name it with --node-ip or intercept.node_ips; in a DaemonSet it is status.hostIPs";
            return Err(anyhow!("no address of this node is known for the redirect; {cure}").into());
        }
        let redirect = Redirect { interfaces, node, port: self.port.unwrap_or(config.pods.listen.port()) };
        Ok((config, redirect))
    }
}

/// Warns of what is valid but likely a mistake.
fn warn(config: &Config, redirect: &Redirect, port: Option<u16>) {
    if port.is_none() {
        for address in redirect.node.missed_by(config.pods.listen) {
            let listen = config.pods.listen;
            tell(&format!(
                "metagate: warning: pods are sent to {address}, where pods.listen ({listen}) accepts no connection; \
                 \"[::]:{}\" listens on every address of both families",
                listen.port()
            ));
        }
    }
    let Ok(existing) = existing_interfaces() else { return };
    for absent in redirect.interfaces.absent(&existing) {
        tell(&format!(
            "metagate: warning: no interface is called {absent} now; there are {}. It is redirected as soon as it \
             appears",
            existing.join(", ")
        ));
    }
}

fn done(change: &Change, redirect: &Redirect) -> String {
    let mut lines = vec![match change {
        Change::Nothing => "already in place; nothing changed".to_owned(),
        Change::Installed => format!("installed: table inet {}", intercept::TABLE),
        Change::Mended(differences) => {
            format!("mended: table inet {}\n  {}", intercept::TABLE, differences.join("\n  "))
        }
    }];
    for (service, node) in redirect.routes() {
        lines.push(match node {
            Some(node) => format!("pods' connections to {service} go to {node}"),
            None => format!("pods' connections to {service} are rejected: no node address of that family is given"),
        });
    }
    if let Ok(existing) = existing_interfaces() {
        let (pods, others): (Vec<_>, Vec<_>) =
            existing.into_iter().partition(|interface| redirect.interfaces.contains(interface));
        let of = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        lines.push(format!(
            "interfaces redirected now ({}): {}; not redirected: {}",
            redirect.interfaces,
            of(pods),
            of(others)
        ));
    }
    lines.join("\n")
}

fn text(finding: &Finding) -> String {
    let mut lines = Vec::new();
    if finding.present {
        lines.push("ok: the redirect is in place".to_owned());
    } else {
        lines.push("not in place; `metagate intercept install` mends it".to_owned());
        lines.extend(finding.differences.iter().map(|difference| format!("  {difference}")));
    }
    lines.push(format!(
        "{} connections redirected, {} packets rejected since it was installed",
        finding.redirected_connections, finding.rejected_packets
    ));
    lines.extend(others(finding));
    lines.join("\n")
}

/// Other programs' redirects of pods' requests, as far as they are known.
fn others(finding: &Finding) -> Vec<String> {
    let unknown = finding.foreign_unknown.iter().map(|error| format!("other programs' rules are not known: {error}"));
    finding.foreign_rules.iter().map(ToString::to_string).chain(unknown).collect()
}

/// Below 100 ms nft would run without a pause; above an hour nobody is watching.
fn every(written: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(written).map_err(|error| error.to_string())?;
    let within = Duration::from_millis(100)..=Duration::from_secs(3600);
    if within.contains(&read) { Ok(read) } else { Err("expected 100ms to 1h".to_owned()) }
}
