//! Secrets are redacted in the effective configuration, in diagnostics and in `Debug`.

use std::borrow::Cow;

use figment::value::{Dict, Value};

pub(crate) const REDACTED: &str = "(redacted)";

/// A key whose name contains one of these holds a secret: `api_token`, `clientSecret`.
const SECRET_NAMES: [&str; 6] = ["secret", "token", "password", "passphrase", "api_key", "apikey"];

/// PKCS#8: a length of one to three bytes, then the INTEGER 0 and a SEQUENCE, in base64; and what PEM says of any private
/// key.
const PRIVATE_KEYS: [&str; 4] = ["CAQAw", "AgEAM", "IBADA", "PRIVATE KEY"];

pub(crate) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| lower.contains(secret))
}

/// A plugin's configuration without what its keys call a secret.
pub(crate) fn dict(config: &Dict) -> Dict {
    let shown = |(name, value): (&String, &Value)| {
        let value = if is_secret_name(name) { Value::from(REDACTED) } else { redacted(value) };
        (name.clone(), value)
    };
    config.iter().map(shown).collect()
}

fn redacted(value: &Value) -> Value {
    match value {
        Value::Dict(tag, inner) => Value::Dict(*tag, dict(inner)),
        Value::Array(tag, items) => Value::Array(*tag, items.iter().map(redacted).collect()),
        Value::String(tag, text) => Value::String(*tag, url(text).into_owned()),
        other => other.clone(),
    }
}

/// The same for JSON.
pub(crate) fn json(config: &serde_json::Value) -> serde_json::Value {
    let read: Result<Dict, _> = Value::serialize(config).map(|value| value.into_dict().unwrap_or_default());
    read.ok().and_then(|config| serde_json::to_value(dict(&config)).ok()).unwrap_or_default()
}

/// `https://user:password@host/` becomes `https://(redacted)@host/`. Works on any text, as a diagnostic may hold half a
/// URL.
pub(crate) fn url(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest, mut hidden) = (String::new(), text, false);
    while let Some((head, tail)) = rest.split_once("://") {
        shown.push_str(head);
        shown.push_str("://");
        let authority = tail.split(['/', '?', '#', '"', '\'', ' ']).next().unwrap_or_default();
        rest = match authority.rsplit_once('@') {
            Some((userinfo, _)) if userinfo != REDACTED => {
                hidden = true;
                shown.push_str(REDACTED);
                tail.get(userinfo.len()..).unwrap_or_default()
            }
            _ => tail,
        };
    }
    if hidden { Cow::Owned(shown + rest) } else { Cow::Borrowed(text) }
}

/// A line of a file as a diagnostic may show it; None if it assigns a value to a name of a secret, or holds a private key.
/// `own` is the name of the wrong key, if the gateway defines it: `imds.token` is a word, not a secret.
pub(crate) fn line<'a>(text: &'a str, own: Option<&str>) -> Option<&'a str> {
    let secret = text.match_indices(['=', ':']).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '\t', '"', '\'']);
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
        is_secret_name(name) && own != Some(name)
    });
    let secret = secret || PRIVATE_KEYS.iter().any(|mark| text.contains(mark));
    (!secret && matches!(url(text), Cow::Borrowed(_))).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_found_by_name_at_any_depth() {
        let config = serde_json::json!({"open": "08:00", "hook": [{"apiToken": {"a": 1}, "to": "https://u:p@h/x"}]});
        let shown =
            serde_json::json!({"open": "08:00", "hook": [{"apiToken": REDACTED, "to": "https://(redacted)@h/x"}]});
        assert_eq!(json(&config), shown);
    }

    #[test]
    fn lines_with_a_secret_are_not_shown_but_our_own_keys_are() {
        assert!(line(r#"token = "maybe""#, Some("token")).is_some());
        assert!(line(r#"pod = "token-service""#, None).is_some());
        assert!(line(r#"token = "hunter2""#, None).is_none());
        assert!(line(r#"config = { slack_token = "hunter2" }"#, Some("config")).is_none());
        assert!(line(r#"config = { "password": "hunter2" }"#, None).is_none());
        assert!(line(r#"sts_endpoint = "ftp://u:hunter2@sts""#, Some("sts_endpoint")).is_none());
    }

    proptest! {
        #[test]
        fn no_password_survives_in_a_url(before in "[a-z ]{0,9}", password in "[A-Z]{6,9}", after in "[ -~]{0,12}") {
            let shown = url(&format!("{before}http://user:{password}@host{after}")).into_owned();
            prop_assert!(!shown.contains(&password), "{shown}");
        }

        #[test]
        fn text_without_userinfo_is_left_alone(text in "[ -?A-~]{0,40}") {
            prop_assert_eq!(url(&text), text.as_str());
        }
    }
}
