//! Where credentials come from, their lifetimes, and the roles that the configuration names.

use std::time::Duration;

use super::{Checker, Key, bounds, quote, raw};
use crate::{
    config::{Credentials, CredentialsSource, Identity, units::Bounds},
    role::{BaseArn, DURATION_BOUNDS},
};

const SESSION_DURATION: Bounds<Duration> = bounds(
    Duration::from_secs(*DURATION_BOUNDS.start())..=Duration::from_secs(*DURATION_BOUNDS.end()),
    "STS allows sessions of 15m to 12h",
);
/// AWS IAM User Guide, "Role chaining": a role that another role assumes has sessions of one hour at most.
const CHAINED_MAX: Duration = Duration::from_secs(3600);
const WAIT: Bounds<Duration> = bounds(
    Duration::ZERO..=Duration::from_secs(10),
    "SDKs time out after 1s to 5s, so a longer wait only holds a connection that nobody reads",
);
const CONCURRENT_FETCHES: Bounds<usize> =
    bounds(1..=256, "STS throttles per account and region: all nodes share a few hundred calls per second");

impl Checker<'_, '_> {
    pub(super) fn credentials(&mut self, raw: &raw::Credentials) -> Option<Credentials> {
        let at = |name| Key::dotted("credentials").name(name);
        let sources = [("sts", CredentialsSource::Sts), ("sandbox", CredentialsSource::Sandbox)];
        let source = self.choice(&at("source"), &raw.source, sources);
        let identity = self.identity(&at("identity"), &raw.identity);
        let base_role_arn = self.base(&at("base_role_arn"), &raw.base_role_arn);
        let region = self.region(&at("region"), &raw.region);
        let sts_endpoint = self.optional_url(&at("sts_endpoint"), &raw.sts_endpoint);
        let arn_help = "write it as \"arn:aws:iam::123456789012:role/NAME\"";
        let assume_role_arn = match raw.assume_role_arn.as_str() {
            "" => Some(None),
            written => self.parse(&at("assume_role_arn"), written, arn_help).map(Some),
        };
        let session_duration = self.duration(&at("session_duration"), &raw.session_duration, &SESSION_DURATION);
        let template_help = "write it with {namespace}, {pod}, {service_account}, {uid} and {node}";
        let session_name = self.parse(&at("session_name"), &raw.session_name, template_help);
        let min_remaining = self.min_remaining(&at("min_remaining"), &raw.min_remaining, session_duration);
        let wait = self.duration(&at("wait"), &raw.wait, &WAIT);
        let concurrent_fetches = self.number(&at("concurrent_fetches"), raw.concurrent_fetches, &CONCURRENT_FETCHES);
        if let (Some(duration), Some(Some(_))) = (session_duration, &assume_role_arn) {
            self.refuse_long_chain(duration);
        }
        Some(Credentials {
            source: source?,
            identity: identity?,
            base_role_arn: base_role_arn?,
            region: region?,
            sts_endpoint: sts_endpoint?,
            assume_role_arn: assume_role_arn?,
            session_duration: session_duration?,
            session_name: session_name?,
            session_tags: raw.session_tags,
            min_remaining: min_remaining?,
            wait: wait?,
            concurrent_fetches: concurrent_fetches?,
        })
    }

    fn identity(&mut self, key: &Key, written: &str) -> Option<Identity> {
        let identities = [
            ("auto", Identity::Auto),
            ("environment", Identity::Environment),
            ("web-identity", Identity::WebIdentity),
            ("imds", Identity::Imds),
        ];
        self.choice(key, written, identities)
    }

    fn base(&mut self, key: &Key, written: &str) -> Option<Option<BaseArn>> {
        if written == "auto" {
            return Some(None);
        }
        let help =
            "write it as \"arn:aws:iam::123456789012:role/\", or \"auto\" for the account of the node's own role";
        self.parse(key, written, help).map(Some)
    }

    fn region(&mut self, key: &Key, written: &str) -> Option<Option<String>> {
        match written {
            "auto" => Some(None),
            region if is_region(region) => Some(Some(region.to_owned())),
            other => {
                let problem = format!("expected a region or \"auto\", found {}", quote(other));
                self.collector.refuse(
                    key,
                    problem,
                    "write it as \"eu-west-1\", without the letter of an availability zone",
                );
                None
            }
        }
    }

    /// Credentials are renewed at half of their lifetime: a minimum above that could not be kept.
    fn min_remaining(&mut self, key: &Key, written: &str, session: Option<Duration>) -> Option<Duration> {
        let any = bounds(Duration::ZERO..=Duration::MAX, "");
        let floor = self.duration(key, written, &any)?;
        let Some(session) = session else { return Some(floor) };
        if floor < session / 2 {
            return Some(floor);
        }
        let show = |duration| humantime::format_duration(duration).to_string();
        let (floor, half, session) = (show(floor), show(session / 2), show(session));
        self.collector.refuse_pair(
            [key, &Key::dotted("credentials.session_duration")],
            format!("min_remaining ({floor}) must be less than half of session_duration ({session})"),
            format!(
                "credentials are renewed at half of their lifetime: set min_remaining below {half}, or a longer session_duration"
            ),
        );
        None
    }

    fn refuse_long_chain(&mut self, session: Duration) {
        if session <= CHAINED_MAX {
            return;
        }
        let session = humantime::format_duration(session);
        self.collector.refuse_pair(
            [&Key::dotted("credentials.session_duration"), &Key::dotted("credentials.assume_role_arn")],
            format!("session_duration ({session}) is more than 1h while assume_role_arn is set"),
            "STS ends the session of a role that was assumed by another role after 1h (role chaining)",
        );
    }

    /// A name, a path with a name, or an ARN. A name's ARN depends on a base that may be known only at run time.
    pub(super) fn default_role(&mut self, key: &Key, written: &str) -> Option<Option<String>> {
        if written.is_empty() {
            return Some(None);
        }
        let any_base: Option<BaseArn> = "arn:aws:iam::000000000000:role/".parse().ok();
        match any_base?.expand(written) {
            Ok(_) => Some(Some(written.to_owned())),
            Err(error) => {
                let help = "write a role's name, its path and name, or its ARN";
                self.collector.refuse(key, format!("{} {error}", quote(written)), help);
                None
            }
        }
    }
}

/// Two letters or more, one or more words, a number: `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let is_word = |word: &&str| word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    is_number && (2..=4).contains(&words.len()) && words.iter().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_every_partition_are_known_by_their_form() {
        for region in ["eu-west-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1", "mx-central-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in ["", "eu-west", "eu-west-1a", "EU-WEST-1", "west-1", "eu--1", "eu-west-001", "eu west 1"] {
            assert!(!is_region(other), "{other}");
        }
    }
}
