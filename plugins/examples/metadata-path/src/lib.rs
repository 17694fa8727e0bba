//! Decides which pods may read which paths of the instance metadata, by a label of the pod or of its namespace.

use metagate_plugin_sdk::{Glob, Interest, Policy, Verdict, Workload, export_policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<Rule>,
    #[serde(default)]
    otherwise: Otherwise,
}

/// The answer for paths that no rule names.
#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Otherwise {
    #[default]
    Deny,
    Abstain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Relative to `/latest/`, as the gateway passes them: `meta-data/mac`.
    paths: Vec<Glob>,
    label: Option<Label>,
    namespace_label: Option<Label>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Label {
    key: String,
    value: String,
}

pub struct MetadataPath(Config);

impl Policy for MetadataPath {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        for (index, rule) in config.rules.iter().enumerate() {
            if rule.label.is_some() == rule.namespace_label.is_some() {
                return Err(format!("rules[{index}]: a rule has either label or namespace_label"));
            }
            let is_shown = |glob: &Glob| !glob.as_str().starts_with('/') && !glob.as_str().starts_with("latest/");
            if rule.paths.is_empty() || !rule.paths.iter().all(is_shown) {
                return Err(format!("rules[{index}].paths: must name paths below /latest/, such as `meta-data/mac`"));
            }
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let rules = &self.0.rules;
        let key = |label: &Option<Label>| label.as_ref().map(|label| label.key.clone());
        Interest::none()
            .labels(rules.iter().filter_map(|rule| key(&rule.label)))
            .namespace_labels(rules.iter().filter_map(|rule| key(&rule.namespace_label)))
    }

    fn authorize_path(&self, workload: &Workload, path: &str) -> Result<Verdict, String> {
        let naming: Vec<&Rule> = self.0.rules.iter().filter(|rule| rule.names(path)).collect();
        if naming.iter().any(|rule| rule.is_for(workload)) {
            return Ok(Verdict::Allow);
        }
        Ok(match (naming.first(), self.0.otherwise) {
            (None, Otherwise::Abstain) => Verdict::Abstain,
            (None, Otherwise::Deny) => Verdict::deny("path-not-listed", "no rule of metadata-path names this path"),
            (Some(rule), _) => Verdict::deny("path-not-permitted", format!("this path is for {}", rule.whom())),
        })
    }
}

impl Rule {
    fn names(&self, path: &str) -> bool {
        self.paths.iter().any(|glob| glob.matches(path))
    }

    fn is_for(&self, workload: &Workload) -> bool {
        let pod = self.label.as_ref().is_some_and(|label| workload.label(&label.key) == Some(&label.value));
        let of_namespace = |label: &Label| workload.namespace_label(&label.key) == Some(&label.value);
        pod || self.namespace_label.as_ref().is_some_and(of_namespace)
    }

    fn whom(&self) -> String {
        match (&self.label, &self.namespace_label) {
            (Some(Label { key, value }), _) => format!("pods labelled {key}={value}"),
            (None, Some(Label { key, value })) => format!("pods of namespaces labelled {key}={value}"),
            (None, None) => "no pod".to_owned(),
        }
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match written.split_once('=') {
            Some((key, value)) if !key.is_empty() && !key.contains('*') => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("expected KEY=VALUE, found `{written}`")),
        }
    }
}

export_policy!(MetadataPath);

#[cfg(test)]
mod tests {
    use metagate_plugin_sdk::parse_config;

    use super::*;

    fn verdict(otherwise: &str, workload: &Workload, path: &str) -> Verdict {
        let config = format!(
            r#"{{ "otherwise": "{otherwise}", "rules": [
                {{ "paths": ["meta-data/mac", "meta-data/network/*"], "namespace_label": "team=network" }},
                {{ "paths": ["meta-data/mac"], "label": "app=agent" }}
            ] }}"#
        );
        MetadataPath::new(parse_config(&config).unwrap()).unwrap().authorize_path(workload, path).unwrap()
    }

    #[test]
    fn any_rule_that_names_path_and_pod_allows() {
        let pod = Workload::of("payments", "checkout-0");
        let agent = pod.clone().with_label("app", "agent");
        assert_eq!(verdict("deny", &agent, "meta-data/mac"), Verdict::Allow);
        assert!(matches!(verdict("deny", &agent, "meta-data/network/interfaces"), Verdict::Deny(_)));
        assert_eq!(verdict("deny", &pod.with_namespace_label("team", "network"), "meta-data/mac"), Verdict::Allow);
    }

    #[test]
    fn a_path_that_is_named_for_others_is_denied_whatever_is_otherwise() {
        let pod = Workload::of("payments", "checkout-0").with_label("team", "network");
        assert!(matches!(verdict("abstain", &pod, "meta-data/mac"), Verdict::Deny(_)));
        assert_eq!(verdict("abstain", &pod, "meta-data/hostname"), Verdict::Abstain);
        assert!(matches!(verdict("deny", &pod, "meta-data/hostname"), Verdict::Deny(_)));
    }
}
