use metagate_plugin_sdk::{Pattern, PatternFault, Role, RoleArn};

use crate::config::Dialect;

/// Whether one annotation permits a role.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Permits,
    Omits,
    /// The mistake that the annotation's author must correct.
    Malformed(String),
}

impl Judgement {
    fn of(matches: bool) -> Self {
        if matches { Self::Permits } else { Self::Omits }
    }
}

/// The judgement of the `permitted` annotation, a regular expression. An empty annotation permits nothing.
///
/// # Errors
/// In `kiam-v3`, if the gateway does not say how the role was written.
pub(crate) fn permitted(dialect: Dialect, text: &str, role: &Role) -> Result<Judgement, String> {
    let subject = match dialect {
        Dialect::KiamV3 => role.attribute("as-written").ok_or("the gateway gave no attribute `as-written`")?,
        Dialect::Strict | Dialect::KiamV4 | Dialect::Kube2iamGlob | Dialect::Kube2iamRegexp => &role.arn,
    };
    // A YAML block scalar ends in a line break, which would match no role.
    Ok(match text.trim() {
        "" => Judgement::Omits,
        expression => match Pattern::regexp(expression) {
            Ok(pattern) => Judgement::of(pattern.matches(subject)),
            Err(error) => Judgement::Malformed(format!("it is not a regular expression: {error}")),
        },
    })
}

/// The judgement of the `allowed-roles` annotation, a JSON array of patterns. An empty annotation permits nothing.
pub(crate) fn allowed_roles(dialect: Dialect, text: &str, role: &Role) -> Judgement {
    if text.trim().is_empty() {
        return Judgement::Omits;
    }
    let entries: Vec<String> = match serde_json::from_str(text) {
        Ok(entries) => entries,
        // The error's own text may quote the annotation, which the pod must not read.
        Err(error) => {
            return Judgement::Malformed(format!(
                "it is not a JSON array of strings, see line {}, column {}",
                error.line(),
                error.column()
            ));
        }
    };
    let mut matches = false;
    for (index, entry) in entries.iter().enumerate() {
        // A bad entry makes the whole list malformed, even for a role that an earlier entry matches.
        match entry_pattern(dialect, entry, role.attribute("base-arn")) {
            Ok(Some(pattern)) => matches |= pattern.matches(&role.arn),
            Ok(None) => {}
            Err(error) => return Judgement::Malformed(format!("entry {} is not a pattern: {error}", index + 1)),
        }
    }
    Judgement::of(matches)
}

/// The pattern of one entry; `None` for a name if the base account is unknown.
fn entry_pattern(dialect: Dialect, entry: &str, base_arn: Option<&str>) -> Result<Option<Pattern>, PatternFault> {
    let (base_arn, rest) = match (RoleArn::is_claimed_by(entry), base_arn) {
        (true, _) => ("", entry),
        (false, Some(base_arn)) => (base_arn, entry.strip_prefix('/').unwrap_or(entry)),
        (false, None) => return Ok(None),
    };
    match dialect {
        Dialect::Kube2iamRegexp => Pattern::regexp_after(base_arn, rest),
        Dialect::Strict | Dialect::KiamV4 | Dialect::KiamV3 | Dialect::Kube2iamGlob => {
            Pattern::glob(&format!("{base_arn}{rest}"))
        }
    }
    .map(Some)
}
