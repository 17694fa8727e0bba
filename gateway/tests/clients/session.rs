//! A client that runs: its answers to one question after another, in one process, configured by its environment alone.

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    client::{Client, Program, V1},
    lab::Lab,
    process::Process,
    rust_sdk::RustSdk,
};

/// Who STS says that the client is, and with which access key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) arn: String,
    /// The AWS CLI does not tell.
    pub(crate) key: Option<String>,
}

/// SDKs give a request a second or so, in which clients that ask at once on a busy machine would stand in each other's way.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) struct Session {
    running: Running,
    environment: Vec<(&'static str, String)>,
}

enum Running {
    Program(Process),
    /// It ends after each command.
    Cli(Program),
    Rust(Box<RustSdk>),
}

impl Session {
    pub(crate) fn start(client: Client, lab: &Lab, endpoint: &str, v1: V1) -> Self {
        let environment = vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.to_owned()),
            ("AWS_EC2_METADATA_V1_DISABLED", (v1 == V1::Disabled).to_string()),
            ("AWS_ENDPOINT_URL_STS", lab.sts.clone()),
            // Empty files keep the machine's own configuration out.
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("NO_PROXY", "*".to_owned()),
        ];
        let running = match client.program(lab, endpoint) {
            None => Running::Rust(Box::new(RustSdk::new(endpoint, &lab.sts))),
            Some(program) if client == Client::AwsCli => Running::Cli(program),
            Some(program) => Running::Program(Process::start("client", &program.path, |command| {
                program.configure(command, &environment);
                command.stdin(Stdio::piped());
            })),
        };
        Self { running, environment }
    }

    pub(crate) async fn identity(&mut self) -> Result<Identity, String> {
        let _turn = ONE_AT_A_TIME.lock().await;
        let mut answer = match &mut self.running {
            Running::Rust(sdk) => return sdk.identity().await.map(|(arn, key)| Identity { arn, key: Some(key) }),
            Running::Cli(program) => call(program, &self.environment).await?,
            Running::Program(process) => ask(process, "identity").await?,
        };
        let arn = ["arn", "Arn"].iter().find_map(|name| answer.remove(*name)).expect("an identity has an ARN");
        Ok(Identity { arn, key: answer.remove("key") })
    }

    /// None if the client does not look for it.
    pub(crate) async fn region(&mut self) -> Option<Result<String, String>> {
        let _turn = ONE_AT_A_TIME.lock().await;
        match &mut self.running {
            Running::Rust(sdk) => Some(sdk.region().await),
            Running::Cli(_) => None,
            Running::Program(process) => {
                let region = ask(process, "region").await.map(|answer| answer["region"].clone());
                (region != Err("not looked for".to_owned())).then_some(region)
            }
        }
    }

    /// Whether one process answers several commands.
    pub(crate) fn outlives_a_command(&self) -> bool {
        !matches!(self.running, Running::Cli(_))
    }

    /// Moves the clock of the program that far from the machine's, where it can.
    pub(crate) async fn move_clock(&mut self, by: Duration) {
        let Running::Program(process) = &mut self.running else { panic!("this client has no clock of its own") };
        ask(process, &format!("clock {}", by.as_secs())).await.unwrap();
    }

    pub(crate) async fn version(&mut self) -> String {
        match &mut self.running {
            Running::Rust(_) => RustSdk::version(),
            Running::Cli(program) => {
                let program = Program { path: program.path.clone(), args: vec!["--version".to_owned()], folder: None };
                let ended = Process::start("client", &program.path, |command| program.configure(command, &[])).ends();
                let printed = ended.await.stdout;
                let version = printed.split_whitespace().next().and_then(|name| name.strip_prefix("aws-cli/"));
                version.expect("the AWS CLI tells its version").to_owned()
            }
            Running::Program(process) => {
                ask(process, "version").await.expect("each client has a version")["version"].clone()
            }
        }
    }
}

impl Program {
    fn configure(&self, command: &mut Command, environment: &[(&'static str, String)]) {
        command.args(&self.args).envs(environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
    }
}

async fn ask(process: &mut Process, command: &str) -> Result<HashMap<String, String>, String> {
    let answer = process.ask(command).await.ok_or("the program ended")?;
    let mut answer: HashMap<String, String> =
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    answer.remove("error").map_or(Ok(answer), Err)
}

/// One call of the AWS CLI. It does not find its region by the metadata service.
async fn call(program: &Program, environment: &[(&'static str, String)]) -> Result<HashMap<String, String>, String> {
    let ended = Process::start("client", &program.path, |command| {
        program.configure(command, environment);
        command.env("AWS_DEFAULT_REGION", "us-east-1");
    })
    .ends()
    .await;
    if !ended.status.success() {
        return Err(ended.stderr.trim().to_owned());
    }
    let answer: HashMap<String, Value> =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    Ok(answer.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect())
}
