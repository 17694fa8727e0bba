//! The valid values of the annotations.

use std::fmt;
use std::ops::RangeInclusive;

use metagate_plugin_sdk::{ArnFault, RoleArn, RolePath};

/// The longest ARN that AWS accepts, in bytes.
const MAX_BYTES: usize = 2048;
/// The bounds of ExternalId in sts:AssumeRole.
const EXTERNAL_ID_BYTES: RangeInclusive<usize> = 2..=1224;
/// The bounds of RoleSessionName in sts:AssumeRole.
const SESSION_NAME_BYTES: RangeInclusive<usize> = 2..=64;

/// Why a value is not a role, external id or session name; completes the sentence "the annotation …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueError {
    TooLong,
    ControlCharacter,
    Space,
    Arn(ArnFault),
    Path(ArnFault),
    ExternalId,
    SessionName,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is too long: shorten it to at most {MAX_BYTES} bytes"),
            Self::ControlCharacter => f.write_str("has a control character inside, such as a line break: remove it"),
            Self::Space => f.write_str("has a space inside: remove it"),
            Self::Arn(fault) => write!(f, "is not the ARN of a role: {fault}"),
            Self::Path(fault) => write!(f, "is not a role: write its name, path/name or ARN; {fault}"),
            Self::ExternalId => f.write_str("is not an external id: write 2 to 1224 letters, digits and _+=,.@:/-"),
            Self::SessionName => f.write_str(
                "is not a session name: write 2 to 64 letters, digits and _+=,.@-, any configured prefix included",
            ),
        }
    }
}

/// A role as the gateway expects it: an ARN, or a name or `path/name` without a leading slash. `None` for an empty
/// text.
pub(crate) fn role(text: &str) -> Result<Option<String>, ValueError> {
    let Some(text) = one_word(text)? else { return Ok(None) };
    let role = if RoleArn::is_claimed_by(text) {
        RoleArn::parse(text).map_err(ValueError::Arn)?.to_string()
    } else {
        RolePath::parse(text.strip_prefix('/').unwrap_or(text)).map_err(ValueError::Path)?.to_string()
    };
    Ok(Some(role))
}

/// An external id, `None` for an empty text.
pub(crate) fn external_id(text: &str) -> Result<Option<String>, ValueError> {
    let Some(text) = one_word(text)? else { return Ok(None) };
    let fits = EXTERNAL_ID_BYTES.contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&c));
    if fits { Ok(Some(text.to_owned())) } else { Err(ValueError::ExternalId) }
}

/// A session name with its prefix, `None` for an empty text.
pub(crate) fn session_name(prefix: &str, text: &str) -> Result<Option<String>, ValueError> {
    let Some(text) = one_word(text)? else { return Ok(None) };
    let name = format!("{prefix}{text}");
    let fits = SESSION_NAME_BYTES.contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c));
    if fits { Ok(Some(name)) } else { Err(ValueError::SessionName) }
}

/// The text without surrounding white space, which a YAML block scalar adds.
fn one_word(text: &str) -> Result<Option<&str>, ValueError> {
    let text = text.trim();
    if text.len() > MAX_BYTES {
        Err(ValueError::TooLong)
    } else if text.contains(char::is_control) {
        Err(ValueError::ControlCharacter)
    } else if text.contains(char::is_whitespace) {
        Err(ValueError::Space)
    } else {
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}
