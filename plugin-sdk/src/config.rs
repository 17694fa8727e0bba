use serde::de::DeserializeOwned;

/// Reads a plugin's configuration as the gateway passes it: a JSON object; an empty text means `{}`.
///
/// # Errors
/// One sentence after the path of the wrong key, such as ``missing: unknown variant `maybe`, expected `deny` or `allow`
/// ``. It has no line numbers, because the operator wrote TOML.
///
/// ```
/// use metagate_plugin_sdk::parse_config;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     teams: Vec<String>,
/// }
///
/// # fn main() -> Result<(), String> {
/// let config: Config = parse_config(r#"{ "teams": ["a", "b"] }"#)?;
/// assert_eq!(config.teams, ["a", "b"]);
///
/// let error = parse_config::<Config>(r#"{ "teams": ["a", 2] }"#).unwrap_err();
/// assert_eq!(error, "teams[1]: invalid type: integer `2`, expected a string");
/// # Ok(())
/// # }
/// ```
pub fn parse<C: DeserializeOwned>(config_json: &str) -> Result<C, String> {
    let text = if config_json.trim().is_empty() { "{}" } else { config_json };
    let mut table = serde_json::Deserializer::from_str(text);
    let config = serde_path_to_error::deserialize(&mut table).map_err(|error| {
        let sentence = error.inner().to_string();
        // The position is in the JSON that the gateway made from the operator's TOML.
        let sentence = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(sentence, _)| sentence);
        // At the root the path is ".", and serde's text names a missing key itself.
        match error.path().to_string().as_str() {
            "." => sentence.to_owned(),
            path => format!("{path}: {sentence}"),
        }
    })?;
    table.end().map_err(|error| error.to_string())?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoConfig;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        keys: Vec<String>,
        #[serde(default)]
        missing: Missing,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Missing {
        #[default]
        Deny,
        Allow,
    }

    #[test]
    fn no_configuration_reads_as_an_empty_table() {
        assert_eq!(parse::<NoConfig>(""), Ok(NoConfig {}));
        assert_eq!(parse::<NoConfig>("{}"), Ok(NoConfig {}));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = parse::<Sample>(r#"{"mising":"deny"}"#).unwrap_err();
        assert!(error.ends_with("unknown field `mising`, expected `keys` or `missing`"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key() {
        let error = parse::<Sample>(r#"{"keys":["a",3]}"#).unwrap_err();
        assert_eq!(error, "keys[1]: invalid type: integer `3`, expected a string");
    }

    #[test]
    fn a_value_outside_its_set_names_its_key_and_the_set() {
        let error = parse::<Sample>(r#"{"missing":"maybe"}"#).unwrap_err();
        assert_eq!(error, "missing: unknown variant `maybe`, expected `deny` or `allow`");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!(parse::<Sample>("keys = []").is_err());
        assert!(parse::<Sample>("{} {}").is_err());
    }
}
