//! Role ARNs: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`. Parsing never panics: another gateway crashed a whole
//! cluster on one bad annotation.

use std::{fmt, ops::Range, str::FromStr, sync::Arc};

/// The longest ARN that STS accepts (AWS STS API Reference, AssumeRole, RoleArn).
const ARN_MAX: usize = 2048;
/// The longest role name and path (IAM API Reference, CreateRole).
const NAME_MAX: usize = 64;
const PATH_MAX: usize = 512;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RoleArn {
    text: Arc<str>,
    partition: Range<usize>,
    account: Range<usize>,
    name: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    #[error("is longer than 2048 characters")]
    TooLong,
    #[error("is not of the form arn:PARTITION:iam::ACCOUNT:role/NAME")]
    Shape,
    #[error("names a partition that is not aws or aws-…")]
    Partition,
    #[error("names an account that is not 12 digits")]
    Account,
    #[error(
        "has a path that is longer than 512 characters or holds an empty or dot part, a colon, a space or a control character"
    )]
    Path,
    #[error("has a role name that is not 1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")]
    Name,
}

impl RoleArn {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn partition(&self) -> &str {
        self.part(&self.partition)
    }

    pub fn account(&self) -> &str {
        self.part(&self.account)
    }

    /// The role's name without its path: what the metadata service lists.
    pub fn name(&self) -> &str {
        self.part(&self.name)
    }

    /// `path/name`, without a leading slash.
    pub fn path_and_name(&self) -> &str {
        let start = self.account.end + ":role/".len();
        self.text.get(start..).unwrap_or_default()
    }

    /// Whether `written` names this role: by name, by path and name, or by ARN.
    pub fn is_named_by(&self, written: &str) -> bool {
        let bare = written.strip_prefix('/').unwrap_or(written);
        bare == self.name() || bare == self.path_and_name() || written == self.as_str()
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;

    fn from_str(written: &str) -> Result<Self, ArnError> {
        if written.len() > ARN_MAX {
            return Err(ArnError::TooLong);
        }
        let mut fields = written.splitn(6, ':');
        let mut next = || fields.next().ok_or(ArnError::Shape);
        let (scheme, partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        if !scheme.eq_ignore_ascii_case("arn") || service != "iam" || !region.is_empty() {
            return Err(ArnError::Shape);
        }
        check_partition(partition)?;
        check_account(account)?;
        let path_and_name = resource.strip_prefix("role/").ok_or(ArnError::Shape)?;
        let (path, name) = match path_and_name.rsplit_once('/') {
            Some((path, name)) => (Some(path), name),
            None => (None, path_and_name),
        };
        if let Some(path) = path {
            check_path(path)?;
        }
        if !is_role_name(name) {
            return Err(ArnError::Name);
        }
        let text: Arc<str> = format!("arn:{partition}:iam::{account}:role/{path_and_name}").into();
        let partition = 4..4 + partition.len();
        let account_at = partition.end + ":iam::".len();
        let name = text.len() - name.len()..text.len();
        Ok(Self { partition, account: account_at..account_at + account.len(), name, text })
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the text is meant as an ARN, and not as a name.
pub(crate) fn is_arn(written: &str) -> bool {
    written.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("arn:"))
}

/// The prefix that makes an ARN of a role's name: `arn:PARTITION:iam::ACCOUNT:role/`, perhaps with a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseArn(Arc<str>);

impl BaseArn {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The base of the role behind an instance profile (`arn:aws:iam::ACCOUNT:instance-profile/…`). The profile's
    /// path tells nothing about the role's path, so it is dropped, as kube2iam and kiam do.
    pub fn of_instance_profile(arn: &str) -> Result<Self, ArnError> {
        let (head, _) = arn.split_once(":instance-profile/").ok_or(ArnError::Shape)?;
        format!("{head}:role/").parse()
    }

    /// Expands `name`, `/name` or `path/name`; takes a full ARN as it is.
    pub fn expand(&self, written: &str) -> Result<RoleArn, ArnError> {
        if is_arn(written) {
            return written.parse();
        }
        format!("{}{}", self.0, written.strip_prefix('/').unwrap_or(written)).parse()
    }
}

impl FromStr for BaseArn {
    type Err = ArnError;

    fn from_str(written: &str) -> Result<Self, ArnError> {
        let with_slash = if written.ends_with('/') { written.to_owned() } else { format!("{written}/") };
        // A base is valid if a name after it makes a valid ARN.
        let probe: RoleArn = format!("{with_slash}x").parse()?;
        let text = probe.as_str().strip_suffix('x').unwrap_or_default();
        Ok(Self(text.into()))
    }
}

fn check_partition(partition: &str) -> Result<(), ArnError> {
    let rest = partition.strip_prefix("aws").ok_or(ArnError::Partition)?;
    let well_formed = rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|tail| tail.len() <= 32 && tail.split('-').all(is_lower_alphanumeric));
    well_formed.then_some(()).ok_or(ArnError::Partition)
}

fn is_lower_alphanumeric(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn check_account(account: &str) -> Result<(), ArnError> {
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(()).ok_or(ArnError::Account)
}

/// IAM allows any printable ASCII character in a path (CreateRole, Path). Two things are refused all the same: dot
/// segments, because clients remove them from URLs, and colons, because they most likely come from an ARN without its
/// beginning.
fn check_path(path: &str) -> Result<(), ArnError> {
    let well_formed = path.len() <= PATH_MAX
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    well_formed.then_some(()).ok_or(ArnError::Path)
}

fn is_role_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_name_byte) && name != "." && name != ".."
}

/// The characters that IAM names and STS session names share: `[\w+=,.@-]`.
pub(super) fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(written: &str) -> Result<RoleArn, ArnError> {
        written.parse()
    }

