use crate::workload::{insert, lookup};
use crate::{CredentialSource, Role};

impl Role {
    /// A role by its ARN, or by the name or `path/name` that it has in the gateway's base account; by sts:AssumeRole,
    /// with every parameter of the session left to the gateway's configuration.
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

    /// The same role by another source.
    #[must_use]
    pub fn with_source(mut self, source: CredentialSource) -> Self {
        self.source = source;
        self
    }

    /// The same role with this attribute; an earlier value of it is replaced.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.attributes, key.into(), value.into());
        self
    }

    /// An attribute: to `authorize` the gateway gives `as-written`, the role as `resolve` answered it, and `base-arn`,
    /// what it puts before a name.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        lookup(&self.attributes, key)
    }
}
