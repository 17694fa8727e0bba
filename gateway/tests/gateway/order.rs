//! The order of modules in `lib.rs` is the order of dependence.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects by them")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The modules of `lib.rs`, from the top down.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(SOURCES).join("lib.rs")).unwrap();
    let declared = |line: &&str| line.contains("mod ") && line.ends_with(';');
    let name = |line: &str| {
        let name = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
        name.unwrap_or_else(|| panic!("`{line}`: a module of lib.rs is `pub mod NAME;`")).to_owned()
    };
    lib.lines().filter(declared).map(name).collect()
}

/// Every source file of a module, except those that are compiled for tests only.
fn files(module: &str) -> Vec<PathBuf> {
    let single = Path::new(SOURCES).join(format!("{module}.rs"));
    if single.is_file() {
        let folder = Path::new(SOURCES).join(module);
        assert!(!folder.is_dir(), "{module}.rs beside {module}/: a module with children is {module}/mod.rs");
        return vec![single];
    }
    let (mut found, mut folders) = (Vec::new(), vec![Path::new(SOURCES).join(module)]);
    while let Some(folder) = folders.pop() {
        let parent = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        let tests = test_modules(&parent);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if tests.contains(path.file_stem().unwrap().to_str().unwrap()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The modules that this text declares for tests only.
fn test_modules(text: &str) -> BTreeSet<&str> {
    let after = text.split("#[cfg(test)]").skip(1).filter_map(|rest| rest.trim_start().lines().next());
    after.filter_map(|line| line.strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name)).collect()
}

/// The crate's modules that this text names: in `use crate::…` with or without braces, and in paths within code. Comments and
/// inline tests do not count.
fn named(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let code = match code.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => &code[..tests],
        None => &code,
    };
    let mut modules = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(list) => modules.extend(first_of_each(list)),
            None => modules.extend(identifier(path)),
        }
    }
    modules
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    Some(name).filter(|name| !name.is_empty())
}

/// The first segment of each path in a list in braces, up to the closing brace.
fn first_of_each(list: &str) -> Vec<String> {
    let (mut depth, mut starts) = (0, vec![0]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().filter_map(|at| identifier(&list[at..])).collect()
}

/// The modules that a module's text names and that do not stand below it.
fn arrows_up(order: &[String], module: &str, text: &str) -> Vec<String> {
    let floor = |name: &str| order.iter().position(|module| module == name);
    let own = floor(module).unwrap();
    named(text).into_iter().filter(|name| name != module && floor(name).is_some_and(|other| other < own)).collect()
}

#[test]
fn no_module_uses_one_that_stands_above_it() {
    let order = order();
    let mut wrong = Vec::new();
    for module in &order {
        for file in files(module) {
            let text = fs::read_to_string(&file).unwrap();
            // In a module's own file `super` is the crate.
            let is_own = file.ends_with(format!("{module}.rs")) || file.ends_with(format!("{module}/mod.rs"));
            let text = if is_own { text.replace("super::", "crate::") } else { text };
            let up = arrows_up(&order, module, &text);
            let file = file.strip_prefix(SOURCES).unwrap().display().to_string();
            wrong
                .extend(up.into_iter().map(|other| format!("{file} uses crate::{other}, which stands above {module}")));
        }
    }
    assert!(wrong.is_empty(), "lib.rs lists modules in the order of dependence, but\n{}", wrong.join("\n"));
}

#[test]
fn an_arrow_that_runs_up_is_found_however_it_is_written() {
    let order = ["app", "policy", "clock"].map(str::to_owned);
    for text in [
        "use crate::app;",
        "use crate::app::App;",
        "use crate::{clock::Clock, app::{self, App}};",
        "use crate::{\n    app::App,\n    clock::Clock,\n};",
        "fn build() -> crate::app::App { todo!() }",
    ] {
        assert_eq!(arrows_up(&order, "policy", text), ["app"], "{text}");
    }
    for text in [
        "use crate::clock::Clock;",
        "use crate::policy::Rules;",
        "// crate::app builds it.",
        "use crate::clock::{app, Clock};",
        "#[cfg(test)]\nmod tests {\n    use crate::app::App;\n}",
    ] {
        assert!(arrows_up(&order, "policy", text).is_empty(), "{text}");
    }
}

#[test]
fn files_for_tests_only_do_not_count() {
    let text =
        "mod entry;\n#[cfg(test)]\nmod fake_source;\n#[cfg(test)]\npub(super) mod fake;\n#[cfg(test)]\nmod tests {\n";
    assert_eq!(test_modules(text), BTreeSet::from(["fake", "fake_source"]));
}

#[test]
fn every_module_of_the_library_is_looked_at() {
    let order = order();
    assert!(order.len() > 30, "{order:?}");
    for module in &order {
        assert!(!files(module).is_empty(), "{module}");
    }
}
