//! Another program: its output, and its end.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Far more than any of them takes, even if the machine is busy with a build: a python client takes 1 s.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Killed when it is dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// The program's home, which is empty at first, and receives its output.
    home: TempDir,
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Of this process's environment, the program gets only PATH.
    pub(crate) fn start(name: &'static str, program: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(File::create(home.path().join("stdout")).unwrap())
            .stderr(File::create(home.path().join("stderr")).unwrap());
        configure(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {}: {error}", program.display()));
        Self { name, child, home }
    }

    #[allow(dead_code, reason = "not every test program looks at memory")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line of its standard error in which `find` finds something.
    pub(crate) async fn says<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let printed = self.written("stderr");
            // Whole lines only: the last one may be incomplete.
            let found = printed.rsplit_once('\n').and_then(|(whole, _)| whole.lines().find_map(&find));
            match found {
                Some(found) => return found,
                None => {
                    let runs = self.child_ended().is_none();
                    self.wait_on(began, runs).await;
                }
            }
        }
    }

    /// Writes a line to its standard input, which must be a pipe, and waits for the next line of its standard output. None if
    /// it ends instead.
    #[allow(dead_code, reason = "not every test program talks to another")]
    pub(crate) async fn ask(&mut self, line: &str) -> Option<String> {
        let whole = |printed: &str| printed.rsplit_once('\n').map_or(0, |(whole, _)| whole.lines().count());
        let before = whole(&self.written("stdout"));
        writeln!(self.child.stdin.as_ref().expect("its standard input is a pipe"), "{line}").ok()?;
        let began = Instant::now();
        loop {
            let has_ended = self.child_ended().is_some();
            let printed = self.written("stdout");
            if whole(&printed) > before {
                return printed.lines().nth(before).map(str::to_owned);
            }
            if has_ended {
                return None;
            }
            self.wait_on(began, true).await;
        }
    }

    pub(crate) async fn ends(mut self) -> Ended {
        let began = Instant::now();
        loop {
            match self.child_ended() {
                Some(status) => {
                    return Ended { status, stdout: self.written("stdout"), stderr: self.written("stderr") };
                }
                None => self.wait_on(began, true).await,
            }
        }
    }

    async fn wait_on(&self, began: Instant, is_running: bool) {
        let name = self.name;
        assert!(is_running, "{name} ended before it was ready");
        assert!(began.elapsed() < DEADLINE, "{name} did not answer within {DEADLINE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }

    fn child_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn written(&self, to: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(to)).unwrap()).into_owned()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let (name, stdout, stderr) = (self.name, self.written("stdout"), self.written("stderr"));
            println!("--- {name}\n{stdout}{stderr}--- end of {name}");
        }
    }
}
