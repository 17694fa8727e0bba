//! The settings of all the peer's containers together: kiam's agent and server become one process.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Container, Peer,
    conversion::Conversion,
    flags::{self, Becomes, Takes},
    notes::Note,
};

#[derive(Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, Setting>,
    /// The containers' variables: name, and the value where the manifest has one.
    env: BTreeMap<String, Option<String>>,
    subcommands: BTreeSet<&'static str>,
    /// The image's tag, such as `v3.6`, where the manifest has one.
    pub(super) tag: Option<String>,
}

struct Setting {
    value: String,
    container: usize,
}

impl Settings {
    /// Also notes every flag that needs no rule of the peer's.
    pub(super) fn read(peer: Peer, containers: &[Container], conversion: &mut Conversion) -> Self {
        let mut settings = Self::default();
        for (index, container) in containers.iter().enumerate() {
            if container.is_shell {
                conversion.note(Note::lost(
                    container.label.clone(),
                    "runs through a shell, whose script is not read",
                    format!("give the flags themselves: metagate migrate {} -- FLAGS…", peer.name()),
                ));
                continue;
            }
            let line = flags::read(peer, &container.arguments, conversion);
            settings.subcommands.extend(line.subcommands);
            for given in line.given {
                settings.take(given, index, containers, conversion);
            }
            settings.env.extend(container.env.clone());
            settings.tag = settings.tag.or_else(|| container.tag.clone());
        }
        settings.note_flags_without_rule(peer, conversion);
        settings
    }

    /// Within a container the last value counts, as with pflag; of several containers the first one's.
    fn take(&mut self, given: flags::Given, index: usize, containers: &[Container], conversion: &mut Conversion) {
        let name = given.flag.name;
        let setting = Setting { value: given.value, container: index };
        let Some(first) = self.values.get(name).filter(|first| first.value != setting.value) else {
            self.values.entry(name).or_insert(setting);
            return;
        };
        let (about, matters) = (format!("--{name}"), matches!(given.flag.becomes, Becomes::Rule));
        let label = |index: usize| containers.get(index).map_or("", |container| container.label.as_str());
        if first.container == index {
            if matters {
                conversion.note(Note::not_needed(about, "is given more than once: the last value counts"));
            }
            self.values.insert(name, setting);
        } else if matters {
            let text =
                format!("{} and {} have different values; the first is taken", label(first.container), label(index));
            conversion.note(Note::lost(about, text, "Metagate is one process: decide which value is right"));
        }
    }

    fn note_flags_without_rule(&self, peer: Peer, conversion: &mut Conversion) {
        for flag in peer.flags() {
            let Some(setting) = self.values.get(flag.name) else { continue };
            let about = format!("--{}", flag.name);
            let is_off = flag.takes == Takes::Switch && setting.value == "false";
            match flag.becomes {
                Becomes::Rule => {}
                Becomes::Lost(..) if is_off => conversion.note(Note::not_needed(about, "it is off")),
                Becomes::Lost(why, instead) => conversion.note(Note::lost(about, why, instead)),
                Becomes::NotNeeded(why) => conversion.note(Note::not_needed(about, why)),
            }
        }
    }

    /// The flag's value. None where it was not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|setting| setting.value.as_str())
    }

    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value == "true")
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// Whether this part of the peer is among what was given. A bare list of flags may be of any part.
    pub(super) fn has_part(&self, subcommand: &str) -> bool {
        self.subcommands.is_empty() || self.subcommands.contains(subcommand)
    }

    pub(super) fn env(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}
