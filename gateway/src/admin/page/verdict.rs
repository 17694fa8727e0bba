//! The summary: ready or not, and each problem with what to do about it.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use maud::{Markup, html};

use super::{
    icon::{Tone, icon},
    life::Life,
    words::{Sentence, Untrusted, ago, ago_text, counted_len, number, span_between},
};
use crate::{
    admin::state::{CredentialState, PluginState, RedirectState, SourceState, State},
    lifecycle::Part,
    remedy,
};

/// How long a plugin's failure counts as a problem: as far as the plot goes back.
const RECENT: Duration = Duration::from_secs(10 * 60);

pub(super) struct Verdict {
    waits: bool,
    problems: Vec<Problem>,
}

struct Problem {
    tone: Tone,
    say: String,
    /// What to do next.
    cure: String,
}

impl Verdict {
    pub(super) fn of(state: &State) -> Self {
        let mut problems: Vec<Problem> = state.waits_for.iter().map(|part| waiting(*part)).collect();
        problems.extend(reload(state));
        problems.extend(roster(state));
        problems.extend(state.redirect.iter().flat_map(|it| redirect(it, state.now)));
        problems.extend(source(&state.source, state.now));
        problems.extend(state.plugins.iter().filter_map(|it| plugin(it, state.now)));
        problems.extend(credentials(&state.credentials, state.now));
        problems.extend(audit(state));
        Self { waits: !state.waits_for.is_empty(), problems }
    }

    /// For the title of the window, and of the page.
    pub(super) fn headline(&self) -> String {
        let faults = self.problems.iter().filter(|problem| problem.tone == Tone::Fault).count();
        match (self.waits, faults) {
            (true, 0) => "Not ready".to_owned(),
            (true, n) => format!("Not ready, {}", counted_len(n, "problem", "problems")),
            (false, 0) => "Ready".to_owned(),
            (false, n) => format!("Ready, {}", counted_len(n, "problem", "problems")),
        }
    }

    fn tone(&self) -> Tone {
        let has = |tone| self.problems.iter().any(|problem| problem.tone == tone);
        match self.waits {
            _ if has(Tone::Fault) => Tone::Fault,
            true => Tone::Wait,
            false => Tone::Good,
        }
    }
}

pub(super) fn section(verdict: &Verdict, state: &State) -> Markup {
    html! {
        section #verdict.verdict.(verdict.tone().name()) {
            h1 { (icon(verdict.tone())) (verdict.headline()) }
            @if verdict.problems.is_empty() {
                p { "Changes of pods are followed, and the last reload was adopted." }
            } @else {
                ul.problems { @for problem in &verdict.problems { (item(problem)) } }
            }
            (counts(state))
        }
    }
}

fn item(problem: &Problem) -> Markup {
    html! {
        li.(problem.tone.name()) {
            (icon(problem.tone))
            p.say { (Untrusted(&problem.say)) }
            p.cure { (Sentence(&problem.cure)) }
        }
    }
}

/// Pods by outcome, the worst first.
fn counts(state: &State) -> Markup {
    let of = |tone: Tone, words: &'static str| {
        let workloads = &state.workloads;
        (tone, words, workloads.iter().filter(|workload| Tone::of_outcome(workload.outcome) == tone).count())
    };
    let kinds = [
        of(Tone::Fault, "undecided"),
        of(Tone::No, "denied"),
        of(Tone::Plain, "without a role"),
        of(Tone::Wait, "have not asked"),
        of(Tone::Good, "granted"),
    ];
    let pods = state.workloads.len();
    html! {
        ul.counts aria-label="Pods by outcome" {
            li { strong { (number(pods as u64)) } " " span { @if pods == 1 { "pod" } @else { "pods" } } }
            @for (tone, words, count) in kinds.into_iter().filter(|(.., count)| *count > 0) {
                li.(tone.name()) { (icon(tone)) strong { (number(count as u64)) } " " span { (words) } }
            }
        }
    }
}

fn problem(say: impl Into<String>, cure: impl Into<String>) -> Problem {
    Problem { tone: Tone::Fault, say: say.into(), cure: cure.into() }
}

fn waiting(part: Part) -> Problem {
    Problem { tone: Tone::Wait, say: format!("Waits for: {}.", part.label()), cure: remedy::of_unready(part).say }
}

fn reload(state: &State) -> Option<Problem> {
    let refused = state.configuration.refused.as_ref()?;
    Some(problem(
        format!("The last reload was refused {}: {}", ago(state.now, refused.at), refused.error),
        "The configuration before it stays in force. Correct what the error names, or undo the change; the gateway \
         reloads by itself.",
    ))
}

