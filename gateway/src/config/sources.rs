//! The texts that a configuration is made from. Only this module does I/O; the rest of `config` is pure.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    origin::Origin,
};

/// Read if there is no `--config`.
pub const DEFAULT_FILE: &str = "/etc/metagate/metagate.toml";

/// The embedded default: loopback only, sample pods, sample credentials, simulated instance metadata.
pub const SANDBOX: &str = include_str!("../../../config/sandbox.toml");

pub(super) const PREFIX: &str = "METAGATE_";

/// Set from `spec.nodeName`, as is usual for node agents. `roster.node` overrides it.
pub(super) const NODE_NAME: &str = "NODE_NAME";

/// Variables of the command line, which set no key.
const RESERVED: [&str; 1] = ["METAGATE_CONFIG"];

#[derive(Clone, Default)]
pub struct Sources {
    /// Path, as diagnostics name it, and text. Relative paths in the text are relative to this path's folder.
    pub file: Option<(PathBuf, String)>,
    /// `METAGATE_IMDS__TOKEN=required` and `NODE_NAME`; others are ignored.
    pub env: Vec<(String, String)>,
    /// Dotted key and value, from the command line. They override everything else.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// The file at `path`, which must exist, or without a path [`DEFAULT_FILE`], if it exists; and the process's
    /// environment.
    pub fn read(path: Option<&Path>) -> Result<Self, Diagnostics> {
        let file = match path {
            Some(path) => Some((path.to_owned(), read_text(path)?)),
            None if Path::new(DEFAULT_FILE).try_exists().unwrap_or(true) => {
                Some((PathBuf::from(DEFAULT_FILE), read_text(Path::new(DEFAULT_FILE))?))
            }
            None => None,
        };
        Ok(Self { file, env: environment()?, overrides: Vec::new() })
    }

    /// Reads the file again, if there is one. A process's environment does not change.
    pub fn read_again(&mut self) -> Result<(), Diagnostics> {
        if let Some((path, text)) = &mut self.file {
            let now = read_text(path)?;
            if now.trim().is_empty() {
                return Err(Diagnostic {
                    origin: Origin::whole_file(&*path),
                    key: String::new(),
                    problem: "is empty, which would mean the default of every key".into(),
                    help: Some("write the new text to another file, and rename that file".into()),
                    excerpt: None,
                }
                .into());
            }
            *text = now;
        }
        Ok(())
    }

    /// Replaces the file's text, if there is a file.
    pub fn set_text(&mut self, now: String) {
        if let Some((_, text)) = &mut self.file {
            *text = now;
        }
    }

    /// [`SANDBOX`], and the process's environment.
    pub fn sandbox() -> Result<Self, Diagnostics> {
        let file = (PathBuf::from("sandbox.toml"), SANDBOX.to_owned());
        Ok(Self { file: Some(file), env: environment()?, overrides: Vec::new() })
    }

    /// The variables that set keys, sorted by name.
    pub(super) fn variables(&self) -> Vec<&(String, String)> {
        let mut variables: Vec<_> = self.env.iter().filter(|(name, _)| is_key(name)).collect();
        variables.sort();
        variables
    }

    pub(super) fn node_name(&self) -> Option<&str> {
        self.env.iter().find(|(name, _)| name == NODE_NAME).map(|(_, value)| value.as_str())
    }
}

/// Values may be secrets, so only names are shown.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file.as_ref().map(|(path, _)| path))
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("overrides", &self.overrides.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .finish()
    }
}

/// A file's text, or a diagnostic of why it cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let refused = |problem: String, help: Option<&str>| {
        Diagnostics::from(Diagnostic {
            origin: Origin::whole_file(path),
            key: String::new(),
            problem,
            help: help.map(str::to_owned),
            excerpt: None,
        })
    };
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refused("there is no such file".into(), Some("name another file with --config")),
        ErrorKind::PermissionDenied => {
            refused("is not readable".into(), Some("make it readable by the gateway's user"))
        }
        _ => refused(format!("cannot be read: {error}"), None),
    });
    bytes.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            refused(format!("is not UTF-8: the byte at offset {at} begins no character"), Some("save it as UTF-8"))
        })
    })
}

fn environment() -> Result<Vec<(String, String)>, Diagnostics> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if name != NODE_NAME && !is_key(&name) {
            continue;
        }
        let value = value.into_string().map_err(|_| Diagnostic {
            origin: Origin::Environment { variable: name.clone() },
            key: String::new(),
            problem: "is not UTF-8".into(),
            help: None,
            excerpt: None,
        })?;
        variables.push((name, value));
    }
    Ok(variables)
}

fn is_key(variable: &str) -> bool {
    variable.starts_with(PREFIX) && !RESERVED.contains(&variable) && !is_service_link(variable)
}

/// Kubernetes sets variables for the services of a container's namespace (`enableServiceLinks`). Those of a service named
/// `metagate` or `metagate-admin` must not stop the gateway: `METAGATE_SERVICE_HOST`, `METAGATE_PORT`,
/// `METAGATE_ADMIN_SERVICE_PORT_HTTP`, `METAGATE_PORT_9620_TCP_ADDR`. None of them has the two underscores that
/// separate levels.
fn is_service_link(variable: &str) -> bool {
    if variable.contains("__") {
        return false;
    }
    let is_port = |tail: &str| {
        let mut parts = tail.split('_').skip(1);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => tail.is_empty(),
            (Some(number), Some("TCP" | "UDP" | "SCTP"), None | Some("PROTO" | "PORT" | "ADDR"), None) => {
                number.bytes().all(|b| b.is_ascii_digit())
            }
            _ => false,
        }
    };
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.match_indices("_PORT").any(|(at, port)| variable.get(at + port.len()..).is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_own_service_variables_are_no_keys() {
        for variable in [
            "METAGATE_SERVICE_HOST",
            "METAGATE_SERVICE_PORT",
            "METAGATE_ADMIN_SERVICE_PORT_HTTP",
            "METAGATE_PORT",
            "METAGATE_PORT_9620_TCP",
            "METAGATE_PORT_9620_TCP_PROTO",
            "METAGATE_IMPORT_PORT_80_UDP_ADDR",
            "METAGATE_CONFIG",
            "NODE_NAME",
        ] {
            assert!(!is_key(variable), "{variable}");
        }
        for variable in
            ["METAGATE_PODS__LISTEN", "METAGATE_PODS_LISTEN", "METAGATE_PLUGIN", "METAGATE_PORTS", "METAGATE_X__PORT"]
        {
            assert!(is_key(variable), "{variable}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let sources = Sources {
            file: Some(("a.toml".into(), "x = 'hunter2'".into())),
            env: vec![("METAGATE_PLUGIN".into(), "hunter2".into())],
            overrides: vec![("a.b".into(), "hunter2".into())],
        };
        assert!(!format!("{sources:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let diagnostics = Sources::read(Some(Path::new("no-such-folder/metagate.toml"))).unwrap_err();
        assert_eq!(
            diagnostics.to_string(),
            "no-such-folder/metagate.toml: there is no such file\nhelp: name another file with --config"
        );
    }
}
