use std::time::Duration;

use crate::workload::{insert, lookup};
use crate::{CredentialSource, Role};

/// Built up parameter by parameter. The gateway checks each against AWS's bounds and refuses what STS would refuse.
///
/// ```
/// use std::time::Duration;
///
/// use metagate_plugin_sdk::Role;
///
/// let role = Role::named("shared/reports")
///     .with_session_name("nightly")
///     .with_duration(Duration::from_secs(3600))
///     .with_tag("team", "finance");
/// assert_eq!((role.arn.as_str(), role.duration_seconds), ("shared/reports", Some(3600)));
/// ```
impl Role {
    /// A role by its ARN, or by its name or `path/name` in the gateway's base account. Its source is sts:AssumeRole,
    /// and the gateway's configuration decides every parameter of the session.
    ///
    /// ```
    /// use metagate_plugin_sdk::{CredentialSource, Role};
    ///
    /// let role = Role::named("team/web");
    /// assert!(matches!(role.source, CredentialSource::AssumeRole) && role.session_name.is_none());
    /// ```
    #[must_use]
    pub fn named(arn_or_name: impl Into<String>) -> Self {
        Self {
            arn: arn_or_name.into(),
            source: CredentialSource::AssumeRole,
            session_name: None,
            external_id: None,
            duration_seconds: None,
            tags: Vec::new(),
            session_policy: None,
            policy_arns: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// The same role with another source.
    ///
    /// ```
    /// use metagate_plugin_sdk::{CredentialSource, Role};
    ///
    /// let source = CredentialSource::WebIdentity("sts.amazonaws.com".to_owned());
    /// assert_eq!(Role::named("web").with_source(source.clone()).source, source);
    /// ```
    #[must_use]
    pub fn with_source(mut self, source: CredentialSource) -> Self {
        self.source = source;
        self
    }

    /// The same role with this session name, which CloudTrail shows: 2 to 64 letters, digits and `_+=,.@-`.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// let role = Role::named("web").with_session_name("checkout-0");
    /// assert_eq!(role.session_name.as_deref(), Some("checkout-0"));
    /// ```
    #[must_use]
    pub fn with_session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// The same role with the external id that its trust policy requires.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// let role = Role::named("arn:aws:iam::210987654321:role/partner").with_external_id("contract-7");
    /// assert_eq!(role.external_id.as_deref(), Some("contract-7"));
    /// ```
    #[must_use]
    pub fn with_external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The same role with sessions of this length, 15 minutes to 12 hours, in whole seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use metagate_plugin_sdk::Role;
    ///
    /// assert_eq!(Role::named("web").with_duration(Duration::from_secs(900)).duration_seconds, Some(900));
    /// ```
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        // u32::MAX is above the bound too, so the gateway refuses it like the longer duration.
        self.duration_seconds = Some(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// The same role with this session tag, which replaces an earlier value. If the gateway tags sessions itself, its
    /// own tags win.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// let role = Role::named("web").with_tag("team", "a").with_tag("cost", "7").with_tag("team", "b");
    /// let expected = [("cost", "7"), ("team", "b")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    /// assert_eq!(role.tags, expected);
    /// ```
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.tags, key.into(), value.into());
        self
    }

    /// The same role with an IAM policy that limits its session: JSON of at most 2048 characters.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// let policy = serde_json::json!({
    ///     "Version": "2012-10-17",
    ///     "Statement": [{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::reports/*" }],
    /// });
    /// let role = Role::named("shared/reports").with_session_policy(policy.to_string());
    /// assert!(role.session_policy.is_some_and(|policy| policy.contains("s3:GetObject")));
    /// ```
    #[must_use]
    pub fn with_session_policy(mut self, json: impl Into<String>) -> Self {
        self.session_policy = Some(json.into());
        self
    }

    /// The same role with one more managed policy, by its ARN, that limits its session; at most ten.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// let role = Role::named("web").with_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess");
    /// assert_eq!(role.policy_arns, ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    /// ```
    #[must_use]
    pub fn with_policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// The same role with this attribute, which replaces an earlier value.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// // In a unit test: an attribute that the gateway adds before it calls `authorize`.
    /// let role = Role::named("arn:aws:iam::123456789012:role/web").with_attribute("as-written", "web");
    /// assert_eq!(role.attribute("as-written"), Some("web"));
    /// ```
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.attributes, key.into(), value.into());
        self
    }

    /// An attribute. For `authorize` the gateway adds `as-written`, the role as `resolve` answered it, and `base-arn`,
    /// the prefix that it puts before a name.
    ///
    /// ```
    /// use metagate_plugin_sdk::Role;
    ///
    /// assert_eq!(Role::named("web").attribute("base-arn"), None);
    /// ```
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        lookup(&self.attributes, key)
    }
}
