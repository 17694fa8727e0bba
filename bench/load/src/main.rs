//! `metagate-load`: how many requests a gateway answers, how fast, and how many a bare server answers.

mod commands;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use metagate_load::{bare, client::Caller, flow::Flow, round::hammer, server::address_of};
use tokio::net::TcpListener;

/// Closed-loop load on a metadata gateway: callers on addresses of 127.1.0.0/16 that ask again as soon as they are
/// answered.
///
/// The gateway runs in a process of its own, over fixed pods and sandbox credentials: no AWS, no cluster, no root. A
/// bare hyper server that sends the same bytes runs beside it and shows the limit.
#[derive(Parser)]
#[command(version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Requests per second and latency of the gateway, of a bare server, and of any other gateway
    Compare(Compare),
    /// The budgets that are measured from outside: B1, B2, B3, B8, B9, and fairness
    Budgets(Budgets),
    /// All rows that benches have written, as one table
    Table(Table),
    #[command(hide = true)]
    Bare { script: PathBuf, listen: SocketAddr },
    #[command(hide = true)]
    Hammer { pod: usize, connections: usize, to: SocketAddr },
}

#[derive(Args)]
struct Compare {
    /// The gateway's program
    #[arg(long, default_value = "target/release/metagate")]
    gateway: PathBuf,
    /// Another gateway to compare, as http://ADDRESS:PORT. Its pods must be 127.1.0.0, 127.1.0.1 and so on, each with a
    /// role. If it gives no session tokens, it is asked as by IMDSv1
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// How many pods ask at once, each from its own address
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 100, 1000])]
    callers: Vec<usize>,
    /// What they ask
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Flow::ALL)]
    flow: Vec<Flow>,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Args)]
struct PaceArgs {
    /// Rounds of each server; medians are printed
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds of each round
    #[arg(long, default_value_t = 500)]
    milliseconds: u64,
}

#[derive(Args)]
struct Budgets {
    /// The gateway's program, as shipped
    #[arg(long, default_value = "target/release/metagate")]
    gateway: PathBuf,
    /// Where to add the rows, for `table`
    #[arg(long, default_value = "target/bench/rows.jsonl")]
    rows: PathBuf,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Args)]
struct Table {
    #[arg(long, default_value = "target/bench/rows.jsonl")]
    rows: PathBuf,
    /// A folder to write the table to as well, named by machine and day
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Compare(args) => commands::compare::run(args).await,
        Command::Budgets(args) => commands::budgets::run(args).await,
        Command::Table(args) => commands::table::run(&args),
        Command::Bare { script, listen } => {
            let script = serde_json::from_slice(&std::fs::read(script)?)?;
            bare::serve(TcpListener::bind(listen).await?, script).await;
            Ok(())
        }
        Command::Hammer { pod, connections, to } => {
            let caller = Caller::introduced(address_of(pod), to).await?;
            hammer(&caller, connections).join_next().await.context("no connection was opened")??
        }
    }
}
