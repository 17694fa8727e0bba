//! What the watcher last saw, for programs on the node that may not run nft: `doctor`, and a readiness probe.

use std::{
    fs::{self, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::ForeignRule;

/// The most bytes that are read: other programs' rules are few, and some hundred bytes each.
const LONGEST: u64 = 64 << 10;

/// A watcher checks every 30 s. One that has not checked for four times as long has ended.
const STALE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether exactly our rules are there, after any repair.
    pub present: bool,
    /// RFC 3339. A watcher checks every 30 s; if this is minutes old, the watcher has ended.
    pub checked_at: String,
    /// Counted since the rules were last installed, like `rejected_packets`.
    pub redirected_connections: u64,
    pub rejected_packets: u64,
    pub foreign_rules: Vec<ForeignRule>,
    /// Why the rules are not known, or could not be repaired.
    pub error: Option<String>,
}

impl Status {
    /// Replaces the file: readers see the last status or this one, never half of it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        // The gateway that reads it has no privileges and may have another user.
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    }

    /// Whether it is too old to describe the present.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        let checked_at = humantime::parse_rfc3339(&self.checked_at);
        checked_at.map_or(true, |at| now.duration_since(at).unwrap_or_default() > STALE)
    }

    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_reader(fs::File::open(path)?.take(LONGEST))?)
    }

    /// None where there is no watcher. A file that cannot be read becomes a status with that error and without a
    /// redirect.
    pub fn look(path: &Path) -> Option<Self> {
        match Self::read(path) {
            Ok(status) => Some(status),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Self {
                present: false,
                checked_at: String::new(),
                redirected_connections: 0,
                rejected_packets: 0,
                foreign_rules: Vec::new(),
                error: Some(format!("{}: {error}", path.display())),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_any_user_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("intercept.json");
        let status = Status {
            present: true,
            checked_at: "2026-01-01T00:00:00Z".into(),
            redirected_connections: 7,
            rejected_packets: 0,
            foreign_rules: Vec::new(),
            error: None,
        };
        for present in [true, false] {
            let status = Status { present, ..status.clone() };
            status.write(&path).unwrap();
            assert_eq!(Status::read(&path).unwrap(), status);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    }
}
