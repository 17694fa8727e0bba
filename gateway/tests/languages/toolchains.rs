//! The projects' own commands, with the toolchains that are installed: no network.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The folder that `make languages` installs into: npm's cache, and wheels for pip.
pub(crate) struct Toolchains(PathBuf);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    JavaScript,
    Python,
}

/// A new project in which its own commands have run.
pub(crate) struct Project {
    folder: PathBuf,
}

pub(crate) const NAME: &str = "new-policy";

impl Toolchains {
    /// None if nothing is installed.
    pub(crate) fn installed() -> Option<Self> {
        let Some(folder) = env::var_os("METAGATE_LANGUAGES").map(PathBuf::from) else {
            // Not by eprintln!, whose output the test runner hides when a test succeeds.
            let message = "SKIPPED, as no toolchain of JavaScript and Python is installed: run `make languages`";
            let _ = writeln!(std::io::stderr(), "{message}");
            return None;
        };
        Some(Self(folder))
    }

    /// Runs a command as a person would type it, which must succeed.
    pub(crate) fn run(&self, command: &str, folder: &Path) -> String {
        let own = Path::new(env!("CARGO_BIN_EXE_metagate")).parent().unwrap().to_owned();
        let others = env::var_os("PATH").unwrap();
        let path = env::join_paths([own].into_iter().chain(env::split_paths(&others))).unwrap();
        let mut shell = Command::new("sh");
        // The gateway takes a variable with this prefix for a key of its configuration.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("METAGATE_")) {
            shell.env_remove(name);
        }
        shell
            .args(["-ec", command])
            .current_dir(folder)
            .stdin(Stdio::null())
            .env("PATH", path)
            .env("npm_config_cache", self.0.join("npm/cache"))
            .env("npm_config_offline", "true")
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.0.join("wheels"));
        let ended = shell.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&ended.stdout), text(&ended.stderr));
        assert!(ended.status.success(), "{command}: {}\n{out}{err}", ended.status);
        out
    }

    /// One project per language and process, since a build takes Python 20 s.
    pub(crate) fn project(&self, language: Language) -> &'static Project {
        static PROJECTS: [OnceLock<Project>; 2] = [OnceLock::new(), OnceLock::new()];
        let [javascript, python] = &PROJECTS;
        match language {
            Language::JavaScript => javascript.get_or_init(|| self.made(language)),
            Language::Python => python.get_or_init(|| self.made(language)),
        }
    }

    /// Runs only what `metagate plugin new` says to do next.
    fn made(&self, language: Language) -> Project {
        let folder = self.0.join("projects").join(language.word());
        // Left by an earlier run.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let message = self.run(&format!("metagate plugin new {NAME} --lang {}", language.word()), &folder);
        let project = Project { folder: folder.join(NAME) };
        let (go_there, commands) = message.split_once('\n').unwrap();
        assert_eq!(go_there, format!("cd {NAME}"));
        for command in commands.lines() {
            self.run(command, project.path());
        }
        self.keep(&format!("{}.wasm", language.word()), &project.component());
        project
    }

    /// Builds a guest of `plugins/testing` with a project's own toolchain.
    pub(crate) fn hostile(&self, language: Language) -> Vec<u8> {
        let project = self.project(language).path();
        let name = format!("{}-hostile", language.folder());
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/testing");
        // The build searches a plugin's imports below its project.
        let hostile = project.join("hostile");
        fs::create_dir_all(&hostile).unwrap();
        let source = language.source();
        fs::copy(guests.join(&name).join(source), hostile.join(source)).unwrap();
        let command = match language {
            Language::JavaScript => {
                "npx componentize-qjs --wit wit --js hostile/policy.js --stub-wasi --sync --output hostile.wasm"
            }
            Language::Python => {
                "cd hostile && ../.venv/bin/componentize-py --quiet --wit-path ../wit --world policy-plugin \
                 componentize --stub-wasi policy --output ../hostile.wasm"
            }
        };
        self.run(command, project);
        fs::read(project.join("hostile.wasm")).unwrap()
    }

    /// Stores a component for `cargo bench --bench languages`.
    fn keep(&self, name: &str, component: &[u8]) {
        let folder = self.0.join("components");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), component).unwrap();
    }
}

impl Language {
    /// The value of `--lang`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::JavaScript => "policy.js",
            Self::Python => "policy.py",
        }
    }
}

impl Project {
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        fs::read(self.folder.join(format!("{NAME}.wasm"))).unwrap()
    }
}
