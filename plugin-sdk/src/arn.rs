use std::error::Error;
use std::fmt;

/// The longest ARN that AWS accepts, in bytes.
const MAX_BYTES: usize = 2048;
/// IAM's limit for a role's path, in bytes, slashes included.
const MAX_PATH_BYTES: usize = 512;
/// IAM's limit for a role's name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The ARN of an IAM role, taken apart: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
///
/// ```
/// use metagate_plugin_sdk::RoleArn;
///
/// # fn main() -> Result<(), metagate_plugin_sdk::ArnFault> {
/// let arn = RoleArn::parse("arn:aws:iam::123456789012:role/team/web")?;
/// assert_eq!((arn.partition, arn.account, arn.role.name), ("aws", "123456789012", "web"));
/// assert!(arn.role.is_under("/team/"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleArn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov` and so on.
    pub partition: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// The text after `role/`.
    pub role: RolePath<'a>,
}

/// A role's path and name within its account.
///
/// ```
/// use metagate_plugin_sdk::RolePath;
///
/// # fn main() -> Result<(), metagate_plugin_sdk::ArnFault> {
/// let role = RolePath::parse("team/batch/nightly")?;
/// assert_eq!((role.name, role.to_string().as_str()), ("nightly", "team/batch/nightly"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolePath<'a> {
    /// The path without the slashes at both ends: empty for `/`, `team/batch` for `/team/batch/`.
    folders: &'a str,
    /// 1 to 64 letters, digits and `_+=,.@-`.
    pub name: &'a str,
}

impl<'a> RoleArn<'a> {
    /// Whether a text claims to be an ARN: whether it begins with `arn:`, in capitals or not.
    ///
    /// ```
    /// use metagate_plugin_sdk::RoleArn;
    ///
    /// assert!(RoleArn::is_claimed_by("arn:aws:iam::123456789012:role/web"));
    /// assert!(!RoleArn::is_claimed_by("team/web"));
    /// ```
    #[must_use]
    pub fn is_claimed_by(text: &str) -> bool {
        text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("arn:"))
    }

    /// Parses an ARN; `Display` writes it with `arn:` in small letters.
    ///
    /// # Errors
    /// The first part that IAM would not accept. No text makes it panic.
    ///
    /// ```
    /// use metagate_plugin_sdk::{ArnFault, RoleArn};
    ///
    /// assert!(RoleArn::parse("arn:aws:iam::123456789012:role/web").is_ok());
    /// assert_eq!(RoleArn::parse("arn:aws:s3:::bucket"), Err(ArnFault::Service));
    /// ```
    pub fn parse(text: &'a str) -> Result<Self, ArnFault> {
        if !Self::is_claimed_by(text) {
            return Err(ArnFault::Prefix);
        }
        if text.len() > MAX_BYTES {
            return Err(ArnFault::Length);
        }
        let mut parts = text.splitn(6, ':').skip(1);
        let mut next = || parts.next().ok_or(ArnFault::Parts);
        let (partition, service, region, account, resource) = (next()?, next()?, next()?, next()?, next()?);
        let is_partition = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if partition.is_empty() || !partition.bytes().all(is_partition) {
            return Err(ArnFault::Partition);
        }
        if service != "iam" {
            return Err(ArnFault::Service);
        }
        if !region.is_empty() {
            return Err(ArnFault::Region);
        }
        if account.len() != 12 || !account.bytes().all(|c| c.is_ascii_digit()) {
            return Err(ArnFault::Account);
        }
        let role = resource.strip_prefix("role/").ok_or(ArnFault::Resource)?;
        Ok(Self { partition, account, role: RolePath::parse(role)? })
    }
}

impl<'a> RolePath<'a> {
    /// Parses `name` or `path/name`, without a leading slash.
    ///
    /// # Errors
    /// [`ArnFault::Path`] or [`ArnFault::Name`].
    ///
    /// ```
    /// use metagate_plugin_sdk::{ArnFault, RolePath};
    ///
    /// assert!(RolePath::parse("team/web").is_ok());
    /// assert_eq!(RolePath::parse("team/../web"), Err(ArnFault::Path));
    /// ```
    pub fn parse(text: &'a str) -> Result<Self, ArnFault> {
        let (folders, name) = match text.rsplit_once('/') {
            Some((folders, name)) => {
                // An empty folder means one slash too many, and a colon an ARN without its beginning; clients remove
                // dot folders from URLs.
                let is_text = |c: u8| c.is_ascii_graphic() && c != b':';
                let is_folder = |folder: &str| !folder.is_empty() && !is_dots(folder) && folder.bytes().all(is_text);
                let fits = folders.len() + "//".len() <= MAX_PATH_BYTES;
                if !fits || !folders.split('/').all(is_folder) {
                    return Err(ArnFault::Path);
                }
                (folders, name)
            }
            None => ("", text),
        };
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || is_dots(name) || !name.bytes().all(is_name) {
            return Err(ArnFault::Name);
        }
        Ok(Self { folders, name })
    }

    /// Whether the role is below this path. Write the path like IAM, with a slash at both ends: `/` holds every role,
    /// `/team/` holds `team/web` and `team/batch/nightly`.
    ///
    /// ```
    /// use metagate_plugin_sdk::RolePath;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::ArnFault> {
    /// assert!(RolePath::parse("team/web")?.is_under("/team/"));
    /// assert!(!RolePath::parse("team-two/web")?.is_under("/team/"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_under(&self, path: &str) -> bool {
        match self.folders {
            "" => path == "/",
            folders => format!("/{folders}/").starts_with(path) && path.ends_with('/'),
        }
    }
}

