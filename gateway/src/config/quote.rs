//! How a diagnostic quotes a wrong value.

use std::borrow::Cow;

use super::redact;

/// Longer values are cut: the diagnostic has their place.
const MAX: usize = 60;

/// Quoted, escaped, cut, and without what could be a secret.
pub(crate) fn quote(text: &str) -> String {
    let Some(line) = redact::line(text, None) else {
        return match redact::url(text) {
            Cow::Owned(shown) if redact::line(&shown, None).is_some() => quote(&shown),
            _ => redact::REDACTED.to_owned(),
        };
    };
    let cut: String = line.chars().take(MAX).collect();
    if cut.len() < line.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_cut_and_without_secrets() {
        assert_eq!(quote("a\"\u{1b}"), r#""a\"\u{1b}""#);
        assert_eq!(quote(&"a".repeat(61)), format!("\"{}\"…", "a".repeat(60)));
        assert_eq!(quote("ftp://user:hunter2@sts"), r#""ftp://(redacted)@sts""#);
        assert_eq!(quote("{ slack_token = 'hunter2' }"), "(redacted)");
    }
}
