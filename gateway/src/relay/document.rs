//! A document of the node's metadata service.

use std::fmt;

use bytes::Bytes;

/// One answer of the node's metadata service, with its body unchanged. `Debug` shows only the size: user data holds
/// bootstrap secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    pub body: Bytes,
    pub content_type: ContentType,
}

/// The two types that the metadata service sends (EC2 User Guide, "Access instance metadata"). A closed set: no header
/// of the node's answer reaches a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// Everything but user data, JSON documents too.
    Text,
    /// User data.
    OctetStream,
}

impl Document {
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), content_type: ContentType::Text }
    }

    pub fn octets(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), content_type: ContentType::OctetStream }
    }
}

impl ContentType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OctetStream => "application/octet-stream",
        }
    }

    /// Reads a `Content-Type` field: the media type, in any case, without parameters. Everything but octets is text, so
    /// that a mock's `application/json` or `text/html` becomes what IMDS sends.
    pub(super) fn of(field: Option<&[u8]>) -> Self {
        let essence = field.and_then(|value| value.split(|byte| *byte == b';').next()).unwrap_or_default();
        match essence.trim_ascii().eq_ignore_ascii_case(Self::OctetStream.as_str().as_bytes()) {
            true => Self::OctetStream,
            false => Self::Text,
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes of {})", self.body.len(), self.content_type.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_upstreams_fall_into_the_two_that_pods_may_see() {
        for (field, type_) in [
            (None, ContentType::Text),
            (Some("text/plain"), ContentType::Text),
            (Some("application/json"), ContentType::Text),
            (Some("text/html; charset=utf-8"), ContentType::Text),
            (Some("application/octet-stream"), ContentType::OctetStream),
            (Some(" Application/Octet-Stream ; x=y"), ContentType::OctetStream),
        ] {
            assert_eq!(ContentType::of(field.map(str::as_bytes)), type_, "{field:?}");
        }
    }

    #[test]
    fn debug_does_not_show_a_body() {
        assert_eq!(format!("{:?}", Document::octets("secret")), "Document(6 bytes of application/octet-stream)");
    }
}