    #[test]
    fn parts_are_read_from_an_arn_with_a_path() {
        let arn = parse("arn:aws-us-gov:iam::123456789012:role/team/a/reader").unwrap();
        assert_eq!(arn.partition(), "aws-us-gov");
        assert_eq!(arn.account(), "123456789012");
        assert_eq!(arn.name(), "reader");
        assert_eq!(arn.path_and_name(), "team/a/reader");
    }

    #[test]
    fn scheme_is_read_in_any_case_and_written_in_lower_case() {
        assert_eq!(parse("ARN:aws:iam::123456789012:role/a").unwrap().as_str(), "arn:aws:iam::123456789012:role/a");
    }

    #[test]
    fn malformed_arns_are_refused_each_with_its_reason() {
        let long = format!("arn:aws:iam::123456789012:role/{}", "a/".repeat(1100));
        for (written, why) in [
            ("", ArnError::Shape),
            ("arn", ArnError::Shape),
            ("arn:aws:iam::123456789012", ArnError::Shape),
            ("arn:aws:s3:::bucket/role/x", ArnError::Shape),
            ("arn:aws:iam:us-east-1:123456789012:role/x", ArnError::Shape),
            ("arn:aws:iam::123456789012:user/x", ArnError::Shape),
            ("arn:gcp:iam::123456789012:role/x", ArnError::Partition),
            ("arn:aws-:iam::123456789012:role/x", ArnError::Partition),
            ("arn:aws:iam::12345678901:role/x", ArnError::Account),
            ("arn:aws:iam::12345678901a:role/x", ArnError::Account),
            ("arn:aws:iam::123456789012:role/", ArnError::Name),
            ("arn:aws:iam::123456789012:role/a b", ArnError::Name),
            ("arn:aws:iam::123456789012:role/a:b", ArnError::Name),
            ("arn:aws:iam::123456789012:role//x", ArnError::Path),
            ("arn:aws:iam::123456789012:role/a/../x", ArnError::Path),
            ("arn:aws:iam::123456789012:role/a b/x", ArnError::Path),
            (long.as_str(), ArnError::TooLong),
        ] {
            assert_eq!(parse(written), Err(why), "{written}");
        }
    }

    #[test]
    fn a_base_expands_names_paths_and_leaves_arns() {
        let base: BaseArn = "arn:aws:iam::123456789012:role".parse().unwrap();
        assert_eq!(base.as_str(), "arn:aws:iam::123456789012:role/");
        assert_eq!(base.expand("/a").unwrap().as_str(), "arn:aws:iam::123456789012:role/a");
        assert_eq!(base.expand("p/a").unwrap().path_and_name(), "p/a");
        assert_eq!(base.expand("arn:aws-cn:iam::210987654321:role/b").unwrap().account(), "210987654321");
        assert_eq!(base.expand(""), Err(ArnError::Name));
    }

    #[test]
    fn a_base_is_read_from_an_instance_profile() {
        let base = BaseArn::of_instance_profile("arn:aws-cn:iam::123456789012:instance-profile/nodes/worker").unwrap();
        assert_eq!(base.as_str(), "arn:aws-cn:iam::123456789012:role/");
        assert_eq!(BaseArn::of_instance_profile("arn:aws:iam::123456789012:role/x"), Err(ArnError::Shape));
    }

    proptest! {
        #[test]
        fn parsing_is_total(written in any::<String>()) {
            let _ = parse(&written);
            let _ = written.parse::<BaseArn>();
            let _ = BaseArn::of_instance_profile(&written);
        }

        #[test]
        fn parsing_near_arns_is_total(written in "(arn|ARN)?:{0,2}aws(-cn)?:?iam::?[0-9]{0,13}:role/?[ -~é]{0,40}") {
            if let Ok(arn) = parse(&written) {
                prop_assert!(arn.is_named_by(arn.name()));
                prop_assert!(arn.path_and_name().ends_with(arn.name()));
                prop_assert_eq!(&parse(arn.as_str()).unwrap(), &arn);
            }
        }

        #[test]
        fn an_arn_is_rebuilt_from_its_parts(path in "([!-.0-9;-~]{1,8}/){0,3}", name in "[A-Za-z0-9_+=,.@-]{1,64}") {
            prop_assume!(path.split('/').all(|p| p != "." && p != "..") && name != "." && name != "..");
            let text = format!("arn:aws:iam::123456789012:role/{path}{name}");
            let arn = parse(&text).unwrap();
            prop_assert_eq!(arn.name(), &name);
            prop_assert_eq!(arn.as_str(), &text);
        }
    }
}
