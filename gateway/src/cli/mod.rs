//! The command line. Data goes to standard output, everything else to standard error.

mod check;
mod demo;
mod doctor;
mod explain;
mod http;
mod intercept;
mod migrate;
mod plugin;
mod print_config;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use metagate::{
    app::StartError,
    config::{Diagnostics, Loaded, Sources, load},
    plugin::LoadError,
};

/// Gives each Kubernetes pod its own AWS credentials.
///
/// One process per node stands in for the EC2 instance metadata service. It finds out which pod asks, lets sandboxed
/// WebAssembly plugins decide which IAM role that pod has, and answers from a cache that is filled before the pod asks.
///
/// Try it without AWS and without a cluster: `metagate demo`, or `metagate run --sandbox`.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway of this node
    #[command(after_help = "Without --config it reads /etc/metagate/metagate.toml, if that file exists.\n\
        SIGTERM lets requests in flight finish; a second SIGTERM stops at once.")]
    Run(RunArgs),
    /// Start the sandbox, walk through it, and print each request and its answer
    Demo {
        /// Keep the sandbox running afterwards, to try things by hand
        #[arg(long)]
        keep: bool,
    },
    /// Check the configuration and load every plugin, and print every error found
    Check(ConfigArgs),
    /// Show what would be decided for a pod, and why
    #[command(after_help = "Asks the running gateway. With --workload it decides by itself and needs no gateway.\n\
        Exit code: 0 granted, 3 denied, 1 otherwise.\n\n\
        Example: metagate explain --pod payments/checkout-0")]
    Explain(explain::Args),
    /// Install, verify or remove the node's redirect of 169.254.169.254:80
    #[command(subcommand)]
    Intercept(intercept::Command),
    /// Check this node, and show what is wrong and how to mend it
    #[command(
        after_help = "Checks the configuration, the running gateway, the redirect, the node's metadata service,\n\
        the API server with the gateway's rights there, STS and the clock.\n\
        It changes nothing, and takes 9 seconds at most.\n\
        Each line is pass, warn, fail or skip (nothing to check). Exit code: 0 nothing fails, 1 something does.\n\n\
        Run it where the gateway runs, so that it has the same identity and the same rights:\n  \
        kubectl exec --namespace metagate ds/metagate --container gateway -- metagate doctor"
    )]
    Doctor(doctor::Args),
    /// Print the effective configuration, and where each value came from
    Config {
        #[command(flatten)]
        config: ConfigArgs,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Turn the flags or the manifest of kube2iam or kiam into a configuration
    #[command(
        after_help = "The configuration goes to standard output; notes on what could not be carried over, and on what\n\
        changes, go to standard error. Exit code: 0 everything was carried over, 1 something was not.\n\n\
        Example: metagate migrate kube2iam --manifest kube2iam.yaml > metagate.toml\n         \
        metagate migrate kiam -- server --role-base-arn-autodetect"
    )]
    Migrate(migrate::Args),
    /// Create, inspect or test a policy plugin
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
}

#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Use the embedded sandbox: sample pods and credentials on loopback; no AWS, no cluster, no root
    #[arg(long, conflicts_with = "config")]
    sandbox: bool,
}

#[derive(clap::Args)]
struct ConfigArgs {
    /// The configuration file [default: /etc/metagate/metagate.toml, if it exists]
    #[arg(long, short, value_name = "FILE", env = "METAGATE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Exit codes, as scripts may rely on them.
const FAILURE: u8 = 1;
const DENIED: u8 = 3;
/// EX_CONFIG of sysexits.h.
const BAD_CONFIG: u8 = 78;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(#[from] Diagnostics),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Plugin(#[from] LoadError),
    /// A file or an argument that a command cannot use.
    #[error("{0}")]
    Unusable(String),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Plugin(_) | Self::Unusable(_) => BAD_CONFIG,
            Self::Start(StartError::Listen { .. } | StartError::Metrics(_) | StartError::Interrupted(_)) => FAILURE,
            Self::Start(_) => BAD_CONFIG,
            Self::Other(_) => FAILURE,
        }
    }
}

pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Demo { keep } => demo::run(keep),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Intercept(command) => intercept::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config { config, output } => print_config::run(&config, output),
        Command::Migrate(args) => migrate::run(&args),
        Command::Plugin(command) => plugin::run(&command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "metagate", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|failure| {
        tell(&format!("metagate: {failure}"));
        ExitCode::from(failure.code())
    })
}

impl ConfigArgs {
    fn load(&self) -> Result<Loaded, Diagnostics> {
        load(&Sources::read(self.config.as_deref())?)
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Two threads suffice for a node; the default of one per core would only cost memory on 96 cores.
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = built.map_err(anyhow::Error::from)?;
    let done = runtime.block_on(work);
    // A component that takes for ever to compile would otherwise keep the process from ending.
    runtime.shutdown_background();
    done
}

const WORKERS: usize = 2;

#[expect(clippy::print_stdout, reason = "data is what this program prints")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "diagnostics for a person; the log is not set up in every command")]
fn tell(text: &str) {
    eprintln!("{text}");
}
