//! What a program prints, kept as a file beside its plots: the machine, the date and the revision, then the figures.

use std::{
    fmt::Display,
    fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

pub struct Report {
    name: &'static str,
    text: String,
    /// The folder for text and plots, if any.
    folder: Option<PathBuf>,
}

impl Report {
    /// `name` is that of the program, and part of its files' names.
    pub fn begin(name: &'static str, folder: Option<PathBuf>) -> Result<Self> {
        let mut report = Self { name, text: String::new(), folder };
        report.line(format_args!("{name}, {}, revision {}", today(), revision()))?;
        report.line(machine())?;
        Ok(report)
    }

    /// Prints at once, because some figures take minutes.
    pub fn line(&mut self, line: impl Display) -> Result<()> {
        let line = line.to_string();
        writeln!(stdout().lock(), "{line}")?;
        self.text.push_str(&line);
        self.text.push('\n');
        Ok(())
    }

    /// Where a plot of that name goes, if anywhere.
    pub fn plot(&self, what: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{}-{what}.svg", self.name)))
    }

    pub fn keep(&self) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = folder.join(format!("{}-{}.txt", today(), self.name));
        fs::write(&file, &self.text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Processor, cores, kernel and compiler, because figures of two machines are not comparable.
pub fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores of {model}, Linux {}, {}", kernel.trim(), output_of("rustc", &["--version"]))
}

fn today() -> String {
    output_of("date", &["+%F"])
}

fn revision() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).to_string_lossy().into_owned();
    output_of("git", &["-C", &here, "describe", "--always", "--dirty", "--exclude=*"])
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let output = output.and_then(|output| String::from_utf8(output.stdout).ok());
    output.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Shows on standard error that the work goes on; the report does not contain it.
pub fn progress(what: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "… {what}");
}
