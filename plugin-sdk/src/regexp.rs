use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::{Pattern, PatternFault};

/// A regular expression in a configuration, which matches whole texts. A text that is not an expression refuses the
/// plugin, with the key in the message.
///
/// ```
/// use metagate_plugin_sdk::{Regexp, parse_config};
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// struct Config {
///     namespaces: Regexp,
/// }
///
/// # fn main() -> Result<(), String> {
/// let config: Config = parse_config(r#"{ "namespaces": "team-[a-z]+" }"#)?;
/// assert!(config.namespaces.matches("team-web") && !config.namespaces.matches("my-team-web"));
///
/// let error = parse_config::<Config>(r#"{ "namespaces": "team-[a-z" }"#).unwrap_err();
/// assert!(error.starts_with("namespaces: `team-[a-z` is no regular expression: "));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Regexp {
    text: String,
    pattern: Pattern,
}

impl Regexp {
    /// Like [`Pattern::regexp`].
    ///
    /// # Errors
    /// Those of [`Pattern::regexp`].
    ///
    /// ```
    /// use metagate_plugin_sdk::Regexp;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// assert!(Regexp::new("web|batch")?.matches("batch"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, PatternFault> {
        let text = text.into();
        let pattern = Pattern::regexp(&text)?;
        Ok(Self { text, pattern })
    }

    /// Whether it matches the whole text.
    ///
    /// ```
    /// use metagate_plugin_sdk::Regexp;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// let regexp = Regexp::new("v[0-9]+")?;
    /// assert!(regexp.matches("v12") && !regexp.matches("v12-rc"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.pattern.matches(text)
    }

    /// The expression as it was written, for a sentence about it; `Display` gives the same.
    ///
    /// ```
    /// use metagate_plugin_sdk::Regexp;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// assert_eq!(Regexp::new("a|b")?.to_string(), "a|b");
    /// assert_eq!(Regexp::new("a|b")?.as_str(), "a|b");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Regexp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Regexp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fault = |fault| D::Error::custom(format_args!("`{text}` is no regular expression: {fault}"));
        Self::new(text.as_str()).map_err(fault)
    }
}
