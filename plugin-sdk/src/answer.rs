use crate::{Denial, Resolution, Verdict};

impl Denial {
    /// `code` is a short constant such as `role-not-permitted`, a label in metrics. `reason` is a sentence for the
    /// pod's owner: name the rule and what to change, not other pods or roles.
    ///
    /// ```
    /// use metagate_plugin_sdk::{Denial, Verdict};
    ///
    /// let denial = Denial::new("no-team", "label the pod with its team: team=NAME");
    /// assert_eq!(denial.code, "no-team");
    /// assert_eq!(Verdict::Deny(denial), Verdict::deny("no-team", "label the pod with its team: team=NAME"));
    /// ```
    #[must_use]
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

impl Resolution {
    /// Short for `Resolution::Deny(Denial::new(code, reason))`.
    ///
    /// ```
    /// use metagate_plugin_sdk::{Denial, Resolution};
    ///
    /// let refused = Resolution::deny("no-team", "label the pod with its team");
    /// assert_eq!(refused, Resolution::Deny(Denial::new("no-team", "label the pod with its team")));
    /// ```
    #[must_use]
    pub fn deny(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Deny(Denial::new(code, reason))
    }
}

impl Verdict {
    /// Short for `Verdict::Deny(Denial::new(code, reason))`.
    ///
    /// ```
    /// use metagate_plugin_sdk::{Denial, Verdict};
    ///
    /// let refused = Verdict::deny("not-trusted", "this role is for pods labelled tier=trusted");
    /// assert!(matches!(refused, Verdict::Deny(Denial { code, .. }) if code == "not-trusted"));
    /// ```
    #[must_use]
    pub fn deny(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Deny(Denial::new(code, reason))
    }
}