fn is_dots(part: &str) -> bool {
    part == "." || part == ".."
}

impl fmt::Display for RoleArn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:iam::{}:role/{}", self.partition, self.account, self.role)
    }
}

impl fmt::Display for RolePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folders {
            "" => f.write_str(self.name),
            folders => write!(f, "{folders}/{}", self.name),
        }
    }
}

/// The error in the ARN or the path of a role; `Display` says what was expected instead.
///
/// ```
/// use metagate_plugin_sdk::RoleArn;
///
/// let fault = RoleArn::parse("arn:aws:iam::12345:role/web").unwrap_err();
/// assert_eq!(fault.to_string(), "the account is twelve digits");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArnFault {
    /// It does not begin with `arn:`.
    Prefix,
    /// It is longer than 2048 bytes.
    Length,
    /// It has fewer than six parts.
    Parts,
    /// Its partition is empty or not a partition's name.
    Partition,
    /// Its service is not `iam`.
    Service,
    /// It has a region.
    Region,
    /// Its account is not twelve digits.
    Account,
    /// Its resource is not a role.
    Resource,
    /// A folder of the path is empty, consists of dots, or holds a forbidden character; or the path is too long.
    Path,
    /// The name is empty, too long, consists of dots, or holds a forbidden character.
    Name,
}

impl fmt::Display for ArnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "an ARN begins with `arn:`",
            Self::Length => "an ARN has at most 2048 bytes",
            Self::Parts => "a role's ARN is arn:PARTITION:iam::ACCOUNT:role/NAME",
            Self::Partition => "the partition, after `arn:`, is `aws`, `aws-cn` or the like",
            Self::Service => "the service, after the partition, is `iam`",
            Self::Region => "a role's ARN has no region: `iam::` with two colons",
            Self::Account => "the account is twelve digits",
            Self::Resource => "the account is followed by `:role/` and the role's name",
            Self::Path => "a role's path has no empty or dot folder, no colon or space, and at most 512 characters",
            Self::Name => "a role's name is 1 to 64 letters, digits and _+=,.@-, and not only dots",
        })
    }
}

impl Error for ArnFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_part_of_an_arn_is_found() {
        let arn = RoleArn::parse("arn:aws-cn:iam::123456789012:role/team/batch/nightly").unwrap();
        assert_eq!((arn.partition, arn.account, arn.role.name), ("aws-cn", "123456789012", "nightly"));
        assert!(arn.role.is_under("/team/") && arn.role.is_under("/team/batch/") && arn.role.is_under("/"));
    }

    #[test]
    fn a_path_holds_whole_folders_only() {
        let role = RolePath::parse("team-two/web").unwrap();
        assert!(!role.is_under("/team") && !role.is_under("/team/") && !role.is_under("/team-two/web"));
        let rootless = RolePath::parse("admin").unwrap();
        assert!(rootless.is_under("/") && !rootless.is_under("/admin/") && !rootless.is_under(""));
    }

    #[test]
    fn the_prefix_is_known_in_capitals_and_given_back_in_small_letters() {
        let arn = RoleArn::parse("ARN:aws:iam::123456789012:role/web").unwrap();
        assert_eq!(arn.to_string(), "arn:aws:iam::123456789012:role/web");
    }

    #[test]
    fn each_malformed_part_is_named() {
        let long_name = format!("arn:aws:iam::123456789012:role/{}", "n".repeat(65));
        let long = format!("arn:aws:iam::123456789012:role/{}/n", "p".repeat(2048));
        let cases = [
            ("role/web", ArnFault::Prefix),
            ("arn", ArnFault::Prefix),
            ("arn:", ArnFault::Parts),
            ("arn:aws:iam::123456789012", ArnFault::Parts),
            ("arn::iam::123456789012:role/web", ArnFault::Partition),
            ("arn:aws:s3:::bucket", ArnFault::Service),
            ("arn:aws:iam:eu-west-1:123456789012:role/web", ArnFault::Region),
            ("arn:aws:iam::12345678901:role/web", ArnFault::Account),
            ("arn:aws:iam::12345678901٣:role/web", ArnFault::Account),
            ("arn:aws:iam::123456789012:user/web", ArnFault::Resource),
            ("arn:aws:iam::123456789012:role//web", ArnFault::Path),
            ("arn:aws:iam::123456789012:role/a b/web", ArnFault::Path),
            ("arn:aws:iam::123456789012:role/a/../web", ArnFault::Path),
            ("arn:aws:iam::123456789012:role/a:b/web", ArnFault::Path),
            ("arn:aws:iam::123456789012:role/..", ArnFault::Name),
            ("arn:aws:iam::123456789012:role/", ArnFault::Name),
            ("arn:aws:iam::123456789012:role/web/", ArnFault::Name),
            ("arn:aws:iam::123456789012:role/we b", ArnFault::Name),
            (&long_name, ArnFault::Name),
            (&long, ArnFault::Length),
        ];
        for (text, fault) in cases {
            assert_eq!(RoleArn::parse(text), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in ".{0,80}", tail in ".{0,40}") {
            let _ = RoleArn::parse(&text);
            let _ = RoleArn::parse(&format!("arn:aws:iam::{tail}"));
            let _ = RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{tail}"));
        }

        #[test]
        fn an_arn_is_given_back_as_it_was_read(
            text in "arn:aws(-cn)?:iam::[0-9]{12}:role/([!-.0-9;-~]{1,9}/){0,3}[A-Za-z0-9_+=,.@-]{1,64}"
        ) {
            prop_assume!(!text.split('/').any(is_dots));
            prop_assert_eq!(RoleArn::parse(&text).unwrap().to_string(), text);
        }
    }
}
