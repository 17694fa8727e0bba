//! The plugins' tables.

use std::{collections::BTreeMap, time::Duration};

use metagate_plugin_artifacts::BUILTINS;

use super::{Checker, Key, any_of, bounds, nearest, quote, raw};
use crate::config::{
    PLUGIN_MEMORY_MAX, POLICY, Plugin, PluginCode,
    json::{NO_JSON, NO_JSON_HELP, json_of},
    units::{self, Bounds},
};

/// A pod waits for the decision before it gets credentials; SDKs time out after 1 s to 5 s.
pub(crate) const TIMEOUT: Bounds<Duration> = bounds(
    Duration::from_millis(1)..=Duration::from_secs(2),
    "a built-in decides in microseconds, and SDKs time out after 1s to 5s",
);
pub(crate) const MEMORY: Bounds<u64> = bounds(
    64 << 10..=PLUGIN_MEMORY_MAX as u64,
    "WebAssembly memory comes in pages of 64 KiB, and the engine reserves 64 MiB of addresses for each instance",
);
const CACHE: Bounds<Duration> = bounds(
    Duration::ZERO..=Duration::from_secs(3600),
    "once the time that a decision depends on has come, the cached decision is wrong until it expires",
);

/// Names are metric labels and log fields.
const NAME_MAX: usize = 63;

impl Checker<'_, '_> {
    pub(super) fn plugins(&mut self, raw: &[raw::Plugin]) -> Option<Vec<Plugin>> {
        let mut plugins = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, table) in raw.iter().enumerate() {
            let key = Key::dotted("plugin").index(index);
            if let Some(first) = seen.insert(&table.name, index)
                && !table.name.is_empty()
            {
                let problem = format!("{} is also the name of plugin[{first}]", quote(&table.name));
                self.collector.refuse(
                    &key.name("name"),
                    problem,
                    "give each plugin its own name: metrics and refusals show it",
                );
            }
            plugins.extend(self.plugin(&key, table));
        }
        (plugins.len() == raw.len()).then_some(plugins)
    }

    fn plugin(&mut self, key: &Key, raw: &raw::Plugin) -> Option<Plugin> {
        let at = |name| key.name(name);
        let name = self.plugin_name(&at("name"), &raw.name);
        let code = self.plugin_code(key, raw);
        let mode = self.mode(&at("mode"), &raw.mode);
        let timeout = self.duration(&at("timeout"), &raw.timeout, &TIMEOUT);
        let memory = self.collector.read(&at("memory"), units::size(&raw.memory, &MEMORY));
        let cache = self.duration(&at("cache"), &raw.cache, &CACHE);
        let config = self.plugin_config(&at("config"), &raw.config);
        Some(Plugin {
            name: name?,
            code: code?,
            mode: mode?,
            timeout: timeout?,
            memory: usize::try_from(memory?).ok()?,
            clock: raw.clock,
            cache: cache?,
            config: config?,
        })
    }

    fn plugin_name(&mut self, key: &Key, written: &str) -> Option<String> {
        if written.is_empty() {
            self.collector.refuse(key, "a plugin needs a name", "add name = \"…\": metrics and refusals show it");
            return None;
        }
        let fits = written.len() <= NAME_MAX
            && written.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if written == POLICY {
            self.collector.refuse(
                key,
                "is the gateway's own name in metrics and refusals",
                "give the plugin another name",
            );
            return None;
        }
        if !fits {
            self.collector.refuse(
                key,
                format!("expected 1 to 63 characters of a-z, 0-9 and -, found {}", quote(written)),
                "",
            );
            return None;
        }
        Some(written.to_owned())
    }

    fn plugin_code(&mut self, key: &Key, raw: &raw::Plugin) -> Option<PluginCode> {
        match (raw.builtin.as_str(), raw.path.as_str()) {
            ("", "") if [key.name("builtin"), key.name("path")].iter().any(|key| self.collector.has(key)) => None,
            ("", "") => {
                self.collector.refuse(
                    key,
                    "needs builtin or path",
                    "add builtin = \"annotations\", or path = \"/…/plugin.wasm\"",
                );
                None
            }
            (builtin, "") if !raw.sha256.is_empty() => {
                let problem = format!("the built-in {} has no file whose digest could be checked", quote(builtin));
                self.collector.refuse(
                    &key.name("sha256"),
                    problem,
                    "remove sha256: a built-in plugin is part of the gateway's own binary",
                );
                None
            }
            (builtin, "") => self.builtin(&key.name("builtin"), builtin),
            ("", path) => {
                let sha256 = match raw.sha256.as_str() {
                    "" => None,
                    written => Some(self.digest(&key.name("sha256"), written)?),
                };
                Some(PluginCode::File { path: self.path(path), sha256 })
            }
            _ => {
                self.collector.refuse(
                    &key.name("path"),
                    "has both builtin and path",
                    "keep one of them: a plugin is one component",
                );
                None
            }
        }
    }

    fn builtin(&mut self, key: &Key, written: &str) -> Option<PluginCode> {
        let known = || BUILTINS.iter().map(|builtin| builtin.name);
        if known().any(|name| name == written) {
            return Some(PluginCode::Builtin(written.to_owned()));
        }
        let help = nearest(written, known()).map(|near| format!("did you mean \"{near}\"?"));
        let problem = format!("expected {}, found {}", any_of(known()), quote(written));
        self.collector.refuse(key, problem, help.unwrap_or_default());
        None
    }

    fn digest(&mut self, key: &Key, written: &str) -> Option<[u8; 32]> {
        let digest = hex32(written);
        if digest.is_none() {
            let problem = format!("expected 64 hexadecimal digits, found {} characters", written.chars().count());
            self.collector.refuse(key, problem, "write what sha256sum prints for the file");
        }
        digest
    }

    fn plugin_config(&mut self, key: &Key, raw: &raw::PluginConfig) -> Option<serde_json::Value> {
        let refused = |odd: Vec<Key>| odd.iter().for_each(|key| self.collector.refuse(key, NO_JSON, NO_JSON_HELP));
        json_of(key, &raw.0).map_err(refused).ok()
    }
}

fn hex32(written: &str) -> Option<[u8; 32]> {
    if written.len() != 64 || !written.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(written.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_digest_is_read_as_it_is_written(digest in any::<[u8; 32]>()) {
            let written: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(hex32(&written), Some(digest));
            prop_assert_eq!(hex32(&written.to_uppercase()), Some(digest));
        }

        #[test]
        fn reading_a_digest_is_total(written in "\\PC{0,70}") {
            prop_assert!(hex32(&written).is_none() || written.len() == 64);
        }
    }
}
