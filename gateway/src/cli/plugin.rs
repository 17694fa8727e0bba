//! `metagate plugin`

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use clap::{Subcommand, ValueEnum};
use metagate::{
    authoring::{self, Cases, Inspection, Kind, Language, Project},
    plugin::{Access, Host},
};

use super::{BAD_CONFIG, DENIED, Failure, Output, block_on, print, tell};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a plugin: a project that builds, with a small policy, its tests and its cases
    #[command(after_help = "Writes a folder named after the plugin, which must be absent or empty, and prints the \
        next commands.\n\n\
        Example: metagate plugin new office-hours --lang rust\n         \
        cd office-hours\n         \
        cargo build --release --target wasm32-unknown-unknown\n         \
        metagate plugin test target/wasm32-unknown-unknown/release/office_hours.wasm")]
    New {
        /// 1 to 63 characters of a-z, 0-9 and -, beginning with a letter; it appears in metrics and refusals
        name: String,
        /// The language to write it in
        #[arg(long, value_enum, value_name = "LANGUAGE")]
        lang: Lang,
        /// Where to write the project's folder
        #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
        parent: PathBuf,
    },
    /// Show what a component is: digest, interface, imports, cost, and whether the gateway would load it
    #[command(after_help = "Runs only its init. The last lines are the [[plugin]] table for metagate.toml.\n\
        Exit code: 0 the gateway would load it, 78 it would not, or not with this configuration.\n\n\
        Example: metagate plugin inspect office-hours.wasm --config '{\"open\": \"08:00\", \"close\": \"18:00\"}'")]
    Inspect {
        /// The component file
        file: PathBuf,
        /// The configuration that init reads, a JSON object [default: {}]
        #[arg(long, value_name = "JSON")]
        config: Option<String>,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Test a plugin with cases, in the same sandbox and under the same limits as in the gateway
    #[command(after_help = "Without --cases it reads cases.toml beside FILE, else in the current folder:\n\n  \
        [[case]]\n  \
        name = \"an admin role is for trusted pods\"\n  \
        workload = { namespace = \"payments\", pod = \"checkout-0\", labels = { tier = \"public\" } }\n  \
        role = \"admin/dba\"\n  \
        [case.expect]\n  \
        resolve = \"abstain\"\n  \
        authorize = { deny = \"not-trusted\" }\n\n\
        Exit code: 0 every case is as expected, 3 one is not, 78 the plugin or the cases cannot be used.\n\n\
        Example: metagate plugin test target/wasm32-unknown-unknown/release/office_hours.wasm")]
    Test {
        /// The component file
        file: PathBuf,
        /// The cases and the expected answers [default: cases.toml beside FILE, else in the current folder]
        #[arg(long, value_name = "FILE")]
        cases: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Lang {
    Rust,
    Js,
    Python,
}

pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::New { name, lang, parent } => new(name, *lang, parent),
        Command::Inspect { file, config, output } => inspect(file, config.as_deref(), *output),
        Command::Test { file, cases, output } => test(file, cases.as_deref(), *output),
    }
}

