//! From a roster file's text to workloads.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::raw::{Entry, Namespace, Raw, ServiceAccount};
use crate::{
    config::{Collector, Diagnostics, Key, Layers, is_label, is_subdomain, quote},
    workload::{Uid, Workload},
};

/// The workloads of a file, in its order. Two of them may have one address: that is refused when somebody asks from it.
#[derive(Debug)]
pub struct Parsed {
    pub workloads: Vec<Listed>,
}

/// A workload, with its own listener where it has one.
#[derive(Debug)]
pub struct Listed {
    /// `node` and `since` are empty: the file does not know them.
    pub workload: Workload,
    pub listen: Option<SocketAddr>,
}

/// Kubernetes' names of namespaces and of containers.
const LABEL: &str = "1 to 63 of a-z 0-9 -, neither first nor last a -";
/// Kubernetes gives a pod that names none this service account.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// `file` names the text in faults, and its folder is what a relative `token_file` is relative to.
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
    fn roster(&mut self, raw: Raw) -> Vec<Listed> {
        let mut namespaces = BTreeMap::new();
        for (index, namespace) in raw.namespace.into_iter().enumerate() {
            let key = Key::dotted("namespace").index(index);
            self.namespace_name(&key.name("name"), &namespace.name);
            if namespaces.contains_key(&namespace.name) {
                self.twice(&key.name("name"), &format!("namespace {}", quote(&namespace.name)));
            }
            namespaces.insert(namespace.name.clone(), namespace);
        }
        let mut accounts = BTreeMap::new();
        for (index, account) in raw.service_account.into_iter().enumerate() {
            let key = Key::dotted("service_account").index(index);
            self.namespace_name(&key.name("namespace"), &account.namespace);
            self.subdomain(&key.name("name"), &account.name, "a service account");
            let name = (account.namespace.clone(), account.name.clone());
            if accounts.contains_key(&name) {
                self.twice(&key.name("name"), &format!("service account {}", quote(&format!("{}/{}", name.0, name.1))));
            }
            accounts.insert(name, account);
        }
        let entries: Vec<Listed> = raw
            .workload
            .into_iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                self.entry(&Key::dotted("workload").index(index), entry, &namespaces, &accounts)
            })
            .collect();
        self.refuse_twins(&entries);
        entries
    }

    fn entry(
        &mut self,
        key: &Key,
        entry: Entry,
        namespaces: &BTreeMap<String, Namespace>,
        accounts: &BTreeMap<(String, String), ServiceAccount>,
    ) -> Option<Listed> {
        self.namespace_name(&key.name("namespace"), &entry.namespace);
        self.subdomain(&key.name("pod"), &entry.pod, "a pod");
        let service_account = match entry.service_account.as_str() {
            "" => DEFAULT_SERVICE_ACCOUNT.to_owned(),
            name => {
                self.subdomain(&key.name("service_account"), name, "a service account");
                name.to_owned()
            }
        };
        for container in entry.images.keys().filter(|container| !is_label(container)) {
            let problem = format!("expected a container's name before its image, found {}", quote(container));
            self.collector.refuse(&key.name("images").name(container), problem, LABEL);
        }
        let ips = self.ips(key, &entry);
        let listen = self.listen(&key.name("listen"), &entry.listen);
        let namespace = namespaces.get(&entry.namespace);
        let account = accounts.get(&(entry.namespace.clone(), service_account.clone()));
        let workload = Workload {
            uid: if entry.uid.is_empty() { Uid::derived(&entry.namespace, &entry.pod) } else { Uid::new(entry.uid) },
            ips: ips?,
            service_account,
            labels: entry.labels,
            annotations: entry.annotations,
            images: entry.images,
            namespace_labels: namespace.map(|n| n.labels.clone()).unwrap_or_default(),
            namespace_annotations: namespace.map(|n| n.annotations.clone()).unwrap_or_default(),
            service_account_annotations: account.map(|a| a.annotations.clone()).unwrap_or_default(),
            token_file: (!entry.token_file.is_empty()).then(|| self.folder.join(&entry.token_file)),
            namespace: entry.namespace,
            pod: entry.pod,
            ..Workload::default()
        };
        Some(Listed { workload, listen: listen? })
    }

    fn ips(&mut self, key: &Key, entry: &Entry) -> Option<Vec<IpAddr>> {
        if [key.name("ips"), key.name("listen")].iter().any(|key| self.collector.has(key)) {
            return None;
        }
        if entry.ips.is_empty() && entry.listen.is_empty() {
            let help = "add ips = [\"127.0.0.2\"], or listen = \"127.0.0.1:8191\" where the loopback has one address";
            self.collector.refuse(key, "has neither ips nor listen, so nobody could be known as it", help);
            return None;
        }
        let mut ips = Vec::new();
        for (index, written) in entry.ips.iter().enumerate() {
            match written.parse::<IpAddr>() {
                Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => ips.push(ip),
                _ => {
                    let problem = format!("expected the IP address of a pod, found {}", quote(written));
                    self.collector.refuse(&key.name("ips").index(index), problem, "");
                }
            }
        }
        (ips.len() == entry.ips.len()).then_some(ips)
    }

    /// None inside where nothing is written.
    fn listen(&mut self, key: &Key, written: &str) -> Option<Option<SocketAddr>> {
        if written.is_empty() {
            return Some(None);
        }
        // Whoever connects there is taken for this workload, whatever the address.
        let listen = written.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
        if listen.is_none() {
            let problem = format!("expected a loopback IP:PORT, found {}", quote(written));
            self.collector.refuse(key, problem, "write it as \"127.0.0.1:8191\"");
        }
        listen.map(Some)
    }

    /// Two workloads of one name would share a derived UID, and with it session tokens.
    fn refuse_twins(&mut self, entries: &[Listed]) {
        let mut names = BTreeMap::new();
        let mut uids = BTreeMap::new();
        let mut listeners = BTreeMap::new();
        for (index, Listed { workload, listen }) in entries.iter().enumerate() {
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

    fn namespace_name(&mut self, key: &Key, written: &str) {
        if !is_label(written) {
            let problem = format!("expected a namespace's name, found {}", quote(written));
            self.collector.refuse(key, problem, LABEL);
        }
    }

    fn subdomain(&mut self, key: &Key, written: &str, whose: &str) {
        if !is_subdomain(written) {
            let problem = format!("expected {whose}'s name, found {}", quote(written));
            self.collector.refuse(
                key,
                problem,
                "1 to 253 of a-z 0-9 - and dots, each part neither beginning nor ending with -",
            );
        }
    }

    fn twice(&mut self, key: &Key, what: &str) {
        self.collector.refuse(key, format!("{what} is in this file twice"), "keep one of them");
    }
}
