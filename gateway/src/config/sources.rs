//! The texts that a configuration is made from. Reading them is all the I/O there is; the rest is pure.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    origin::Origin,
};

/// Read where no `--config` names another one.
pub const DEFAULT_FILE: &str = "/etc/metagate/metagate.toml";

/// The embedded default: loopback only, sample pods, sample credentials, simulated instance metadata.
pub const SANDBOX: &str = include_str!("../../../config/sandbox.toml");

pub(super) const PREFIX: &str = "METAGATE_";

/// Set from `spec.nodeName`, as is the custom of node agents; `roster.node` goes before it.
pub(super) const NODE_NAME: &str = "NODE_NAME";

/// Variables of the command line that name no key.
const RESERVED: [&str; 1] = ["METAGATE_CONFIG"];

#[derive(Clone, Default)]
pub struct Sources {
    /// Path, as faults shall name it, and text. Relative paths in the text are relative to this path's folder.
    pub file: Option<(PathBuf, String)>,
    /// `METAGATE_IMDS__TOKEN=required` and `NODE_NAME`; others are passed over.
    pub env: Vec<(String, String)>,
    /// Dotted key and value, from the command line. They go before everything else.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// The file at `path`, which must exist, or else [`DEFAULT_FILE`] where it does; and the process's environment.
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

    /// The file's text anew, where there is a file. The environment of a process stays what it was.
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

    /// What the file says now, where there is one.
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

    /// The variables that name keys, in the order of their names.
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

/// A file's text, or the fault that says why there is none.
pub(crate) fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let fault = |problem: String, help: Option<&str>| {
        Diagnostics::from(Diagnostic {
            origin: Origin::whole_file(path),
            key: String::new(),
            problem,
            help: help.map(str::to_owned),
            excerpt: None,
        })
    };
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => fault("there is no such file".into(), Some("name another file with --config")),
        ErrorKind::PermissionDenied => fault("is not readable".into(), Some("make it readable by the gateway's user")),
        _ => fault(format!("cannot be read: {error}"), None),
    });
    bytes.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            fault(format!("is not UTF-8: the byte at offset {at} begins no character"), Some("save it as UTF-8"))
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

/// Kubernetes tells each container of the services in its namespace by variables (`enableServiceLinks`). A service that
/// is named `metagate` or `metagate-admin` must not stop the gateway: `METAGATE_SERVICE_HOST`, `METAGATE_PORT`,
/// `METAGATE_ADMIN_SERVICE_PORT_HTTP`, `METAGATE_PORT_9620_TCP_ADDR`. None of them has the two underscores that part
/// our levels.
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
    fn a_missing_file_is_a_fault_that_names_it() {
        let faults = Sources::read(Some(Path::new("no-such-folder/metagate.toml"))).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "no-such-folder/metagate.toml: there is no such file\nhelp: name another file with --config"
        );
    }
}
