//! From a roster file's text to workloads.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use super::{
    pod_table::{check_namespace, check_subdomain},
    raw::{Entry, Namespace, Raw, ServiceAccount},
};
use crate::{
    config::{Collector, Diagnostics, Key, Layers, quote},
    workload::Workload,
};

/// The workloads of a file, in its order. Two of them may have the same address: requests from it are refused.
#[derive(Debug)]
pub struct Parsed {
    pub workloads: Vec<FixedPod>,
}

/// A workload, with its own listener where it has one.
#[derive(Debug)]
pub struct FixedPod {
    /// `node` and `since` are empty: the file does not have them.
    pub workload: Workload,
    pub listen: Option<SocketAddr>,
}

/// `file` names the text in diagnostics, and a relative `token_file` is relative to its folder.
pub fn parse(file: &Path, text: &str) -> Result<Parsed, Diagnostics> {
    let layers = Layers::of_file(file, text)?;
    let mut collector = Collector::new(&layers);
    let folder = file.parent().unwrap_or(Path::new(""));
    let parsed = collector.extract::<Raw>().map(|raw| {
        let workloads = Parser { collector: &mut collector, folder }.roster(raw);
        Parsed { workloads }
    });
    collector.finish(parsed)
}

struct Parser<'a, 'b> {
    collector: &'a mut Collector<'b>,
    folder: &'a Path,
}

impl Parser<'_, '_> {
    fn roster(&mut self, raw: Raw) -> Vec<FixedPod> {
        let namespaces = self.namespaces(raw.namespace);
        let accounts = self.service_accounts(raw.service_account);
        let entries: Vec<FixedPod> = raw
            .workload
            .into_iter()
            .enumerate()
            .map(|(index, entry)| self.entry(&Key::dotted("workload").index(index), entry, &namespaces, &accounts))
            .collect();
        self.refuse_twins(&entries);
        entries
    }

    fn namespaces(&mut self, written: Vec<Namespace>) -> BTreeMap<String, Namespace> {
        let mut namespaces = BTreeMap::new();
        for (index, namespace) in written.into_iter().enumerate() {
            let key = Key::dotted("namespace").index(index).name("name");
            check_namespace(&key, &namespace.name, self.collector);
            if namespaces.contains_key(&namespace.name) {
                self.twice(&key, &format!("namespace {}", quote(&namespace.name)));
            }
            namespaces.insert(namespace.name.clone(), namespace);
        }
        namespaces
    }

    fn service_accounts(&mut self, written: Vec<ServiceAccount>) -> BTreeMap<(String, String), ServiceAccount> {
        let mut accounts = BTreeMap::new();
        for (index, account) in written.into_iter().enumerate() {
            let key = Key::dotted("service_account").index(index);
            check_namespace(&key.name("namespace"), &account.namespace, self.collector);
            check_subdomain(&key.name("name"), &account.name, "a service account", self.collector);
            let name = (account.namespace.clone(), account.name.clone());
            if accounts.contains_key(&name) {
                self.twice(&key.name("name"), &format!("service account {}", quote(&format!("{}/{}", name.0, name.1))));
            }
            accounts.insert(name, account);
        }
        accounts
    }

    fn entry(
        &mut self,
        key: &Key,
        entry: Entry,
        namespaces: &BTreeMap<String, Namespace>,
        accounts: &BTreeMap<(String, String), ServiceAccount>,
    ) -> FixedPod {
        let (pod, token_file, listen) = entry.split();
        let is_read = |name| !self.collector.has_within(&key.name(name));
        if pod.ips.is_empty() && listen.is_empty() && is_read("ips") && is_read("listen") {
            let help = "add ips = [\"127.0.0.2\"], or listen = \"127.0.0.1:8191\" where the loopback interface has only one address";
            self.collector.refuse(key, "has neither ips nor listen, so no request could be attributed to it", help);
        }
        let listen = self.listen(&key.name("listen"), &listen);
        let workload = pod.read(key, self.collector);
        let namespace = namespaces.get(&workload.namespace);
        let account = accounts.get(&(workload.namespace.clone(), workload.service_account.clone()));
        let workload = Workload {
            namespace_labels: namespace.map(|n| n.labels.clone()).unwrap_or_default(),
            namespace_annotations: namespace.map(|n| n.annotations.clone()).unwrap_or_default(),
            service_account_annotations: account.map(|a| a.annotations.clone()).unwrap_or_default(),
            token_file: (!token_file.is_empty()).then(|| self.folder.join(&token_file)),
            ..workload
        };
        FixedPod { workload, listen }
    }

    /// None if nothing is written, or it is refused.
    fn listen(&mut self, key: &Key, written: &str) -> Option<SocketAddr> {
        if written.is_empty() {
            return None;
        }
        // Every connection to it counts as this workload, whatever its address.
        let listen = written.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
        if listen.is_none() {
            let problem = format!("expected a loopback IP:PORT, found {}", quote(written));
            self.collector.refuse(key, problem, "write it as \"127.0.0.1:8191\"");
        }
        listen
    }

    /// Two workloads of one name would share a derived UID, and so their session tokens.
    fn refuse_twins(&mut self, entries: &[FixedPod]) {
        let mut names = BTreeMap::new();
        let mut uids = BTreeMap::new();
        let mut listeners = BTreeMap::new();
        for (index, FixedPod { workload, listen }) in entries.iter().enumerate() {
            let key = Key::dotted("workload").index(index);
            if names.insert(workload.title(), index).is_some() {
                self.twice(&key.name("pod"), &format!("workload {}", quote(&workload.title())));
            } else if uids.insert(workload.uid.as_str(), index).is_some() {
                self.twice(&key.name("uid"), &format!("UID {}", quote(workload.uid.as_str())));
            }
            if let Some(listen) = listen.filter(|listen| listen.port() != 0)
                && listeners.insert(listen, index).is_some()
            {
                self.twice(&key.name("listen"), &format!("listener {listen}"));
            }
        }
    }

    fn twice(&mut self, key: &Key, what: &str) {
        self.collector.refuse(key, format!("{what} occurs twice in this file"), "keep one of them");
    }
}
