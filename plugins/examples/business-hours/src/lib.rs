//! Denies some roles outside of opening hours: the days and the times of day in a time zone.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use metagate_plugin_sdk::{Glob, Interest, Policy, Role, Verdict, Workload, export_policy};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Must match the role's whole ARN.
    roles: Vec<Glob>,
    zone: Zone,
    #[serde(default = "working_days")]
    days: Vec<Day>,
    #[serde(default = "nine", deserialize_with = "time_of_day")]
    open: Time,
    #[serde(default = "five", deserialize_with = "time_of_day")]
    close: Time,
}

/// A rule in POSIX notation, daylight saving time included.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Zone {
    written: String,
    rule: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

pub struct BusinessHours(Config);

impl Policy for BusinessHours {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.roles.is_empty() {
            return Err("roles: must name at least one role, such as `*:role/prod/*`".to_owned());
        }
        if config.days.is_empty() {
            return Err("days: must name at least one day".to_owned());
        }
        if config.open >= config.close {
            return Err("open: must be before close, within one day".to_owned());
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::none().clock()
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        if !self.0.roles.iter().any(|glob| glob.matches(&role.arn)) {
            return Ok(Verdict::Abstain);
        }
        let now = workload.now().ok_or("the gateway sent no time")?;
        let now: Timestamp = now.parse().map_err(|error| format!("the gateway's time `{now}`: {error}"))?;
        if self.is_open(now) {
            // Another plugin decides which pods may have a role at all.
            return Ok(Verdict::Abstain);
        }
        Ok(Verdict::deny("outside-hours", format!("this role is for {}: ask again then", self.hours())))
    }
}

impl BusinessHours {
    fn is_open(&self, now: Timestamp) -> bool {
        let Config { zone, days, open, close, .. } = &self.0;
        let local = zone.rule.to_datetime(now);
        let today = Day::of(local.weekday());
        days.contains(&today) && (*open..*close).contains(&local.time())
    }

    /// Such as `monday, tuesday from 09:00 to 17:00 of UTC0`.
    fn hours(&self) -> String {
        let Config { zone, days, open, close, .. } = &self.0;
        let days: Vec<&str> = days.iter().map(|day| day.name()).collect();
        let time = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
        format!("{} from {} to {} of {}", days.join(", "), time(open), time(close), zone.written)
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match TimeZone::posix(&written) {
            Ok(rule) => Ok(Self { written, rule }),
            Err(error) => {
                Err(format!("expected a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`, found `{written}`: {error}"))
            }
        }
    }
}

impl Day {
    fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }
}

fn working_days() -> Vec<Day> {
    vec![Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday]
}

fn nine() -> Time {
    Time::constant(9, 0, 0, 0)
}

fn five() -> Time {
    Time::constant(17, 0, 0, 0)
}

/// `HH:MM`; `24:00` is not a time of day.
fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let written = String::deserialize(deserializer)?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit());
    let parts = written.split_once(':').filter(|(hour, minute)| two_digits(hour) && two_digits(minute));
    let time = parts.and_then(|(hour, minute)| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok());
    time.ok_or_else(|| D::Error::custom(format!("`{written}` is no time of day, such as `09:00`")))
}

export_policy!(BusinessHours);

#[cfg(test)]
mod tests {
    use metagate_plugin_sdk::parse_config;

    use super::*;

    fn verdict(now: &str, role: &str) -> Verdict {
        let config = r#"{ "roles": ["*:role/prod/*"], "zone": "CET-1CEST,M3.5.0,M10.5.0/3" }"#;
        let policy = BusinessHours::new(parse_config(config).unwrap()).unwrap();
        let role = Role::named(format!("arn:aws:iam::123456789012:role/{role}"));
        policy.authorize(&Workload::of("payments", "checkout-0").with_now(now), &role).unwrap()
    }

    #[test]
    fn the_hours_are_those_of_the_zone_in_summer_and_winter() {
        assert_eq!(verdict("2026-07-01T07:00:00Z", "prod/db"), Verdict::Abstain);
        assert!(matches!(verdict("2026-11-25T07:00:00Z", "prod/db"), Verdict::Deny(_)));
        assert_eq!(verdict("2026-11-25T08:00:00Z", "prod/db"), Verdict::Abstain);
    }

    #[test]
    fn the_last_second_is_open_and_the_hour_of_closing_is_not() {
        assert_eq!(verdict("2026-11-25T15:59:59Z", "prod/db"), Verdict::Abstain);
        assert!(matches!(verdict("2026-11-25T16:00:00Z", "prod/db"), Verdict::Deny(_)));
    }

    #[test]
    fn the_day_is_the_zones_and_not_that_of_utc() {
        let config = r#"{ "roles": ["*"], "zone": "NZST-12", "days": ["monday"], "open": "00:00", "close": "23:59" }"#;
        let policy = BusinessHours::new(parse_config(config).unwrap()).unwrap();
        let sunday = Workload::of("payments", "checkout-0").with_now("2026-11-22T20:00:00Z");
        assert_eq!(policy.authorize(&sunday, &Role::named("web")), Ok(Verdict::Abstain));
    }

    #[test]
    fn other_roles_are_none_of_its_business() {
        assert_eq!(verdict("2026-11-22T03:00:00Z", "web"), Verdict::Abstain);
    }
}
