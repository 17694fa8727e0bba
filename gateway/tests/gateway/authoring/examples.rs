//! Every plugin of `plugins/examples`: it is built and run with its own cases, and its README's table is read as a
//! configuration.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use metagate::{
    authoring::{self, Case, Cases, Report},
    config::{self, Sources},
    workload::Workload,
};
use metagate_plugin_artifacts::testing::EXAMPLES;
use serde_json::Value;

use super::{Folder, host};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples")
}

fn read(example: &str, file: &str) -> String {
    let path = examples().join(example).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The kinds of answers in all cases, such as `authorize deny`.
fn answers(report: &Report) -> BTreeSet<String> {
    let asked = report.cases.iter().flat_map(|trial| &trial.phases);
    let kind = |answer: &str| answer.split([' ', ':']).next().unwrap_or_default().to_owned();
    asked.map(|asked| format!("{} {}", asked.phase.key(), kind(&asked.answer))).collect()
}

#[test]
fn every_example_folder_is_built_and_documented() {
    let folders: BTreeSet<String> = fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let built: BTreeSet<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, built);
    let table = fs::read_to_string(examples().join("README.md")).unwrap();
    let undocumented: Vec<_> = built.iter().filter(|name| !table.contains(&format!("[{name}]({name})"))).collect();
    assert!(undocumented.is_empty(), "not in the table of plugins/examples/README.md: {undocumented:?}");
}

/// The example's own cases, and one with the README's configuration. They run together, as compiling an example takes
/// seconds.
fn cases(example: &str) -> Cases {
    let file = format!("{example}/cases.toml");
    let mut cases =
        Cases::parse(Path::new(&file), &read(example, "cases.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let pasted = pasted(example);
    // The clock is a setting of the plugin, not of a case.
    assert_eq!(pasted.clock, cases.settings(Path::new(&file), Value::Null).clock, "{example}: clock");
    let name = "the example accepts the README's table".to_owned();
    let expectations = Vec::new();
    cases.cases.push(Case { name, config: pasted.config, now: None, workload: Workload::default(), expectations });
    cases
}

/// The first TOML block of the README, as the gateway reads it.
fn pasted(example: &str) -> config::Plugin {
    let readme = read(example, "README.md");
    let lines = readme.lines().skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    let table = lines.map(|line| format!("{line}\n")).collect();
    let file = Some((PathBuf::from(format!("{example}/README.md")), table));
    let loaded = config::load(&Sources { file, ..Sources::default() }).unwrap_or_else(|faults| panic!("{faults}"));
    let [plugin] = loaded.config.plugins.try_into().unwrap_or_else(|_| panic!("{example}: not one plugin"));
    assert_eq!(plugin.name, example);
    plugin
}

#[tokio::test]
async fn every_example_answers_as_its_cases_expect_and_accepts_its_readmes_table() {
    for (name, wasm) in EXAMPLES {
        let folder = Folder::with(&[("guest.wasm", wasm)]);
        let report = authoring::run(host(), &cases(name), &folder.file("guest.wasm")).await;
        let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.is_passed(), "{name}\n{}", report.text(false));
        for trial in &report.cases {
            assert!(trial.passed && !trial.phases.is_empty(), "{name}: {}", trial.name);
        }
        let answers = answers(&report);
        let denies = answers.iter().any(|answer| answer.ends_with(" deny"));
        let passes = answers.iter().any(|answer| answer.ends_with(" allow") || answer.ends_with(" abstain"));
        assert!(denies && passes, "{name} needs a case with a denial and one without: {answers:?}");
        assert!(answers.contains("init failed"), "{name} has no case of a configuration that it refuses: {answers:?}");
    }
}
