//! Where a value came from.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// Diagnostics are sorted by it: the file from its top, then the environment, then flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Origin {
    /// `line` and `column` count from 1, in characters. Without them the whole file is meant.
    File {
        file: PathBuf,
        line: Option<usize>,
        column: Option<usize>,
    },
    Environment {
        variable: String,
    },
    Flag {
        flag: String,
    },
    Default,
}

impl Origin {
    pub(crate) fn whole_file(file: impl Into<PathBuf>) -> Self {
        Self::File { file: file.into(), line: None, column: None }
    }
}

/// The first words of a diagnostic: `metagate.toml:12:9`, `METAGATE_IMDS__TOKEN`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: Some(line), column: Some(column) } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Self::File { file, line: Some(line), column: None } => write!(f, "{}:{line}", file.display()),
            Self::File { file, .. } => write!(f, "{}", file.display()),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}
