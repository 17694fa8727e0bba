//! Resolves a pod's role below the path of its team, and denies roles of other teams. A label of the namespace names
//! the team.

use metagate_plugin_sdk::{Interest, Policy, Resolution, Role, RoleArn, RolePath, Verdict, Workload, export_policy};
use serde::Deserialize;

const TEAM: &str = "{team}";
const APP: &str = "{app}";

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The role in the gateway's base account, with `{team}` and `{app}`.
    role: String,
    /// A label of the namespace, because whoever creates a pod must not choose its team.
    team_label: String,
    /// A label of the pod.
    app_label: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { role: "teams/{team}/{app}".to_owned(), team_label: "team".to_owned(), app_label: "app".to_owned() }
    }
}

pub struct TeamRole {
    config: Config,
    /// The path before the team, such as `teams/`.
    above: String,
}

impl Policy for TeamRole {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        for (field, label) in [("team_label", &config.team_label), ("app_label", &config.app_label)] {
            if label.is_empty() || label.contains('*') {
                return Err(format!("{field}: must be one label's whole key"));
            }
        }
        let above = above(&config.role).map_err(|fault| format!("role: {fault}"))?;
        Ok(Self { config, above })
    }

    fn interest(&self) -> Interest {
        Interest::none().namespace_labels([&self.config.team_label]).labels([&self.config.app_label])
    }

    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        let Config { role, team_label, app_label } = &self.config;
        let (Some(team), Some(app)) = (workload.namespace_label(team_label), workload.label(app_label)) else {
            return Ok(Resolution::Abstain);
        };
        for (owner, label, value) in [("namespace", team_label, team), ("pod", app_label, app)] {
            if !is_folder(value) {
                let reason =
                    format!("label `{label}` of the {owner} must be {FOLDER}, for it is part of a role's path");
                return Ok(Resolution::deny("bad-label", reason));
            }
        }
        Ok(Resolution::Role(Role::named(role.replace(TEAM, team).replace(APP, app))))
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        // The base ARN may have a path, which the template does not repeat.
        let in_base = role.attribute("base-arn").and_then(|base| role.arn.strip_prefix(base));
        let path = match in_base {
            Some(path) => RolePath::parse(path),
            None => RoleArn::parse(&role.arn).map(|arn| arn.role),
        };
        let path = path.map_err(|fault| fault.to_string())?;
        let above = &self.above;
        if !path.is_under(&format!("/{above}")) {
            return Ok(Verdict::Abstain);
        }
        let label = &self.config.team_label;
        let team = workload.namespace_label(label).filter(|team| is_folder(team));
        Ok(match team {
            Some(team) if path.is_under(&format!("/{above}{team}/")) => {
                // In another account this path may belong to anybody, so another plugin decides.
                if in_base.is_some() { Verdict::Allow } else { Verdict::Abstain }
            }
            Some(team) => Verdict::deny("other-team", format!("this pod's team may have roles under /{above}{team}/")),
            None => Verdict::deny(
                "no-team",
                format!("roles under /{above} are for teams: label the namespace with its own, {label}=TEAM"),
            ),
        })
    }
}

/// The path before the team in a template such as `teams/{team}/{app}`.
fn above(template: &str) -> Result<String, String> {
    let parts = template.split_once("/{team}/").filter(|(_, rest)| rest.matches(APP).count() == 1);
    let (above, _) = parts.ok_or("must have {team} as a folder below another, and {app} once after it")?;
    if above.contains(['{', '}']) || template.matches(TEAM).count() != 1 {
        return Err("must have each of {team} and {app} once".to_owned());
    }
    let sample = template.replace(TEAM, "t").replace(APP, "a");
    RolePath::parse(&sample).map_err(|fault| fault.to_string())?;
    Ok(format!("{above}/"))
}

const FOLDER: &str = "1 to 63 letters, digits and -_. that begins and ends with a letter or digit";

/// The rule for a Kubernetes label value that is not empty. It excludes slashes and `..`.
fn is_folder(value: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let ends =
        value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.ends_with(|c: char| c.is_ascii_alphanumeric());
    ends && value.len() <= 63 && value.bytes().all(plain)
}

export_policy!(TeamRole);

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "arn:aws:iam::123456789012:role/";

    fn policy() -> TeamRole {
        TeamRole::new(Config::default()).unwrap()
    }

    fn pod() -> Workload {
        Workload::of("payments", "checkout-0").with_namespace_label("team", "a").with_label("app", "web")
    }

    fn verdict(workload: &Workload, arn: &str, base: &str) -> Verdict {
        policy().authorize(workload, &Role::named(arn).with_attribute("base-arn", base)).unwrap()
    }

    #[test]
    fn no_label_climbs_out_of_the_teams_path() {
        for value in ["..", ".", "a/../b", "b/web", "", "a\n", "-a", "a-", &"a".repeat(64)] {
            let by_app = policy().resolve(&pod().with_label("app", value)).unwrap();
            let by_team = policy().resolve(&pod().with_namespace_label("team", value)).unwrap();
            assert!(matches!(by_app, Resolution::Deny(_)) && matches!(by_team, Resolution::Deny(_)), "{value}");
        }
    }

    #[test]
    fn a_team_has_its_own_roles_only() {
        assert_eq!(verdict(&pod(), &format!("{BASE}teams/a/web"), BASE), Verdict::Allow);
        assert!(matches!(verdict(&pod(), &format!("{BASE}teams/a-two/web"), BASE), Verdict::Deny(_)));
        assert!(matches!(verdict(&pod(), &format!("{BASE}teams/web"), BASE), Verdict::Deny(_)));
        assert_eq!(verdict(&pod(), &format!("{BASE}web"), BASE), Verdict::Abstain);
    }

    #[test]
    fn a_base_with_a_path_is_taken_off_first() {
        let base = format!("{BASE}cluster-1/");
        assert_eq!(verdict(&pod(), &format!("{base}teams/a/web"), &base), Verdict::Allow);
        assert!(matches!(verdict(&pod(), &format!("{base}teams/b/web"), &base), Verdict::Deny(_)));
    }

    #[test]
    fn a_foreign_account_is_for_another_plugin_to_allow() {
        let foreign = |team: &str| format!("arn:aws:iam::210987654321:role/teams/{team}/web");
        assert_eq!(verdict(&pod(), &foreign("a"), BASE), Verdict::Abstain);
        assert!(matches!(verdict(&pod(), &foreign("b"), BASE), Verdict::Deny(_)));
    }

    #[test]
    fn a_template_has_the_team_as_a_folder_of_its_own() {
        for role in
            ["{team}/{app}", "teams/{team}-{app}", "teams/x{team}/{app}", "teams/{team}/web", "/teams/{team}/{app}"]
        {
            let config = Config { role: role.to_owned(), ..Config::default() };
            assert!(TeamRole::new(config).is_err(), "{role}");
        }
    }
}
