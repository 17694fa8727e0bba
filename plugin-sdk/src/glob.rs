use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::{Pattern, PatternFault};

/// A glob in a configuration. A text that is not a glob refuses the plugin, with the key in the message.
///
/// ```
/// use metagate_plugin_sdk::{Glob, parse_config};
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// struct Config {
///     roles: Vec<Glob>,
/// }
///
/// # fn main() -> Result<(), String> {
/// let config: Config = parse_config(r#"{ "roles": ["web", "batch/*"] }"#)?;
/// assert!(config.roles.iter().any(|role| role.matches("batch/nightly")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    pattern: Pattern,
}

impl Glob {
    /// Like [`Pattern::glob`].
    ///
    /// # Errors
    /// Those of [`Pattern::glob`].
    ///
    /// ```
    /// use metagate_plugin_sdk::Glob;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// assert!(Glob::new("payments-*")?.matches("payments-test"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, PatternFault> {
        let text = text.into();
        let pattern = Pattern::glob(&text)?;
        Ok(Self { text, pattern })
    }

    /// Whether it matches the whole text.
    ///
    /// ```
    /// use metagate_plugin_sdk::Glob;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// let glob = Glob::new("*/web")?;
    /// assert!(glob.matches("team/web") && !glob.matches("team/web/2"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.pattern.matches(text)
    }

    /// The glob as it was written, for a sentence about it; `Display` gives the same.
    ///
    /// ```
    /// use metagate_plugin_sdk::Glob;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// assert_eq!(Glob::new("admin/*")?.as_str(), "admin/*");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_config;

    #[test]
    fn a_bad_glob_of_a_configuration_is_named_by_its_key() {
        #[derive(Debug, Deserialize)]
        struct Config {
            #[expect(dead_code, reason = "only reading is tested")]
            roles: Vec<Glob>,
        }
        let error = parse_config::<Config>(&format!(r#"{{"roles":["a","{}"]}}"#, "a".repeat(5000))).unwrap_err();
        assert_eq!(error, "roles[1]: a glob of this length is too long, make several of it");
        let error = parse_config::<Config>(r#"{"roles":[7]}"#).unwrap_err();
        assert_eq!(error, "roles[0]: invalid type: integer `7`, expected a string");
    }
}
