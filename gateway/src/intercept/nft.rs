//! nftables' own program `nft`, which supports every kernel that it is shipped for.

use std::{
    io::{ErrorKind, Write},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::ruleset::{objects, text_of};

#[derive(Clone, Debug, Default)]
pub struct Nft(());

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    #[error("there is no `nft` in PATH; install the package nftables, or run this in the image that has it")]
    Absent,
    #[error(
        "the kernel does not let nft {doing} without CAP_NET_ADMIN; run this as root with NET_ADMIN in its capabilities"
    )]
    NotPermitted { doing: &'static str },
    #[error("nft cannot {doing}: {message}")]
    Failed { doing: &'static str, message: String },
    #[error("nft cannot {doing}: {source}")]
    Io { doing: &'static str, source: std::io::Error },
    #[error("nft did not print JSON ({source}); does `nft -V` show that it is built with JSON?")]
    NoJson { source: serde_json::Error },
}

/// A chain of any program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainName {
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
}

impl Nft {
    /// None where there is no such table.
    pub(super) fn table(&self, family: &str, name: &str) -> Result<Option<Value>, NftError> {
        // Searched for in the list, as nft has one exit code for every error.
        let tables = self.json(&["list", "tables"])?;
        let is_it = |(kind, table): (&str, &Value)| {
            kind == "table" && text_of(table, "family") == family && text_of(table, "name") == name
        };
        if !objects(&tables).any(is_it) {
            return Ok(None);
        }
        self.json(&["list", "table", family, name]).map(Some)
    }

    pub(super) fn chains(&self) -> Result<Value, NftError> {
        self.json(&["list", "chains"])
    }

    pub(super) fn chain(&self, chain: &ChainName) -> Result<Value, NftError> {
        self.json(&["list", "chain", &chain.family, &chain.table, &chain.name])
    }

    /// A rule as nft writes it, found by its handle. Text for a person; empty where the rule is gone meanwhile.
    pub(super) fn quote(&self, chain: &ChainName, handle: u64) -> Result<String, NftError> {
        let listed =
            self.run(&["-a", "-s", "list", "chain", &chain.family, &chain.table, &chain.name], "list rules", None)?;
        let mark = format!(" # handle {handle}");
        let line = listed.lines().find_map(|line| line.strip_suffix(&mark)).unwrap_or_default();
        Ok(line.trim().to_owned())
    }

    /// Applies all of `script` or nothing of it.
    pub(super) fn apply(&self, script: &str) -> Result<(), NftError> {
        self.run(&["-f", "-"], "change rules", Some(script)).map(drop)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value, NftError> {
        let listed = self.run(&[&["-j"], arguments].concat(), "list rules", None)?;
        serde_json::from_str(&listed).map_err(|source| NftError::NoJson { source })
    }

    fn run(&self, arguments: &[&str], doing: &'static str, input: Option<&str>) -> Result<String, NftError> {
        let ended = execute("nft", arguments, input).map_err(|source| match source.kind() {
            ErrorKind::NotFound => NftError::Absent,
            ErrorKind::PermissionDenied => NftError::NotPermitted { doing },
            _ => NftError::Io { doing, source },
        })?;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        match stderr.trim() {
            _ if ended.status.success() => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
            message if message.contains("Operation not permitted") => Err(NftError::NotPermitted { doing }),
            message => Err(NftError::Failed { doing, message: message.to_owned() }),
        }
    }
}

/// Runs a program to its end, with its messages in English.
pub(super) fn execute(program: &str, arguments: &[&str], input: Option<&str>) -> std::io::Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends without reading its input has printed why.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output()
}
