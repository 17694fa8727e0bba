//! The AWS clients that people use, each in an environment of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{
    lab::Lab,
    process::{Ended, Process},
    rust_sdk,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Boto3,
    AwsCli,
    JavaScript,
    Rust,
}

/// What STS answers to GetCallerIdentity, as clients print it.
#[derive(Debug, Deserialize)]
struct CallerIdentity {
    #[serde(rename = "Arn")]
    arn: String,
}

/// Whether an SDK that gets no token may fall back to IMDSv1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum V1 {
    Allowed,
    Disabled,
}

impl Client {
    pub(crate) const ALL: [Self; 4] = [Self::Boto3, Self::AwsCli, Self::JavaScript, Self::Rust];
    /// The Rust SDK never speaks IMDSv1.
    pub(crate) const WITH_V1: [Self; 3] = [Self::Boto3, Self::AwsCli, Self::JavaScript];

    /// Gets credentials from the metadata service at `endpoint` and asks STS whose they are: an ARN, which ends in the
    /// session's name. None if the client says that it got none; any other failure of a client is a panic.
    pub(crate) async fn who_am_i(self, lab: &Lab, endpoint: &str, v1: V1) -> Option<String> {
        let at = |path: &str| lab.clients.join(path);
        let program = match self {
            Self::Boto3 => Program::new(at("boto3/bin/python")).arg(source("boto3_client.py")),
            Self::AwsCli => {
                Program::new(at("aws-cli/bin/aws")).args(["sts", "get-caller-identity", "--output", "json"])
            }
            Self::JavaScript => {
                Program::new("node".into()).arg(source("credential_providers.mjs")).in_folder(at("javascript"))
            }
            Self::Rust => return rust_sdk::who_am_i(endpoint, &lab.sts).await,
        };
        let ended = program.run(lab, endpoint, v1).await;
        match self {
            Self::AwsCli if !ended.status.success() && ended.stderr.contains("Unable to locate credentials") => None,
            _ => ended.printed(),
        }
    }
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients").join(file)
}

struct Program {
    path: PathBuf,
    args: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Program {
    fn new(path: PathBuf) -> Self {
        Self { path, args: Vec::new(), folder: None }
    }

    fn arg(self, arg: PathBuf) -> Self {
        Self { args: vec![arg], ..self }
    }

    fn args<const N: usize>(self, args: [&str; N]) -> Self {
        Self { args: args.map(PathBuf::from).into(), ..self }
    }

    fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..self }
    }

    async fn run(self, lab: &Lab, endpoint: &str, v1: V1) -> Ended {
        let configure = |command: &mut Command| {
            command
                .args(&self.args)
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
                .env("AWS_EC2_METADATA_V1_DISABLED", (v1 == V1::Disabled).to_string())
                .env("AWS_ENDPOINT_URL_STS", &lab.sts)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_DEFAULT_REGION", "us-east-1")
                // Empty files keep the machine's own configuration out.
                .env("AWS_CONFIG_FILE", "/dev/null")
                .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
                .env("NO_PROXY", "*");
            if let Some(folder) = &self.folder {
                command.current_dir(folder);
            }
        };
        Process::start("client", &self.path, configure).ends().await
    }
}

impl Ended {
    fn printed(&self) -> Option<String> {
        assert!(self.status.success(), "{self:?}");
        let printed: Option<CallerIdentity> =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        printed.map(|caller| caller.arn)
    }
}
