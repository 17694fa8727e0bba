//! A new plugin project.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::templates::{JAVASCRIPT, PYTHON, RUST, Template};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    JavaScript,
    Python,
}

/// A project that was written.
#[derive(Debug)]
pub struct Project {
    pub folder: PathBuf,
    /// Relative to the folder.
    pub files: Vec<&'static str>,
    /// The commands to run next, in the folder.
    pub commands: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum NewError {
    #[error("{name:?} is no plugin's name: {why} (take one such as office-hours)")]
    Name { name: String, why: &'static str },
    #[error("{} is there and not empty (take another name, or another folder with --in)", folder.display())]
    NotEmpty { folder: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A name is a table's `name` in metagate.toml, and a package's in all three languages.
const NAME_MAX: usize = 63;
/// Names that cargo and rustc reserve, and names of the project's dependencies.
const TAKEN: [&str; 48] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "metagate-plugin-sdk",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
];

impl Project {
    /// Writes it to a folder of its name below `parent`.
    pub fn create(name: &str, language: Language, parent: &Path) -> Result<Self, NewError> {
        check_name(name).map_err(|why| NewError::Name { name: name.to_owned(), why })?;
        let folder = if parent == Path::new(".") { PathBuf::from(name) } else { parent.join(name) };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| NewError::Write { path, source }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        if fs::read_dir(&folder).map_err(failed(&folder))?.next().is_some() {
            return Err(NewError::NotEmpty { folder });
        }
        let template = language.template();
        let filled = template.files.iter().map(|(path, text)| (*path, filled(text, name)));
        let kept = template.kept.iter().map(|(path, text)| (*path, (*text).to_owned()));
        let (mut files, mut commands) = (Vec::new(), Vec::new());
        for (path, text) in filled.chain(kept) {
            let file = folder.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(failed(parent))?;
            }
            fs::write(&file, &text).map_err(failed(&file))?;
            if path == README {
                commands = first_commands(&text);
            }
            files.push(path);
        }
        Ok(Self { folder, files, commands })
    }
}

const README: &str = "README.md";

fn filled(text: &str, name: &str) -> String {
    // cargo names a library's file after the crate.
    text.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"))
}

/// The first shell block of the template's README, which tests, builds and tries it.
fn first_commands(readme: &str) -> Vec<String> {
    let block = readme.lines().skip_while(|line| *line != "```sh").skip(1);
    block.take_while(|line| *line != "```").map(str::to_owned).collect()
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let character = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(character) {
        Err("it has 1 to 63 of a-z 0-9 -")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
        Err("it begins with a letter, and does not end with a -")
    } else if TAKEN.contains(&name) {
        Err("it is a word of Rust's, or a package that the project needs")
    } else {
        Ok(())
    }
}

impl Language {
    fn template(self) -> &'static Template {
        match self {
            Self::Rust => &RUST,
            Self::JavaScript => &JAVASCRIPT,
            Self::Python => &PYTHON,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_for_cargo_and_for_the_configuration() {
        for name in ["office-hours", "a", "policy2", &"a".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "Office", "office_hours", "2fast", "-a", "a-", "fn", "std", "serde", "../a", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_template_says_how_to_go_on_and_has_the_interface() {
        for language in [Language::Rust, Language::JavaScript, Language::Python] {
            let Template { files, kept } = language.template();
            let readme = files.iter().find(|(path, _)| *path == README).unwrap().1;
            assert!(!first_commands(readme).is_empty(), "{language:?}");
            assert!(kept.iter().any(|(path, text)| path.ends_with("wit/policy.wit") && text.contains("world")));
            assert!(!files.iter().any(|(_, text)| text.contains("package metagate:policy")), "{language:?}");
        }
    }
}
