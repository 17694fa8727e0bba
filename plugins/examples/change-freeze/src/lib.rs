//! Denies some roles during a change freeze, except for exempt namespaces and pods that give a reason to break the
//! glass.

use jiff::Timestamp;
use metagate_plugin_sdk::{Glob, Interest, Level, Policy, Role, Verdict, Workload, export_policy, log};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    freezes: Vec<Freeze>,
    #[serde(default)]
    exempt_namespaces: Vec<Glob>,
    /// The pod annotation with the reason for an exception; empty: no exceptions.
    #[serde(default = "break_glass")]
    break_glass: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    name: String,
    #[serde(deserialize_with = "timestamp")]
    from: Timestamp,
    /// The first moment after the freeze.
    #[serde(deserialize_with = "timestamp")]
    to: Timestamp,
    /// Must match the role's whole ARN.
    roles: Vec<Glob>,
}

pub struct ChangeFreeze(Config);

impl Policy for ChangeFreeze {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        for (index, freeze) in config.freezes.iter().enumerate() {
            if freeze.name.is_empty() {
                return Err(format!("freezes[{index}].name: must not be empty, for denials name it"));
            }
            if freeze.from >= freeze.to {
                return Err(format!("freezes[{index}].to: must be after from"));
            }
            if freeze.roles.is_empty() {
                return Err(format!("freezes[{index}].roles: must name at least one role, such as `*:role/deploy/*`"));
            }
        }
        if config.break_glass.contains('*') {
            return Err("break_glass: must be one annotation's whole key, without `*`".to_owned());
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let key = Some(&self.0.break_glass).filter(|key| !key.is_empty());
        Interest::none().annotations(key).clock()
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let now = workload.now().ok_or("the gateway sent no time")?;
        let now: Timestamp = now.parse().map_err(|error| format!("the gateway's time `{now}`: {error}"))?;
        let Some(freeze) = self.0.freezes.iter().find(|freeze| freeze.holds(now, &role.arn)) else {
            return Ok(Verdict::Abstain);
        };
        if self.0.exempt_namespaces.iter().any(|glob| glob.matches(&workload.namespace)) {
            return Ok(Verdict::Abstain);
        }
        Ok(match workload.annotation(&self.0.break_glass).map(str::trim) {
            Some("") => Verdict::deny("no-reason", format!("annotation `{}` must say why", self.0.break_glass)),
            Some(reason) => {
                log(Level::Warn, &format!("the glass of change freeze `{}` is broken: {reason}", freeze.name));
                Verdict::Abstain
            }
            None => Verdict::deny("change-freeze", self.sentence(freeze)),
        })
    }
}

impl ChangeFreeze {
    fn sentence(&self, freeze: &Freeze) -> String {
        let Freeze { name, to, .. } = freeze;
        match self.0.break_glass.as_str() {
            "" => format!("change freeze `{name}` holds until {to}: ask again then"),
            key => format!(
                "change freeze `{name}` holds until {to}: ask again then, or annotate the pod with {key}=REASON"
            ),
        }
    }
}

impl Freeze {
    fn holds(&self, now: Timestamp, arn: &str) -> bool {
        (self.from..self.to).contains(&now) && self.roles.iter().any(|glob| glob.matches(arn))
    }
}

fn break_glass() -> String {
    "example.com/break-glass".to_owned()
}

/// RFC 3339, with `Z` or an offset.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let written = String::deserialize(deserializer)?;
    let expected = |_| D::Error::custom(format!("expected a time such as `2026-12-20T00:00:00Z`, found `{written}`"));
    written.parse().map_err(expected)
}

export_policy!(ChangeFreeze);

#[cfg(test)]
mod tests {
    use metagate_plugin_sdk::parse_config;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/deploy/prod";

    fn verdict(workload: Workload) -> Verdict {
        let config = r#"{
            "freezes": [{ "name": "year-end", "from": "2026-12-20T00:00:00+01:00", "to": "2027-01-04T06:00:00Z",
                          "roles": ["*:role/deploy/*"] }],
            "exempt_namespaces": ["monitoring"]
        }"#;
        ChangeFreeze::new(parse_config(config).unwrap()).unwrap().authorize(&workload, &Role::named(ROLE)).unwrap()
    }

    fn at(now: &str) -> Workload {
        Workload::of("payments", "checkout-0").with_now(now)
    }

    #[test]
    fn a_freeze_holds_from_its_first_second_to_the_one_before_its_end() {
        for (now, holds) in [
            ("2026-12-19T22:59:59Z", false),
            ("2026-12-19T23:00:00Z", true),
            ("2027-01-04T05:59:59Z", true),
            ("2027-01-04T06:00:00Z", false),
        ] {
            assert_eq!(matches!(verdict(at(now)), Verdict::Deny(_)), holds, "{now}");
        }
    }

    #[test]
    fn the_glass_is_broken_with_a_reason_only() {
        let frozen = || at("2026-12-24T12:00:00Z");
        assert_eq!(verdict(frozen().with_annotation("example.com/break-glass", "INC-7")), Verdict::Abstain);
        assert!(matches!(verdict(frozen().with_annotation("example.com/break-glass", " ")), Verdict::Deny(_)));
    }

    #[test]
    fn an_exempt_namespace_goes_on() {
        let workload = Workload::of("monitoring", "agent-0").with_now("2026-12-24T12:00:00Z");
        assert_eq!(verdict(workload), Verdict::Abstain);
    }
}
