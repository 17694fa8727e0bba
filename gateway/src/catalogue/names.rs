//! The catalogue's names as an operator writes them, to suggest one for a mistyped name.

use super::{
    entry::below,
    table::{Kind, Name, ROOT},
};

/// The likeness from which a name is suggested: two typing errors in a word of eight letters are still above it.
const ALIKE: f64 = 0.7;

/// The known name that is most like `written`, compared as a whole or, as people write `region`, by its last part.
pub(super) fn nearest(written: &str) -> Option<String> {
    let likeness = |known: &str| {
        let last = known.rsplit('/').next().unwrap_or(known);
        let whole = strsim::normalized_damerau_levenshtein(written, known);
        whole.max(strsim::normalized_damerau_levenshtein(written, last))
    };
    let known = known_names().into_iter().map(|known| (likeness(&known), known));
    let (likeness, known) = known.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= ALIKE).then_some(known)
}

/// Every entry and group as it may be written, `*` for wildcards.
pub(crate) fn known_names() -> Vec<String> {
    let mut names = Vec::new();
    collect(&ROOT, "", &mut names);
    names.into_iter().map(|name| name.strip_prefix("meta-data/").map(str::to_owned).unwrap_or(name)).collect()
}

fn collect(kind: &Kind, path: &str, names: &mut Vec<String>) {
    let Kind::Directory(nodes) = kind else { return };
    for node in *nodes {
        let name = match node.name {
            Name::Is(name) => name,
            Name::Each(_) => "*",
        };
        let path = below(path, name);
        names.push(path.clone());
        collect(&node.kind, &path, names);
    }
}
