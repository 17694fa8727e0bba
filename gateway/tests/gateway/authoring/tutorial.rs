//! The tutorial of `plugin-sdk/README.md`, followed literally.

use std::{
    env, fs, iter,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::{Folder, authors, lock, target};

const TUTORIAL: &str = include_str!("../../../../plugin-sdk/README.md");

/// What the page tells its reader to do.
enum Step {
    /// ```` ```toml file=NAME ````
    Write { file: String, text: String },
    /// ```` ```sh ````, and the ```` ```text ```` after it: lines that are printed in this order, with `…` for
    /// anything.
    Run { commands: Vec<String>, printed: Vec<String> },
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut info, mut text) = (None, String::new());
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(tag))) => (info, text) = (Some(tag), String::new()),
            Event::Text(more) => text.push_str(&more),
            Event::End(TagEnd::CodeBlock) => {
                let info = info.take().unwrap();
                let lines = text.lines().map(str::to_owned).collect();
                match (info.split_once(" file="), &*info, steps.last_mut()) {
                    (Some((_, file)), ..) => steps.push(Step::Write { file: file.to_owned(), text: text.clone() }),
                    (_, "sh", _) => steps.push(Step::Run { commands: lines, printed: Vec::new() }),
                    (_, "text", Some(Step::Run { printed, .. })) => *printed = lines,
                    (_, "toml", _) => {}
                    (_, other, _) => panic!("it is unclear what to do with a block of {other:?}"),
                }
            }
            _ => {}
        }
    }
    steps
}

/// Each line is part of a printed line, in this order.
fn assert_printed(printed: &str, expected: &[String]) {
    let mut lines = printed.lines();
    for line in expected {
        let parts = line.split('…').map(str::trim);
        let shows =
            |printed: &str| parts.clone().try_fold(printed, |rest, part| Some(rest.split_once(part)?.1)).is_some();
        assert!(lines.any(shows), "{line:?} is missing, or out of order, in:\n{printed}");
    }
}

#[test]
fn every_command_and_file_of_the_tutorial_does_what_it_says() {
    let folder = Folder::with(&[]);
    let mut here: PathBuf = folder.path().to_owned();
    let programs = Path::new(env!("CARGO_BIN_EXE_metagate")).parent().unwrap().to_owned();
    let path = env::join_paths(iter::once(programs).chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    let mut commands_run = 0;
    let (target, _alone) = target();
    for step in steps(TUTORIAL) {
        let (commands, expected) = match step {
            Step::Write { file, text } => {
                fs::write(here.join(file), text).unwrap();
                continue;
            }
            Step::Run { commands, printed } => (commands, printed),
        };
        let mut printed = String::new();
        for command in &commands {
            if let Some(folder) = command.strip_prefix("cd ") {
                here.push(folder);
                lock(&here);
                symlink(&target, here.join("target")).unwrap();
                continue;
            }
            let ran = authors("sh", &here).args(["-c", command]).env("PATH", &path).output().unwrap();
            let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
            // A failure must be one that the page shows; nothing else may fail.
            let no = expected.iter().any(|line| line.contains("FAIL") || line.contains("denied"));
            assert!(ran.status.success() || (no && ran.status.code() == Some(3)), "{command}\n{out}{err}");
            printed += &out;
            commands_run += 1;
        }
        assert_printed(&printed, &expected);
    }
    assert!(commands_run >= 12, "the tutorial was shortened, or is not read: {commands_run} commands");
}
