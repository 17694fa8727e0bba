//! For the commands of the Makefile, cargo compiles nothing large twice.
//!
//! `--unit-graph` lists each call of rustc that a command would make, and builds nothing. It is unstable:
//! RUSTC_BOOTSTRAP enables it in the toolchain that rust-toolchain.toml pins.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what it expects by them"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    process::Command,
};

use serde_json::Value;

/// How `make test`, `make demo`, `make instructions` and `make bench` call cargo.
const TESTS: &[&str] = &["test", "--workspace", "--no-run"];
const DEMO: &[&str] = &["build", "--workspace", "--bin", "metagate"];
const INSTRUCTIONS: &[&str] =
    &["bench", "--config", "bench/instructions.toml", "--profile", "dev", "--workspace", "--bench", "instructions"];
const RELEASE: &[&str] = &["build", "--release", "--package", "metagate"];
/// How `deploy/images/cross.sh` calls cargo.
const CROSS: &[&str] = &[
    "build",
    "--release",
    "--package",
    "metagate",
    "--target",
    "aarch64-unknown-linux-gnu",
    "--features",
    "metagate-plugin-artifacts/cross",
];

/// Calls of rustc and of build scripts. Each names its dependencies by their index in this list.
struct Graph(Vec<Value>);

impl Graph {
    fn of(command: &[&str]) -> Self {
        let output = Command::new(env!("CARGO"))
            .args(command)
            .args(["--unit-graph", "-Z", "unstable-options"])
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mut graph: Value = serde_json::from_slice(&output.stdout).unwrap();
        let Value::Array(mut units) = graph["units"].take() else { panic!("{command:?} has no units") };
        for unit in &mut units {
            // It differs between `test` and `build`, but does not change the call of rustc.
            unit["profile"]["name"].take();
        }
        Self(units)
    }

    fn needs(&self, unit: usize) -> impl Iterator<Item = usize> {
        let needs = self.0[unit]["dependencies"].as_array().unwrap();
        needs.iter().map(|needed| needed["index"].as_u64().unwrap().try_into().unwrap())
    }

    fn text(&self, unit: usize, keys: &[&str]) -> String {
        keys.iter().map(|key| self.0[unit][key].to_string()).collect()
    }

    /// Name, version and features.
    fn named(&self, unit: usize) -> String {
        let package = self.0[unit]["pkg_id"].as_str().unwrap();
        format!("{} {}", package.rsplit('#').next().unwrap(), self.0[unit]["features"])
    }

    /// `wasmtime` and all its dependencies.
    fn wasmtime(&self) -> BTreeSet<usize> {
        let is_wasmtime = |unit: &usize| self.0[*unit]["target"]["name"] == "wasmtime";
        let mut open: Vec<usize> = (0..self.0.len()).filter(is_wasmtime).collect();
        assert!(!open.is_empty());
        let mut found = BTreeSet::new();
        while let Some(unit) = open.pop() {
            if found.insert(unit) {
                open.extend(self.needs(unit));
            }
        }
        found
    }

    /// The features of the compiler below wasmtime, for a target or, without one, for this machine.
    fn compiler(&self, target: Option<&str>) -> BTreeSet<&str> {
        let is_compiler = |unit: &&Value| {
            unit["target"]["name"] == "cranelift_codegen"
                && unit["target"]["kind"] == serde_json::json!(["lib"])
                && unit["platform"].as_str() == target
        };
        let units: Vec<_> = self.0.iter().filter(is_compiler).collect();
        let [unit] = units.as_slice() else { panic!("{} compilers for {target:?}", units.len()) };
        unit["features"].as_array().unwrap().iter().map(|feature| feature.as_str().unwrap()).collect()
    }

    /// A digest of each unit from outside this workspace. Units with equal digests in two graphs are built only once.
    fn digests(&self) -> BTreeMap<usize, u64> {
        fn digest(graph: &Graph, unit: usize, known: &mut HashMap<usize, u64>) -> u64 {
            if let Some(known) = known.get(&unit) {
                return *known;
            }
            let mut needs: Vec<_> = graph.needs(unit).map(|unit| digest(graph, unit, known)).collect();
            needs.sort();
            let mut hasher = DefaultHasher::new();
            (graph.text(unit, &["pkg_id", "target", "mode", "profile", "features"]), needs).hash(&mut hasher);
            let digest = hasher.finish();
            known.insert(unit, digest);
            digest
        }
        let mut known = HashMap::new();
        let is_foreign = |unit: &usize| self.0[*unit]["pkg_id"].as_str().unwrap().starts_with("registry+");
        (0..self.0.len()).filter(is_foreign).map(|unit| (unit, digest(self, unit, &mut known))).collect()
    }
}

/// For each crate that is compiled more than once, all its calls.
fn twice(graph: &Graph) -> Vec<Vec<usize>> {
    let mut calls: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for unit in graph.wasmtime() {
        calls.entry(graph.text(unit, &["pkg_id", "target", "mode"])).or_default().push(unit);
    }
    calls.into_values().filter(|calls| calls.len() > 1).collect()
}

const MEND: &str = "Add the features that one side lacks to plugins/artifacts/unified-features/Cargo.toml.";

#[test]
fn neither_wasmtime_nor_anything_below_it_is_compiled_twice() {
    for command in [TESTS, DEMO, INSTRUCTIONS, RELEASE] {
        let graph = Graph::of(command);
        let twice = twice(&graph);
        // All others are compiled twice because of these crates.
        let named = twice.iter().map(|calls| calls.iter().map(|unit| graph.named(*unit)).collect::<BTreeSet<_>>());
        let causes: BTreeSet<_> = named.filter(|named| named.len() > 1).collect();
        assert!(
            twice.is_empty(),
            "`cargo {}` calls rustc twice for {} crates below wasmtime, because of {causes:#?}\n{MEND}",
            command.join(" "),
            twice.len(),
        );
    }
}

#[test]
fn demo_and_instruction_counts_compile_no_dependency_that_the_tests_do_not() {
    let tests: BTreeSet<u64> = Graph::of(TESTS).digests().into_values().collect();
    for command in [DEMO, INSTRUCTIONS] {
        let graph = Graph::of(command);
        let digests = graph.digests();
        let again = |unit: &usize| digests.get(unit).is_some_and(|digest| !tests.contains(digest));
        let others: Vec<_> = digests.keys().copied().filter(again).collect();
        // All others are compiled again because of these crates.
        let causes = others.iter().filter(|unit| !graph.needs(**unit).any(|needed| again(&needed)));
        let causes: BTreeSet<_> = causes.map(|unit| graph.named(*unit)).collect();
        assert!(
            others.is_empty(),
            "`cargo {}` calls rustc for {} crates that the tests build with other features: {causes:#?}\n{MEND}",
            command.join(" "),
            others.len(),
        );
    }
}

#[test]
fn a_build_for_another_architecture_adds_compilers_to_the_build_script_only() {
    let (release, cross) = (Graph::of(RELEASE), Graph::of(CROSS));
    let release = release.compiler(None);
    assert_eq!(cross.compiler(Some("aarch64-unknown-linux-gnu")), release);
    let added: Vec<_> = cross.compiler(None).difference(&release).copied().collect();
    assert_eq!(added, ["arm64", "x86"]);
}
