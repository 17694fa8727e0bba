//! How the peers' command lines are read: kube2iam's as pflag does, kiam's as kingpin does.

use super::{Peer, conversion::Conversion, notes::Note};
use crate::config::{nearest, quote};

/// One flag of a peer.
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) becomes: Becomes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Switch,
    Value,
}

#[derive(Clone, Copy)]
pub(super) enum Becomes {
    /// The peer's rules look it up by name, and write a key, or a note that says why not.
    Rule,
    /// The reason.
    NotNeeded(&'static str),
    /// The reason, and what to do instead.
    Lost(&'static str, &'static str),
}

pub(super) const fn value(name: &'static str, becomes: Becomes) -> Flag {
    Flag { name, takes: Takes::Value, becomes }
}

pub(super) const fn switch(name: &'static str, becomes: Becomes) -> Flag {
    Flag { name, takes: Takes::Switch, becomes }
}

/// A flag as it was given. A switch's value is `true` or `false`.
pub(super) struct Given {
    pub(super) flag: &'static Flag,
    pub(super) value: String,
}

/// kiam's programs, each with flags of its own.
const SUBCOMMANDS: [&str; 3] = ["agent", "server", "health"];

#[derive(Default)]
pub(super) struct CommandLine {
    pub(super) given: Vec<Given>,
    pub(super) subcommands: Vec<&'static str>,
}

/// Values of unknown flags and arguments without a flag are never shown: they may be secrets.
pub(super) fn read(peer: Peer, arguments: &[String], conversion: &mut Conversion) -> CommandLine {
    let mut line = CommandLine::default();
    let mut remaining = arguments.iter().map(String::as_str).peekable();
    let mut strays = 0_usize;
    while let Some(argument) = remaining.next() {
        let Some(named) = argument.strip_prefix("--").filter(|named| !named.is_empty()) else {
            match SUBCOMMANDS.iter().find(|name| peer == Peer::Kiam && **name == argument) {
                Some(subcommand) => line.subcommands.push(subcommand),
                None if argument == "--" => {}
                None => strays += 1,
            }
            continue;
        };
        let (name, inline) = match named.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (named, None),
        };
        let Some((flag, negated)) = find(peer, name) else {
            conversion.note(unknown(peer, name));
            // What follows is most likely its value.
            if inline.is_none() {
                remaining.next_if(|next| !next.starts_with('-') && !SUBCOMMANDS.contains(next));
            }
            continue;
        };
        let about = format!("--{name}");
        let taken = match (flag.takes, inline) {
            (Takes::Switch, None) => Some("true"),
            (Takes::Value, None) => remaining.next(),
            (_, inline) => inline,
        };
        match (flag.takes, taken) {
            (_, None) => conversion.note(Note::lost(about, "has no value", "give it one")),
            (Takes::Value, Some(value)) => line.given.push(Given { flag, value: value.to_owned() }),
            (Takes::Switch, Some(value)) => match boolean(value) {
                Some(on) => line.given.push(Given { flag, value: (on != negated).to_string() }),
                None => conversion.note(Note::lost(about, "takes true or false, and has another value", "")),
            },
        }
    }
    if strays > 0 {
        let text = format!("{strays} that belong to no flag (not shown: they could be secrets)");
        conversion.note(Note::lost("arguments", text, "write a switch's value after =, as in --iptables=false"));
    }
    line
}

fn find(peer: Peer, name: &str) -> Option<(&'static Flag, bool)> {
    let flags = peer.flags();
    let by_name = |name: &str| flags.iter().find(|flag| flag.name == name);
    let negated = || {
        let flag = name.strip_prefix("no-").filter(|_| peer == Peer::Kiam).and_then(by_name);
        flag.filter(|flag| flag.takes == Takes::Switch)
    };
    by_name(name).map(|flag| (flag, false)).or_else(|| negated().map(|flag| (flag, true)))
}

/// Half as long again as the longest flag of both peers.
const NAME_MAX: usize = 64;

fn unknown(peer: Peer, name: &str) -> Note {
    // The longer a name, the longer a comparison takes, and nobody mistypes that much.
    let names = peer.flags().iter().map(|flag| flag.name).filter(|_| name.len() <= NAME_MAX);
    let near = nearest(name, names);
    let instead = near.map_or_else(
        || "look in config/metagate.toml for a key that means the same".to_owned(),
        |near| format!("did you mean --{near}?"),
    );
    // Escaped and cut, like any text from outside.
    let quoted = quote(&format!("--{name}"));
    Note::lost(quoted.trim_matches('"'), format!("is not a flag of {}", peer.name()), instead)
}

/// What Go's strconv.ParseBool takes.
fn boolean(written: &str) -> Option<bool> {
    match written {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
