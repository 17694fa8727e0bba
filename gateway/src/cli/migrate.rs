//! `metagate migrate`

use std::{
    fs::File,
    io::{Read, stdin},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::ValueEnum;
use metagate::migrate::{Input, MANIFEST_MAX, Peer, migrate};

use super::{FAILURE, Failure, print, tell};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The program that runs today
    #[arg(value_enum)]
    peer: Name,
    /// Its manifest: YAML or JSON, any number of documents; - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "flags", conflicts_with = "flags")]
    manifest: Option<PathBuf>,
    /// Its flags, after --
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Kube2iam,
    Kiam,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let peer = match args.peer {
        Name::Kube2iam => Peer::Kube2iam,
        Name::Kiam => Peer::Kiam,
    };
    let text;
    let input = match &args.manifest {
        Some(path) => {
            text = read(path)?;
            Input::Manifest(&text)
        }
        None => Input::Flags(&args.flags),
    };
    let migration = migrate(peer, input).map_err(anyhow::Error::from)?;
    print(migration.config.trim_end());
    tell(migration.notes.to_string().trim_end());
    Ok(if migration.notes.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// Reads one byte more than the limit, so that a larger file is refused instead of cut.
fn read(path: &Path) -> anyhow::Result<String> {
    let limit = MANIFEST_MAX as u64 + 1;
    let mut text = String::new();
    let read = if path == Path::new("-") {
        stdin().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}
