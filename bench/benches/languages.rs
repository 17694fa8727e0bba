//! What the same rule, that of `metagate plugin new`, costs as a plugin in Rust, JavaScript and Python. `make
//! languages` builds the JavaScript and Python plugins; without them nothing is measured.
//!
//! The bench ends by itself after one to three minutes, most of them for compiling Python.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use metagate::{
    config::{self, Mode, PluginCode},
    plugin::{Compiled, Host, Plugin, RoleView, SourceView, Verdict, WorkloadView},
};
use metagate_bench::threads::runtime;
use metagate_plugin_artifacts::EXAMPLE_TRUSTED_ADMIN;

const LANGUAGES: [&str; 3] = ["Rust", "JavaScript", "Python"];
/// The languages take turns, so that other work on the machine affects all of them alike.
const ROUNDS: usize = 5;
const DECISIONS: usize = 200;
const MEMORY: usize = 32 << 20;

fn main() -> Result<()> {
    let runtime = runtime("plugins")?;
    let built = env::var_os("METAGATE_LANGUAGES").map(PathBuf::from);
    let built = built.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages"));
    let built = built.join("components");
    if !built.is_dir() {
        writeln!(std::io::stderr(), "SKIPPED, as {} does not exist: run `make languages`", built.display())?;
        return Ok(());
    }
    let read = |name: &str| {
        let path = built.join(name);
        fs::read(&path).with_context(|| path.display().to_string())
    };
    let components = [EXAMPLE_TRUSTED_ADMIN.to_vec(), read("js.wasm")?, read("python.wasm")?];
    let mut measured = components.map(Measured::of);
    let host = Host::new()?;
    for _ in 0..ROUNDS {
        for language in &mut measured {
            runtime.block_on(language.round(&host))?;
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "| | component | compiled in | an instance | starts in | resolve | authorize | a decision |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for (name, language) in LANGUAGES.iter().zip(&mut measured) {
        writeln!(out, "| {name} | {} |", language.row()?)?;
    }
    Ok(())
}

struct Measured {
    wasm: Vec<u8>,
    memory: usize,
    compiled: Vec<Duration>,
    started: Vec<Duration>,
    resolved: Vec<Duration>,
    authorized: Vec<Duration>,
    decided: Vec<Duration>,
}

impl Measured {
    fn of(wasm: Vec<u8>) -> Self {
        let [compiled, started, resolved, authorized, decided] = [const { Vec::new() }; 5];
        Self { wasm, memory: 0, compiled, started, resolved, authorized, decided }
    }

    /// Compiles the plugin anew, then asks it as the gateway does: a fresh instance for each decision.
    async fn round(&mut self, host: &Host) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), &self.wasm)?;
        let settings = settings(file.path());
        let began = Instant::now();
        let compiled = Compiled::of(host, &settings).await?;
        self.compiled.push(began.elapsed());
        let plugin = Plugin::configured(host, &compiled, settings).await?;
        let (workload, role) = (workload(), role());
        for _ in 0..DECISIONS {
            let began = Instant::now();
            let mut instance = plugin.instance(host).await?;
            let started = Instant::now();
            instance.resolve(&workload).await?;
            let resolved = Instant::now();
            let verdict = instance.authorize(&workload, &role).await?;
            let authorized = Instant::now();
            self.memory = instance.memory();
            drop(instance);
            self.decided.push(began.elapsed());
            self.started.push(started - began);
            self.resolved.push(resolved - started);
            self.authorized.push(authorized - resolved);
            if !matches!(verdict, Verdict::Deny(_)) {
                return Err(anyhow!("expected a denial, got {verdict:?}"));
            }
        }
        Ok(())
    }

    fn row(&mut self) -> Result<String> {
        let size = self.wasm.len() / 1000;
        let memory = self.memory as f64 / f64::from(1 << 20);
        let compiled = median(&mut self.compiled)?.as_secs_f64();
        let micros = [&mut self.started, &mut self.resolved, &mut self.authorized, &mut self.decided];
        let mut micros = micros.into_iter().map(|took| Ok(format!("{} µs", median(took)?.as_micros())));
        let micros = micros.by_ref().collect::<Result<Vec<_>>>()?.join(" | ");
        Ok(format!("{size} KB | {compiled:.2} s | {memory:.1} MiB | {micros}"))
    }
}

fn median(took: &mut [Duration]) -> Result<Duration> {
    took.sort_unstable();
    took.get(took.len() / 2).copied().context("nothing was measured")
}

fn settings(file: &Path) -> config::Plugin {
    config::Plugin {
        name: "measured".to_owned(),
        code: PluginCode::File { path: file.to_owned(), sha256: None },
        mode: Mode::Enforce,
        timeout: Duration::from_millis(50),
        memory: MEMORY,
        clock: false,
        cache: Duration::from_secs(60),
        config: serde_json::json!({}),
    }
}

fn workload() -> WorkloadView {
    WorkloadView {
        namespace: "payments".to_owned(),
        pod: "checkout-0".to_owned(),
        uid: "2f1c4f0e-6c0e-4d5b-9f5e-0c7d8a1b2c3d".to_owned(),
        service_account: "checkout".to_owned(),
        node: "node-1".to_owned(),
        ips: vec!["10.0.0.7".to_owned()],
        labels: vec![("tier".to_owned(), "public".to_owned())],
        annotations: Vec::new(),
        namespace_labels: Vec::new(),
        namespace_annotations: Vec::new(),
        service_account_annotations: Vec::new(),
        attributes: Vec::new(),
    }
}

fn role() -> RoleView {
    RoleView {
        arn: "arn:aws:iam::123456789012:role/admin/dba".to_owned(),
        source: SourceView::AssumeRole,
        session_name: Some("payments.checkout-0".to_owned()),
        external_id: None,
        duration_seconds: Some(3600),
        tags: Vec::new(),
        session_policy: None,
        policy_arns: Vec::new(),
        attributes: Vec::new(),
    }
}
