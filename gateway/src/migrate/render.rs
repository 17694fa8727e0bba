//! The configuration's text.

use std::fmt::Write as _;

use super::{
    Peer,
    conversion::{Conversion, Entry, PluginTable},
};

/// As wide as this repository's own files.
const WIDTH: usize = 120;

/// In the order of `config/metagate.toml`; plugins come after `policy`.
const SECTIONS: [&str; 9] =
    ["pods", "admin", "roster", "imds", "credentials", "policy", "telemetry", "intercept", "kubernetes"];

pub(super) fn config(peer: Peer, conversion: &Conversion) -> String {
    let name = peer.name();
    let head = format!(
        "Metagate in place of {name}, made by `metagate migrate {name}`. It has only what differs from Metagate's \
         defaults; config/metagate.toml explains every key. `metagate check --config FILE` checks it and loads the \
         plugins."
    );
    wrapped("# ", WIDTH, &head) + &body(&conversion.entries, &conversion.plugins)
}

pub(super) fn body<'a>(entries: impl IntoIterator<Item = &'a Entry> + Clone, plugins: &[PluginTable]) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let mut own = entries.clone().into_iter().filter(|entry| entry.section == section).peekable();
        if own.peek().is_some() {
            let _ = write!(text, "\n[{section}]\n");
        }
        for entry in own {
            text += &wrapped("# ", WIDTH, &entry.comment);
            let _ = writeln!(text, "{} = {}", entry.key, entry.value);
        }
        if section == "policy" {
            plugins.iter().for_each(|plugin| text += &table(plugin));
        }
    }
    text
}

fn table(plugin: &PluginTable) -> String {
    let mut text = format!("\n{}[[plugin]]\n", wrapped("# ", WIDTH, &plugin.comment));
    let _ = write!(text, "name = \"{0}\"\nbuiltin = \"{0}\"\n", plugin.builtin);
    if !plugin.config.is_empty() {
        text += "[plugin.config]\n";
    }
    for (key, value, comment) in &plugin.config {
        text += &wrapped("# ", WIDTH, comment);
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// `text` in lines of at most `width` columns, each after `margin`. A longer word has a line of its own. Empty text
/// gives nothing.
pub(super) fn wrapped(margin: &str, width: usize, text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && margin.len() + line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(lines, "{margin}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "{margin}{line}");
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_no_line_escapes_its_margin(text in "\\PC{0,200}|[a-z \\n\\r]{0,200}") {
            let lines = wrapped("# ", 40, &text);
            let printed: Vec<&str> =
                lines.lines().flat_map(|line| line.strip_prefix("# ").unwrap().split(' ')).collect();
            let words: Vec<&str> = text.split_whitespace().collect();
            prop_assert_eq!(printed, words);
            prop_assert!(lines.lines().all(|line| line.chars().count() <= 40 || !line[2..].contains(' ')));
        }
    }
}