fn roster(state: &State) -> Option<Problem> {
    let since = state.roster.outdated_since?;
    Some(problem(
        format!("Changes of pods may have been missed for {}.", span_between(since, state.now)),
        remedy::of_outdated_roster().say,
    ))
}

fn redirect(redirect: &RedirectState, now: SystemTime) -> Vec<Problem> {
    let mut problems = Vec::new();
    if redirect.stale {
        let looked = ago_text(now, &redirect.checked_at);
        let say = format!("Nobody has looked at the node's redirect since {looked}.");
        problems.push(problem(say, remedy::of_unwatched_redirect().say));
    } else if !redirect.present {
        problems.push(problem("The node's redirect is not in place.".to_owned(), remedy::of_missing_redirect().say));
    }
    problems.extend(redirect.error.iter().map(|error| {
        problem(format!("The check of the node's redirect failed: {error}"), "See the log of `metagate intercept`.")
    }));
    problems.extend(redirect.foreign_rules.iter().map(|rule| {
        problem(format!("Another program redirects the metadata service too: {rule}"), remedy::of_foreign_rule().say)
    }));
    problems
}

/// Whether the source's last answer was a failure.
pub(super) fn is_failing(source: &SourceState) -> bool {
    let failed = source.last_failure.as_ref().map(|failure| failure.at);
    failed.is_some_and(|failed| source.last_success.is_none_or(|succeeded| failed > succeeded))
}

fn source(source: &SourceState, now: SystemTime) -> Option<Problem> {
    let failure = source.last_failure.as_ref().filter(|_| is_failing(source))?;
    let before = match source.last_success {
        Some(at) => format!("it last answered {}", ago(now, at)),
        None => "it has not answered since the gateway started".to_owned(),
    };
    Some(problem(
        format!(
            "The source of credentials ({}) failed {}: {}; {before}.",
            source.kind,
            ago(now, failure.at),
            failure.class
        ),
        remedy::of_source(failure.class).say,
    ))
}

fn plugin(plugin: &PluginState, now: SystemTime) -> Option<Problem> {
    let fault = plugin.last_fault.as_ref()?;
    if now.duration_since(fault.at).is_ok_and(|past| past > RECENT) {
        return None;
    }
    let remedy = remedy::of_plugin(&plugin.name, fault.kind).say;
    let cure = match plugin.mode {
        "audit" => format!("It is in audit mode, so nobody is refused for it. {remedy}"),
        _ => format!("Its pods get a 503, and nobody is granted more for it. {remedy}"),
    };
    Some(problem(format!("Plugin {} failed {}: {}", plugin.name, ago(now, fault.at), fault.text), cure))
}

fn credentials(credentials: &[CredentialState], now: SystemTime) -> Vec<Problem> {
    let (mut expired, mut near, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for credential in credentials.iter().filter(|credential| credential.wanted) {
        match credential.expires.map(|expires| Life::of(None, expires, now)) {
            Some(Life::Expired { .. }) => expired.push(credential),
            Some(life) if life.is_near_its_end() => near.push(credential),
            None if credential.last_error.is_some() => missing.push(credential),
            _ => {}
        }
    }
    let say = [
        (expired, "credential that a pod uses has expired", "credentials that pods use have expired"),
        (near, "credential is near its end and not renewed yet", "credentials are near their end and not renewed yet"),
        (missing, "credential that a pod needs cannot be fetched", "credentials that pods need cannot be fetched"),
    ];
    let some = say.into_iter().filter(|(these, ..)| !these.is_empty());
    some.map(|(these, one, more)| {
        let sorted = |texts: BTreeSet<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let why = sorted(these.iter().filter_map(|it| Some(it.last_error?.label())).collect());
        let say = counted_len(these.len(), one, more);
        let say = if why.is_empty() { format!("{say}.") } else { format!("{say}: {}.", why.join(", ")) };
        match sorted(these.iter().filter_map(|it| Some(it.remedy.as_ref()?.say.as_str())).collect()).as_slice() {
            [] => problem(say, "The gateway retries by itself; see the table of credentials."),
            [cure] => problem(say, cure.as_str()),
            _ => problem(say, "See each in the table of credentials."),
        }
    })
    .collect()
}

fn audit(state: &State) -> Option<Problem> {
    let audited: Vec<_> = state.plugins.iter().filter(|it| it.mode == "audit").map(|it| it.name.as_str()).collect();
    let say = match (state.policy.mode, audited.as_slice()) {
        ("audit", _) => "Policy is in audit mode: it grants what it would refuse.".to_owned(),
        (_, []) => return None,
        (_, names) => {
            format!("These plugins are in audit mode, and their denials are not acted on: {}.", names.join(", "))
        }
    };
    let cure = "See below what would have been refused, then enforce it.".to_owned();
    Some(Problem { tone: Tone::Plain, say, cure })
}
