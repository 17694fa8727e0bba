use crate::{Denial, Resolution, Verdict};

impl Denial {
    /// `code` is a short constant such as `role-not-permitted`, a label in metrics; `reason` is a sentence for the pod's
    /// owner: name the rule and how to mend it, not other pods or roles.
    #[must_use]
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

impl Resolution {
    /// Short for `Resolution::Deny(Denial::new(code, reason))`.
    #[must_use]
    pub fn deny(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Deny(Denial::new(code, reason))
    }
}

impl Verdict {
    /// Short for `Verdict::Deny(Denial::new(code, reason))`.
    #[must_use]
    pub fn deny(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Deny(Denial::new(code, reason))
    }
}
