//! The gateway at one look: ready or not, what is wrong in plain sentences, and what to do about each.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use maud::{Markup, html};

use super::{
    icon::{Tone, icon},
    life::Life,
    words::{Sentence, Shown, ago, ago_text, counted_len, number, span_between},
};
use crate::admin::state::{CredentialState, PluginState, RedirectState, SourceState, State};

/// A plugin's failure is news for as long as the plot goes back.
const NEWS: Duration = Duration::from_secs(10 * 60);

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
        let mut problems: Vec<Problem> = state.waits_for.iter().map(|part| waiting(part)).collect();
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
                p { "Every change of pods is followed, and the last reload was adopted." }
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
            p.say { (Shown(&problem.say)) }
            p.cure { (Sentence(&problem.cure)) }
        }
    }
}

/// How pods fare, the worst first.
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

fn waiting(part: &str) -> Problem {
    let cure = match part {
        "roster" => "Pods are known once the API server has listed them. If that lasts, see `metagate doctor`.",
        "node metadata" => {
            "The node's own metadata service is asked for its account. If that lasts, see `metagate doctor`."
        }
        _ => "If that lasts, see `metagate doctor` and the gateway's log.",
    };
    Problem { tone: Tone::Wait, say: format!("Waits for: {part}."), cure: cure.to_owned() }
}

fn reload(state: &State) -> Option<Problem> {
    let refused = state.configuration.refused.as_ref()?;
    Some(problem(
        format!("The last reload was refused {}: {}", ago(state.now, refused.at), refused.error),
        "What was adopted before runs on. Mend what is named or put it back; it is read again by itself.",
    ))
}

fn roster(state: &State) -> Option<Problem> {
    let since = state.roster.outdated_since?;
    Some(problem(
        format!("Changes of pods may have been missed for {}.", span_between(since, state.now)),
        "New pods wait and known ones are served. See whether the API server answers: `metagate doctor`.",
    ))
}

fn redirect(redirect: &RedirectState, now: SystemTime) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !redirect.present {
        problems.push(problem(
            format!(
                "The node's redirect is not as it should be, or nobody has looked since {}.",
                ago_text(now, &redirect.checked_at)
            ),
            "Pods' requests may not come to the gateway. See whether `metagate intercept` runs here, and its log.",
        ));
    }
    problems.extend(redirect.error.iter().map(|error| {
        problem(format!("The look at the node's redirect failed: {error}"), "See the log of `metagate intercept`.")
    }));
    problems.extend(redirect.foreign_rules.iter().map(|rule| {
        problem(
            format!("Another program redirects the metadata service too: {rule}"),
            "Remove that program or its rule; Metagate changes nobody else's.",
        )
    }));
    problems
}

/// Whether the source's last word was a failure.
pub(super) fn is_failing(source: &SourceState) -> bool {
    let failed = source.last_failure.as_ref().map(|failure| failure.at);
    failed.is_some_and(|failed| source.last_success.is_none_or(|succeeded| failed > succeeded))
}

fn source(source: &SourceState, now: SystemTime) -> Option<Problem> {
    let failure = source.last_failure.as_ref().filter(|_| is_failing(source))?;
    let before = match source.last_success {
        Some(at) => format!("it last answered {}", ago(now, at)),
        None => "it has not answered since the start".to_owned(),
    };
    Some(problem(
        format!(
            "The source of credentials ({}) failed {}: {}; {before}.",
            source.kind,
            ago(now, failure.at),
            failure.class
        ),
        cure_of_class(failure.class),
    ))
}

/// What mends a failed fetch, by the class of its failure.
pub(super) fn cure_of_class(class: &str) -> &'static str {
    match class {
        "access-denied" => {
            "The role's trust policy must name who asks: see the pod's explanation, and the role in IAM."
        }
        "invalid" => "AWS cannot make sense of what is asked for: look at the role's annotations.",
        "token" => {
            "The service account's token was not taken: see the role's trust policy and the cluster's OIDC provider."
        }
        "identity" => "The gateway has no identity of its own to ask with: see `metagate doctor`.",
        "throttled" => "AWS is asked too often. It is asked again by itself, less often.",
        "unavailable" => "AWS STS does not answer. It is asked again by itself; if that lasts, see `metagate doctor`.",
        _ => "It is asked again by itself; see the gateway's log.",
    }
}

fn plugin(plugin: &PluginState, now: SystemTime) -> Option<Problem> {
    let fault = plugin.last_fault.as_ref()?;
    if now.duration_since(fault.at).is_ok_and(|past| past > NEWS) {
        return None;
    }
    let cure = match plugin.mode {
        "audit" => "It is in audit mode, so nobody is refused for it. See its part of the gateway's log.",
        _ => "Its pods get a 503 and may ask again; nobody is granted more for it. See the gateway's log.",
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
        (missing, "credential that a pod wants cannot be had", "credentials that pods want cannot be had"),
    ];
    let some = say.into_iter().filter(|(these, ..)| !these.is_empty());
    some.map(|(these, one, more)| {
        let classes: BTreeSet<_> = these.iter().filter_map(|it| it.last_error).collect();
        let why: Vec<_> = classes.iter().copied().collect();
        let say = counted_len(these.len(), one, more);
        match why.as_slice() {
            [] => problem(format!("{say}."), "It is asked for again by itself; see the table of credentials."),
            [class] => problem(format!("{say}: {class}."), cure_of_class(class)),
            _ => problem(format!("{say}: {}.", why.join(", ")), "See each in the table of credentials."),
        }
    })
    .collect()
}

fn audit(state: &State) -> Option<Problem> {
    let audited: Vec<_> = state.plugins.iter().filter(|it| it.mode == "audit").map(|it| it.name.as_str()).collect();
    let say = match (state.policy.mode, audited.as_slice()) {
        ("audit", _) => "Policy is in audit mode: what it would refuse is granted.".to_owned(),
        (_, []) => return None,
        (_, names) => format!("In audit mode, so that their refusals are not acted on: {}.", names.join(", ")),
    };
    let cure = "See what would have been refused below, then enforce it.".to_owned();
    Some(Problem { tone: Tone::Plain, say, cure })
}
