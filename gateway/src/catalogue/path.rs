//! Request paths, decoded once.
//!
//! Matching, policy and the upstream request all use the same decoded segments: no spelling of a path can mean one thing to
//! the gateway and another to the node's metadata service.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Longer than any path of the metadata service with a percent-encoded role ARN in it.
const PATH_MAX: usize = 8 * 1024;

/// Segments without their slashes. Empty ones are dropped: `//` and a trailing slash name the same resource.
#[derive(Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a>(pub Vec<Cow<'a, str>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("path is longer than 8192 bytes")]
    TooLong,
    #[error("path has a dot segment")]
    DotSegment,
    #[error("path has an encoded separator")]
    EncodedSeparator,
    #[error("path has a malformed or doubled percent-encoding")]
    Encoding,
    #[error("path has a character that no resource of this service has")]
    Character,
}

/// A role's name follows these segments. It may contain slashes, encoded or not.
const BEFORE_ROLE: [&str; 3] = ["meta-data", "iam", "security-credentials"];
const BEFORE_ROLE_EXTENDED: &str = "security-credentials-extended";

impl<'a> CanonicalPath<'a> {
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if raw.len() > PATH_MAX {
            return Err(PathError::TooLong);
        }
        let mut segments = Vec::with_capacity(8);
        for raw_segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            // Nearly every segment needs no decoding.
            let segment = if raw_segment.bytes().all(is_plain) {
                check_dots(raw_segment)?;
                Cow::Borrowed(raw_segment)
            } else {
                decode(raw_segment, &segments)?
            };
            segments.push(segment);
        }
        Ok(Self(segments))
    }
}

/// The bytes that a decoded segment may contain. A table, as every byte of every path is looked up, and comparing with each
/// refused byte takes a third longer.
#[expect(clippy::indexing_slicing, reason = "run by the compiler, which would say so")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        plain[byte as usize] =
            !matches!(byte, b';' | b'?' | b'#' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'%' | b'\\');
        byte += 1;
    }
    plain
};

fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).is_some_and(|plain| *plain)
}

/// Decodes a segment; `before` are the segments before it.
#[cold]
fn decode<'a>(raw: &'a str, before: &[Cow<'_, str>]) -> Result<Cow<'a, str>, PathError> {
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| PathError::Character)?;
    if decoded.contains('%') {
        return Err(PathError::Encoding);
    }
    if decoded.contains('\\') {
        return Err(PathError::EncodedSeparator);
    }
    if !decoded.bytes().all(is_plain) {
        return Err(PathError::Character);
    }
    if decoded.contains('/') && !is_before_role(before) {
        return Err(PathError::EncodedSeparator);
    }
    decoded.split('/').try_for_each(check_dots)?;
    Ok(decoded)
}

fn check_dots(part: &str) -> Result<(), PathError> {
    if part == "." || part == ".." { Err(PathError::DotSegment) } else { Ok(()) }
}

fn is_before_role(segments: &[Cow<'_, str>]) -> bool {
    let [_version, meta_data, iam, credentials, ..] = segments else { return false };
    let [expected_meta_data, expected_iam, expected_credentials] = BEFORE_ROLE;
    meta_data == expected_meta_data
        && iam == expected_iam
        && (credentials == expected_credentials || credentials == BEFORE_ROLE_EXTENDED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<Vec<String>, PathError> {
        CanonicalPath::parse(raw).map(|path| path.0.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn slashes_are_collapsed_and_never_redirected() {
        let expected = vec!["latest".to_owned(), "meta-data".to_owned()];
        for raw in ["/latest/meta-data", "/latest/meta-data/", "//latest///meta-data//", "latest/meta-data"] {
            assert_eq!(parse(raw).unwrap(), expected, "{raw}");
        }
        assert!(parse("/").unwrap().is_empty());
    }

    #[test]
    fn hostile_spellings_are_refused() {
        for (raw, why) in [
            ("/latest/../x", PathError::DotSegment),
            ("/latest/./x", PathError::DotSegment),
            ("/latest/%2e%2e/x", PathError::DotSegment),
            ("/latest/%2E/x", PathError::DotSegment),
            ("/latest/meta-data%2fiam", PathError::EncodedSeparator),
            ("/latest/meta-data%5ciam", PathError::EncodedSeparator),
            ("/latest/meta-data\\iam", PathError::EncodedSeparator),
            ("/latest/%252e%252e/x", PathError::Encoding),
            ("/latest/%zz", PathError::Encoding),
            ("/latest/%", PathError::Encoding),
            ("/latest/a%00b", PathError::Character),
            ("/latest/a%0d%0ab", PathError::Character),
            ("/latest/a%20b", PathError::Character),
            ("/latest/a;x=y", PathError::Character),
            ("/latest/é", PathError::Character),
            ("/latest/%c3%a9", PathError::Character),
            ("/latest/%ff", PathError::Character),
            ("/latest/meta-data/iam/security-credentials/a%2f..%2fb", PathError::DotSegment),
        ] {
            assert_eq!(parse(raw), Err(why), "{raw}");
        }
        assert_eq!(parse(&"/a".repeat(4097)), Err(PathError::TooLong));
    }

    #[test]
    fn a_role_may_hold_encoded_slashes_where_a_role_is_expected() {
        let segments =
            parse("/latest/meta-data/iam/security-credentials/arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fa")
                .unwrap();
        assert_eq!(segments.last().unwrap(), "arn:aws:iam::123456789012:role/team/a");
    }

    proptest! {
        /// The slow obvious model: decode the whole string, split, drop the empty, and accept only plain parts.
        #[test]
        fn agrees_with_decoding_everything_first(raw in "(/|[a-z]|%2[ef5F]|%61|\\.|\\.\\.|%|;|\\\\){0,24}") {
            // `%` before `ff` spells a byte that no text has.
            let Ok(whole) = percent_decode_str(&raw).decode_utf8() else {
                prop_assert!(parse(&raw).is_err(), "{raw} was accepted");
                return Ok(());
            };
            let plain = |part: &str| part != "." && part != ".." && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'.');
            let model: Vec<&str> = whole.split('/').filter(|part| !part.is_empty()).collect();
            match parse(&raw) {
                Ok(segments) => prop_assert_eq!(segments, model),
                Err(PathError::EncodedSeparator) => prop_assert!(whole.contains('\\') || raw.to_lowercase().contains("%2f")),
                Err(_) => prop_assert!(!model.iter().all(|part| plain(part)), "{raw} was refused"),
            }
        }

        #[test]
        fn parsing_is_total_and_leaves_only_plain_segments(raw in any::<String>()) {
            if let Ok(segments) = parse(&raw) {
                prop_assert!(segments.iter().all(|s| s.bytes().all(|b| b.is_ascii_graphic()) && !s.is_empty()));
                prop_assert!(segments.iter().all(|s| s != "." && s != ".." && !s.contains(['%', '\\'])));
            }
        }
    }
}
