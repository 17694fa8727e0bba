//! The AWS clients that people use.

use std::path::{Path, PathBuf};

use crate::lab::Lab;

/// The version of the Ruby SDK in Debian 12. The others' versions are pinned where they are installed from.
const RUBY: &str = "3.168.1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Boto3,
    AwsCli,
    JavaScript,
    JavaScriptV2,
    Rust,
    GoV2,
    GoV1,
    JavaV2,
    JavaV1,
    Ruby,
    CommonRuntime,
}

/// Whether an SDK that gets no token may fall back to IMDSv1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum V1 {
    Allowed,
    Disabled,
}

/// How a client's program is started.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) folder: Option<PathBuf>,
}

impl Client {
    pub(crate) const ALL: [Self; 11] = [
        Self::Boto3,
        Self::AwsCli,
        Self::JavaScript,
        Self::JavaScriptV2,
        Self::Rust,
        Self::GoV2,
        Self::GoV1,
        Self::JavaV2,
        Self::JavaV1,
        Self::Ruby,
        Self::CommonRuntime,
    ];
    /// One for each family of code. What is the gateway's alone is tried with these; `sdks` tries all.
    pub(crate) const FOUR: [Self; 4] = [Self::Boto3, Self::AwsCli, Self::JavaScript, Self::Rust];
    /// The Rust SDK never speaks IMDSv1.
    pub(crate) const WITH_V1: [Self; 3] = [Self::Boto3, Self::AwsCli, Self::JavaScript];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Boto3 => "Python: boto3",
            Self::AwsCli => "AWS CLI v1",
            Self::JavaScript => "JavaScript v3",
            Self::JavaScriptV2 => "JavaScript v2",
            Self::Rust => "Rust",
            Self::GoV2 => "Go v2",
            Self::GoV1 => "Go v1",
            Self::JavaV2 => "Java v2",
            Self::JavaV1 => "Java v1",
            Self::Ruby => "Ruby",
            Self::CommonRuntime => "Common Runtime (of C++ and others)",
        }
    }

    /// None for the Rust SDK, which runs in this process.
    pub(crate) fn program(self, lab: &Lab, endpoint: &str) -> Option<Program> {
        let at = |path: &str| lab.clients.join(path);
        let program = |path: PathBuf, args: &[&str]| Program {
            path,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            folder: None,
        };
        let node =
            |file: &str, folder: &str| Program { folder: Some(at(folder)), ..program("node".into(), &[&source(file)]) };
        // v1 reads the endpoint from a property only.
        let property = format!("-Dcom.amazonaws.sdk.ec2MetadataServiceEndpointOverride={endpoint}");
        let java = |version: &str| {
            let classes = format!("{0}:{0}/lib/*", at(version).display());
            program("java".into(), &["-XX:TieredStopAtLevel=1", &property, "-cp", &classes, "Client"])
        };
        Some(match self {
            Self::Boto3 => program(at("boto3/bin/python"), &[&source("boto3_client.py")]),
            Self::AwsCli => program(at("aws-cli/bin/aws"), &["sts", "get-caller-identity", "--output", "json"]),
            Self::JavaScript => node("javascript_v3.mjs", "javascript"),
            Self::JavaScriptV2 => node("javascript_v2.mjs", "javascript-v2"),
            Self::Rust => return None,
            Self::GoV2 => program(at("go-v2/client"), &[]),
            Self::GoV1 => program(at("go-v1/client"), &[]),
            Self::JavaV2 => java("java-v2"),
            Self::JavaV1 => java("java-v1"),
            Self::Ruby => program("ruby".into(), &[&source("ruby_client.rb")]),
            Self::CommonRuntime => program(at("common-runtime/bin/python"), &[&source("common_runtime_client.py")]),
        })
    }

    /// Whether `make install` could install it, in the version that the table is of.
    pub(crate) fn is_installed(self, lab: &Lab) -> bool {
        match self {
            Self::GoV1 => lab.clients.join("go-v1/client").exists(),
            Self::GoV2 => lab.clients.join("go-v2/client").exists(),
            Self::JavaV1 => lab.clients.join("java-v1/Client.class").exists(),
            Self::JavaV2 => lab.clients.join("java-v2/Client.class").exists(),
            Self::Ruby => {
                let version = "require 'aws-sdk-sts'; print Aws::CORE_GEM_VERSION";
                let printed = std::process::Command::new("ruby").args(["-e", version]).output();
                printed.is_ok_and(|ended| ended.stdout == RUBY.as_bytes())
            }
            _ => true,
        }
    }
}

fn source(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients").join(file).display().to_string()
}