fn new(name: &str, lang: Lang, parent: &Path) -> Result<ExitCode, Failure> {
    let language = match lang {
        Lang::Rust => Language::Rust,
        Lang::Js => Language::JavaScript,
        Lang::Python => Language::Python,
    };
    let project = Project::create(name, language, parent).map_err(anyhow::Error::from)?;
    tell(&format!("{} files written to {}; next:", project.files.len(), project.folder.display()));
    print(&format!("cd {}", project.folder.display()));
    print(&project.commands.join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn test(file: &Path, cases: Option<&Path>, output: Output) -> Result<ExitCode, Failure> {
    let cases = match cases {
        Some(cases) => cases.to_owned(),
        None => default_cases(file)?,
    };
    let text = std::fs::read_to_string(&cases).map_err(|error| unusable(&cases, &error))?;
    let cases = Cases::parse(&cases, &text)?;
    tell_if_long(file);
    let report = block_on(async { Ok(authoring::run(&host()?, &cases, file).await?) })?;
    match output {
        Output::Json => print(&serde_json::to_string_pretty(&report).context("cannot write JSON")?),
        Output::Text => print(&report.text(coloured())),
    }
    Ok(if report.is_passed() { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

const CASES: &str = "cases.toml";

/// The cases file to read where none is named.
fn default_cases(file: &Path) -> Result<PathBuf, Failure> {
    let sibling = file.with_file_name(CASES);
    let here = PathBuf::from(CASES);
    [&sibling, &here].into_iter().find(|cases| cases.is_file()).cloned().ok_or_else(|| {
        let places = if sibling == here { "here".into() } else { format!("here, nor is there {}", sibling.display()) };
        Failure::Unusable(format!("there is no {CASES} {places}\nhelp: name the cases with --cases"))
    })
}

fn inspect(file: &Path, config: Option<&str>, output: Output) -> Result<ExitCode, Failure> {
    let config = config.map(|written| match serde_json::from_str(written) {
        Ok(config @ serde_json::Value::Object(_)) => Ok(config),
        Ok(_) => Err(Failure::Unusable("--config: expected a JSON object, such as {\"open\": \"08:00\"}".into())),
        Err(error) => Err(Failure::Unusable(format!("--config is not JSON: {error}"))),
    });
    let config = config.transpose()?;
    tell_if_long(file);
    let inspection = block_on(async {
        let inspected = authoring::inspect(&host()?, file, config).await;
        inspected.map_err(|error| unusable(file, &error))
    })?;
    match output {
        Output::Json => print(&serde_json::to_string_pretty(&inspection).context("cannot write JSON")?),
        Output::Text => print(described(&inspection).trim_end()),
    }
    Ok(if inspection.loads() { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIG) })
}

fn described(found: &Inspection) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{name:<11} {text}"));
    line("file", found.file.display().to_string());
    line("sha256", found.sha256.clone().unwrap_or_else(|| "(too large to be read)".into()));
    line("size", format!("{} bytes", found.bytes));
    line("kind", kind(found.kind).into());
    if found.compile_microseconds.is_some() {
        let none = || "none: it exports no metagate:policy/plugin".to_owned();
        line("interface", found.interface.as_ref().map_or_else(none, |version| format!("metagate:policy@{version}")));
        list(&mut line, "exports", found.exports.clone());
        let imports = found.imports.iter().map(|import| format!("{:<36} {}", import.name, access(import.access)));
        list(&mut line, "imports", imports.collect());
    }
    if let Some(took) = found.compile_microseconds {
        line("compiles in", format!("{} ms", took / 1000));
    }
    if let Some((memory, took)) = found.memory_bytes.zip(found.init_microseconds) {
        let limit = found.memory_limit_bytes >> 10;
        line("starts in", format!("{took} µs, with {} KiB of memory (of {limit} by default)", memory >> 10));
    }
    if let Some(interest) = &found.interest {
        let read = interest.iter().filter(|(_, keys)| !keys.is_empty());
        let read: Vec<String> = read.map(|(list, keys)| format!("{list}: {}", keys.join(", "))).collect();
        list(&mut line, "reads", if read.is_empty() { vec!["only a pod's names".into()] } else { read });
    }
    if found.wants_clock {
        line("", "the time, which the operator must permit with clock = true".into());
    }
    match (&found.refused, &found.needs_config) {
        (Some(why), _) => line("loads", format!("no: {why}")),
        (None, Some(why)) => line("loads", format!("not without a configuration (give one with --config): {why}")),
        (None, None) => line("loads", "yes".into()),
    }
    lines.extend(found.table.iter().map(|table| format!("\n{table}")));
    lines.join("\n")
}

fn list(line: &mut impl FnMut(&str, String), name: &str, items: Vec<String>) {
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    names.zip(items).for_each(|(name, item)| line(name, item));
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Component => "component",
        Kind::Module => "core module",
        Kind::Other => "not WebAssembly",
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Allowed => "allowed",
        Access::Trapped => "trapped when called",
        Access::Refused => "refused",
    }
}

/// A component that includes its language's runtime takes seconds to compile; one without takes less than a second.
fn tell_if_long(file: &Path) {
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
    if bytes > 1 << 20 {
        tell(&format!("compiling {} ({:.1} MB), which takes some seconds", file.display(), bytes as f64 / 1e6));
    }
}

fn host() -> Result<Host, Failure> {
    Ok(Host::new().map_err(|error| anyhow!("{error}"))?)
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Unusable(format!("{}: {error}", path.display()))
}

/// Colour on a terminal, unless the user wants none (no-color.org).
fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
