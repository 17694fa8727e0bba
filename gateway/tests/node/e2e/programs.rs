//! The programs that the tests need, from where `make e2e` put them.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) prometheus: PathBuf,
    pub(crate) aws: PathBuf,
    pub(crate) moto_server: PathBuf,
    /// The Python of moto, which has boto3.
    pub(crate) python: PathBuf,
}

impl Programs {
    /// None if they are not installed; `make e2e` installs them.
    pub(crate) fn installed() -> Option<Self> {
        let (Some(cluster), Some(clients)) = (folder("METAGATE_E2E"), folder("METAGATE_CLIENTS")) else {
            // Not by eprintln!, whose output the test runner hides when a test succeeds.
            let _ = writeln!(std::io::stderr(), "SKIPPED, as no cluster is installed: run `make e2e` as root");
            return None;
        };
        Some(Self {
            kube_apiserver: cluster.join("kube-apiserver"),
            etcd: cluster.join("etcd"),
            kubectl: cluster.join("kubectl"),
            prometheus: cluster.join("prometheus"),
            aws: clients.join("aws-cli/bin/aws"),
            moto_server: clients.join("moto/bin/moto_server"),
            python: clients.join("moto/bin/python"),
        })
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(fs::canonicalize(&folder).unwrap_or_else(|error| panic!("{variable}: {}: {error}", folder.display())))
}

/// A file of these tests.
pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/node").join(file)
}
