//! Denies every role to pods with a listed image or label.

use metagate_plugin_sdk::{Glob, Interest, Policy, Role, Verdict, Workload, export_policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    name: String,
    listed: Listed,
    cure: Option<String>,
}

enum Listed {
    Image(Glob),
    Label { key: String, value: Option<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    image: Option<Glob>,
    label: Option<String>,
    cure: Option<String>,
}

pub struct DenyList(Config);

impl Policy for DenyList {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::none();
        if self.0.rules.iter().any(|rule| matches!(rule.listed, Listed::Image(_))) {
            interest = interest.images();
        }
        interest.labels(self.0.rules.iter().filter_map(|rule| match &rule.listed {
            Listed::Label { key, .. } => Some(key),
            Listed::Image(_) => None,
        }))
    }

    fn authorize(&self, workload: &Workload, _: &Role) -> Result<Verdict, String> {
        let rule = self.0.rules.iter().find(|rule| rule.lists(workload));
        // Another plugin decides which pods may have a role at all.
        Ok(rule.map_or(Verdict::Abstain, |rule| Verdict::deny("deny-listed", rule.sentence())))
    }
}

impl Rule {
    fn lists(&self, workload: &Workload) -> bool {
        match &self.listed {
            Listed::Image(glob) => workload.images().any(|(_, image)| glob.matches(image)),
            Listed::Label { key, value: Some(value) } => workload.label(key) == Some(value),
            Listed::Label { key, value: None } => workload.label(key).is_some(),
        }
    }

    fn sentence(&self) -> String {
        let (what, cure) = match self.listed {
            Listed::Image(_) => ("an image", "take another image"),
            Listed::Label { .. } => ("a label", "take the label off"),
        };
        format!(
            "deny list, rule `{}`: {what} of this pod is listed; {}",
            self.name,
            self.cure.as_deref().unwrap_or(cure)
        )
    }
}

impl TryFrom<Written> for Rule {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { name, image, label, cure } = written;
        if name.is_empty() {
            return Err("name: must not be empty, for denials name the rule");
        }
        let listed = match (image, label) {
            (Some(image), None) => Listed::Image(image),
            (None, Some(label)) => {
                let (key, value) = match label.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (label, None),
                };
                if key.is_empty() || key.contains('*') {
                    return Err("label: must be KEY or KEY=VALUE, without `*`");
                }
                Listed::Label { key, value }
            }
            _ => return Err("a rule has either image or label"),
        };
        Ok(Self { name, listed, cure })
    }
}

export_policy!(DenyList);

#[cfg(test)]
mod tests {
    use metagate_plugin_sdk::parse_config;

    use super::*;

    fn is_denied(rule: &str, workload: &Workload) -> bool {
        let policy = DenyList::new(parse_config(&format!("{{\"rules\":[{rule}]}}")).unwrap()).unwrap();
        matches!(policy.authorize(workload, &Role::named("web")), Ok(Verdict::Deny(_)))
    }

    #[test]
    fn an_image_of_any_container_counts() {
        let rule = r#"{ "name": "no-latest", "image": "*:latest" }"#;
        let pod = Workload::of("payments", "checkout-0").with_image("app", "shop:1");
        assert!(!is_denied(rule, &pod));
        assert!(is_denied(rule, &pod.with_image("debugger", "busybox:latest")));
    }

    #[test]
    fn a_label_counts_by_key_or_by_key_and_value() {
        let pod = Workload::of("payments", "checkout-0").with_label("tier", "public");
        assert!(is_denied(r#"{ "name": "r", "label": "tier" }"#, &pod));
        assert!(is_denied(r#"{ "name": "r", "label": "tier=public" }"#, &pod));
        assert!(!is_denied(r#"{ "name": "r", "label": "tier=pub" }"#, &pod));
        assert!(!is_denied(r#"{ "name": "r", "label": "quarantine" }"#, &pod));
    }

    #[test]
    fn only_what_the_rules_read_is_asked_for() {
        let policy = DenyList::new(parse_config(r#"{"rules":[{"name":"r","label":"tier=public"}]}"#).unwrap()).unwrap();
        assert_eq!(policy.interest(), Interest::none().labels(["tier"]));
    }
}
