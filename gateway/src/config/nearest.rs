//! The known word that a misspelt one probably means.

/// None if no candidate is near: if more than a third of the letters would have to change.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`.
pub(crate) fn any_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    match (quoted.pop(), quoted.is_empty()) {
        (Some(last), false) => format!("{} or {last}", quoted.join(", ")),
        (Some(only), true) => only,
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let known = ["listen", "hosts", "max_connections"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("max_conections", known), Some("max_connections"));
        assert_eq!(nearest("port", known), None);
    }
}
