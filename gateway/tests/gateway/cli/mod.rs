//! The program as scripts and people see it: exit codes, streams and messages.

#![expect(clippy::unwrap_used, reason = "a test states what it expects by it")]

mod explain;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

/// The program, without those variables of this process's environment that it would read.
fn metagate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metagate"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("METAGATE_")
            || ["NODE_NAME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"].contains(&&*name_text)
        {
            command.env_remove(name);
        }
    }
    command.env("HOME", "/nonexistent").args(arguments).stdin(Stdio::null());
    command
}

/// The result of a finished run.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Ran {
    ended(metagate(arguments).output().unwrap())
}

fn ended(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with a configuration in it.
struct Folder(TempDir);

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        Self(tempfile::tempdir().unwrap()).and(name, text)
    }

    fn and(self, name: &str, text: &str) -> Self {
        fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// The sandbox's configuration, with `more` tables.
fn sandbox_and(more: &str) -> Folder {
    let text = fs::read_to_string(Path::new(EXAMPLES).join("sandbox.toml")).unwrap();
    Folder::with("metagate.toml", &format!("{text}\n{more}"))
}

fn example(name: &str) -> String {
    PathBuf::from(EXAMPLES).join(name).display().to_string()
}

#[test]
fn version_and_help_are_data_and_a_success() {
    let version = run(&["--version"]);
    assert_eq!((version.code, version.out.trim()), (0, concat!("metagate ", env!("CARGO_PKG_VERSION"))));
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for command in ["run", "demo", "check", "explain", "plugin", "doctor", "config", "completions"] {
        assert!(help.out.contains(&format!("  {command} ")), "{command} is not in: {}", help.out);
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_a_hint() {
    for (arguments, hint) in [
        (&["chek"][..], "check"),
        (&["explain"], "--pod"),
        (&["run", "--sandbox", "--config", "x.toml"], "cannot be used with"),
        (&["explain", "--pod", "a/b", "--output", "yaml"], "text, json"),
        (&[], "Usage"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.err.contains(hint) && ran.out.is_empty(), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("metagate") && ran.out.contains("explain"), "{shell}: {}", ran.out);
    }
}

#[test]
fn a_missing_configuration_file_is_named() {
    for command in ["check", "config", "run"] {
        let ran = run(&[command, "--config", "no-such-folder/metagate.toml"]);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{command}");
        let expected =
            "metagate: no-such-folder/metagate.toml: there is no such file\nhelp: name another file with --config\n";
        assert_eq!(ran.err, expected, "{command}");
    }
}

#[test]
fn check_accepts_the_sandbox() {
    let ran = run(&["check", "--config", &example("sandbox.toml")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out, "ok: the configuration is valid, and 3 plugins load\n");
}

#[test]
fn check_names_every_fault_of_the_configuration_with_its_place() {
    let wrong = "[imds]\ntoken = \"maybe\"\n[policy]\nmode = \"lenient\"\n[pod]\nlisten = \"0.0.0.0:80\"\n";
    let folder = Folder::with("metagate.toml", wrong);
    let file = folder.path("metagate.toml");
    let ran = run(&["check", "--config", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    for fault in [":2:9: imds.token:", ":4:8: policy.mode:", ":5:2: pod:"] {
        assert!(ran.err.contains(&format!("{file}{fault}")), "{fault} is not in: {}", ran.err);
    }
}

#[test]
fn check_opens_every_file_that_the_configuration_names_and_reports_each() {
    let folder = sandbox_and(
        "[[plugin]]\nname = \"no-file\"\npath = \"no-such.wasm\"\n\
         [[plugin]]\nname = \"no-component\"\npath = \"roster.toml\"\n\
         [[plugin]]\nname = \"no-key\"\nbuiltin = \"annotations\"\nconfig = { colour = 1 }\n",
    )
    .and("roster.toml", "[[workload]]\nnamespace = \"a\"\npod = \"b\"\n");
    let text = fs::read_to_string(folder.path("metagate.toml")).unwrap();
    let text = text.replace("source = \"sandbox\"              #", "source = \"fixed\"\nfile = \"roster.toml\" #");
    assert!(text.contains("file = "), "the sandbox's roster is written differently");
    fs::write(folder.path("metagate.toml"), text).unwrap();

    let ran = run(&["check", "--config", &folder.path("metagate.toml")]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    for fault in [
        "roster.toml:1:1:",
        "plugin no-file:",
        "no-such.wasm: No such file",
        "plugin no-component: is not a component",
        "plugin no-key failed: colour: unknown field `colour`",
    ] {
        assert!(ran.err.contains(fault), "{fault} is not in: {}", ran.err);
    }
}

#[test]
fn check_verifies_pin_and_signature_and_stores_compiled_plugins_only_where_a_gateway_does() {
    let key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let folder = sandbox_and(&format!(
        "[[plugin]]\nname = \"pinned\"\npath = \"a.wasm\"\nsha256 = \"{}\"\n\
         [[plugin]]\nname = \"unsigned\"\npath = \"a.wasm\"\n\
         [plugin_files]\npublic_keys = [\"{key}\"]\ncompiled = \"compiled\"\ncompiled_key_file = \"key\"\n",
        "AB".repeat(32)
    ))
    .and("a.wasm", "nonsense");
    let file = folder.path("metagate.toml");
    let ran = run(&["check", "--config", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    for fault in ["plugin pinned: ", "but the configuration pins abab", "plugin unsigned: ", "a.wasm.sig is missing"] {
        assert!(ran.err.contains(fault), "{fault} is not in: {}", ran.err);
    }
    assert!(!Path::new(&folder.path("compiled")).exists() && !Path::new(&folder.path("key")).exists());

    fs::write(folder.path("key"), "\n").unwrap();
    fs::set_permissions(folder.path("key"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(folder.path("compiled")).unwrap();
    fs::set_permissions(folder.path("compiled"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(&["check", "--config", &file]);
    let fault = "plugin_files.compiled_key_file: ";
    assert_eq!((ran.code, ran.err.matches(fault).count()), (78, 1), "{}", ran.err);
}

#[test]
fn config_prints_the_origin_of_each_value() {
    let folder = Folder::with("metagate.toml", "[imds]\ntoken = \"required\"\n");
    let file = folder.path("metagate.toml");
    let mut command = metagate(&["config", "--config", &file]);
    let ran = ended(command.env("METAGATE_POLICY__MODE", "audit").output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let line = |key: &str| ran.out.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("token = \"required\"").ends_with(&format!("# {file}:2")), "{}", ran.out);
    assert!(line("mode = \"audit\"").ends_with("METAGATE_POLICY__MODE"), "{}", ran.out);
    assert!(line("idle_timeout = ").ends_with("# default"), "{}", ran.out);
}

#[test]
fn config_is_json_for_programs() {
    let ran = run(&["config", "--config", &example("sandbox.toml"), "--output", "json"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("127.0.0.1:8181"), "{}", ran.out);
    serde_json::from_str::<Value>(&ran.out).unwrap();
}

/// Killed if the test ends first.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loopback address that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_sandbox_answers_until_sigterm_ends_it_with_0() {
    let folder = Folder::with("metagate.toml", "");
    let (pods, admin) = (free_address(), format!("unix:{}", folder.path("admin.sock")));
    let on_free_places = |command: &mut Command| {
        command.env("METAGATE_PODS__LISTEN", &pods).env("METAGATE_ADMIN__LISTEN", &admin);
    };
    let mut command = metagate(&["run", "--sandbox"]);
    on_free_places(&mut command);
    let mut gateway = Gateway(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(gateway.0.stderr.take().unwrap()).lines();
    // These lines are printed once it listens; the stream ends if it never does.
    let printed: Vec<String> =
        lines.by_ref().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C")).collect();
    assert!(printed.iter().any(|line| line.contains("The sandbox is up")), "{printed:#?}");
    assert!(printed.iter().any(|line| line.contains(&pods)), "{printed:#?}");

    let mut pod = TcpStream::connect(&pods).unwrap();
    pod.write_all(
        b"PUT /latest/api/token HTTP/1.0\r\nHost: localhost\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n",
    )
    .unwrap();
    let mut answer = String::new();
    pod.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK\r\n"), "{answer}");

    let mut explain = metagate(&["explain", "--pod", "guests/visitor-0", "--config", &example("sandbox.toml")]);
    on_free_places(&mut explain);
    let explained = ended(explain.output().unwrap());
    assert_eq!(explained.code, 3, "{}", explained.err);
    assert!(explained.out.contains("role-not-permitted"), "{}", explained.out);

    let second = metagate(&["run", "--sandbox"]).env("METAGATE_PODS__LISTEN", &pods).output().map(ended).unwrap();
    assert_eq!(second.code, 1, "two gateways have one address");
    assert!(second.err.contains(&pods) && second.err.contains("is another gateway running?"), "{}", second.err);

    let terminate = Command::new("kill").args(["-TERM", &gateway.0.id().to_string()]).status().unwrap();
    assert!(terminate.success());
    assert_eq!(gateway.0.wait().unwrap().code(), Some(0));
    let mut out = String::new();
    gateway.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, "", "a log does not belong on standard output");
}

/// A gateway with the configuration in `folder`, its log as it comes, and the exit code of `explain` for the visitor.
struct Running {
    gateway: Gateway,
    log: Box<dyn Iterator<Item = String>>,
    config: String,
    places: [(&'static str, String); 3],
}

impl Running {
    fn over(folder: &Folder) -> Self {
        let config = folder.path("metagate.toml");
        let places = [
            ("METAGATE_PODS__LISTEN", free_address()),
            ("METAGATE_ADMIN__LISTEN", format!("unix:{}", folder.path("admin.sock"))),
            ("METAGATE_TELEMETRY__LOG_FORMAT", "json".to_owned()),
        ];
        let mut command = metagate(&["run", "--config", &config]);
        let mut gateway = Gateway(command.envs(places.clone()).stderr(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(gateway.0.stderr.take().unwrap()).lines();
        let mut running = Self { gateway, log: Box::new(lines.map_while(Result::ok)), config, places };
        running.line_with("metagate listens");
        running
    }

    /// The next line that contains this word. The stream ends, and the test with it, if the gateway does.
    fn line_with(&mut self, word: &str) -> Value {
        let line = self.log.find(|line| line.contains(word)).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn explains_the_visitor(&self) -> i32 {
        let mut command = metagate(&["explain", "--pod", "guests/visitor-0", "--config", &self.config]);
        ended(command.envs(self.places.clone()).output().unwrap()).code
    }
}

#[test]
fn a_changed_configuration_applies_without_a_restart_and_a_wrong_one_changes_nothing() {
    let folder = sandbox_and("");
    let sandbox = fs::read_to_string(folder.path("metagate.toml")).unwrap();
    let mut running = Running::over(&folder);
    assert_eq!(running.explains_the_visitor(), 3);

    let audited = format!("{sandbox}\n[policy]\nmode = \"audit\"\n");
    fs::write(folder.path("metagate.toml"), &audited).unwrap();
    assert_eq!(running.line_with("configuration ")["message"], "configuration reloaded");
    assert_eq!(running.explains_the_visitor(), 0, "policy is in audit mode now");

    fs::write(folder.path("metagate.toml"), audited.replace("\"audit\"", "\"perhaps\"")).unwrap();
    let refused = running.line_with("configuration ");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("not reloaded") && message.contains("policy.mode"), "{message}");
    // explain would read the wrong file too, so it gets the last good one.
    fs::write(folder.path("good.toml"), &audited).unwrap();
    running.config = folder.path("good.toml");
    assert_eq!(running.explains_the_visitor(), 0, "the last good one stays");

    fs::write(folder.path("metagate.toml"), sandbox.replace("region = \"eu-west-1\"", "region = \"eu-west-2\""))
        .unwrap();
    let partly = running.line_with("configuration ");
    assert_eq!(partly["restart_for"], "credentials.region");
    assert_eq!(running.explains_the_visitor(), 3, "policy enforces again");

    let hangup = Command::new("kill").args(["-HUP", &running.gateway.0.id().to_string()]).status().unwrap();
    assert!(hangup.success());
    assert!(running.line_with("configuration ")["message"].as_str().unwrap().contains("configuration reloaded"));
}

#[test]
fn each_refusal_leaves_one_record_without_a_secret() {
    let folder = sandbox_and("");
    let mut running = Running::over(&folder);
    let mut pod = TcpStream::connect(&running.places[0].1).unwrap();
    pod.write_all(b"GET /latest/meta-data/iam/info HTTP/1.0\r\nX-aws-ec2-metadata-token: c2VjcmV0\r\n\r\n").unwrap();
    pod.read_to_end(&mut Vec::new()).unwrap();
    let line = running.line_with("metagate::decision");
    let field_of = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (field_of("outcome"), field_of("route"), field_of("peer")),
        ("token-not-genuine".into(), "/latest/meta-data/iam/info".into(), "127.0.0.1".into())
    );
    assert_eq!(line["status"], 401);
    assert!(line["by"].is_null(), "policy was not asked: {line}");
    assert!(!line.to_string().contains("c2VjcmV0"));
}

#[test]
fn a_roster_of_kubernetes_needs_an_api_server_and_the_node_s_name() {
    let nowhere = Folder::with("metagate.toml", "");
    let absent = Folder::with("metagate.toml", "kubernetes.kubeconfig = 'absent.yaml'\n");
    let nameless = Folder::with("metagate.toml", "kubernetes.kubeconfig = 'kubeconfig.yaml'\n");
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
        clusters: [{name: here, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        contexts: [{name: here, context: {cluster: here, user: me}}]\nusers: [{name: me, user: {}}]\n";
    std::fs::write(nameless.path("kubeconfig.yaml"), kubeconfig).unwrap();
    for (command, folder, code, words) in [
        ("run", &nowhere, 78, "kubernetes.kubeconfig"),
        ("run", &absent, 78, "absent.yaml"),
        ("run", &nameless, 78, "roster.node"),
        ("check", &absent, 78, "absent.yaml"),
        ("check", &nameless, 0, ""),
    ] {
        let ran = run(&[command, "--config", &folder.path("metagate.toml")]);
        assert_eq!(ran.code, code, "{command}: {}", ran.err);
        assert!(ran.err.contains(words), "{command}: {}", ran.err);
    }
}
