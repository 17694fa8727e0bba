//! The gateway's inputs: the roster, the source of credentials, the redirect of pods, the configuration.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{
    icon::{Tone, badge},
    verdict::is_failing,
    when,
    words::{Untrusted, ago_text, counted, number, span_between},
};
use crate::{
    admin::state::{ConfigurationState, RedirectState, RosterState, SourceState, State},
    lifecycle::Part,
};

pub(super) fn section(state: &State) -> Markup {
    html! {
        section #health aria-labelledby="health-title" {
            h2 #health-title { "Health" }
            div.parts {
                (readiness(&state.waits_for))
                (roster(&state.roster, state.now))
                (source(&state.source, state.now))
                (redirect(state.redirect.as_ref(), state.now))
                (configuration(&state.configuration, state.now))
            }
        }
    }
}

/// One part: its title, its state and its facts.
fn part(title: &str, tone: Tone, words: &str, facts: &[(&str, Markup)]) -> Markup {
    html! {
        article {
            h3 { (title) " " (badge(tone, words)) }
            @if !facts.is_empty() { dl { @for (term, fact) in facts { div { dt { (term) } dd { (fact) } } } } }
        }
    }
}

fn readiness(waits_for: &[Part]) -> Markup {
    match waits_for {
        [] => part("Readiness", Tone::Good, "ready", &[]),
        parts => part(
            "Readiness",
            Tone::Wait,
            "waits",
            &[("For", html! { (parts.iter().map(|part| part.label()).collect::<Vec<_>>().join(", ")) })],
        ),
    }
}

fn roster(roster: &RosterState, now: SystemTime) -> Markup {
    let (tone, words) = match (roster.synced_at, roster.outdated_since) {
        (_, Some(_)) => (Tone::Fault, "outdated"),
        (None, None) if roster.source == "kubernetes" => (Tone::Wait, "not listed yet"),
        _ => (Tone::Good, "current"),
    };
    let mut facts = vec![("Source", html! { (roster.source) })];
    facts.extend(roster.synced_at.map(|at| ("Listed", when(now, at))));
    facts.extend(roster.outdated_since.map(|since| ("Outdated for", html! { (span_between(since, now)) })));
    part("Roster", tone, words, &facts)
}

fn source(source: &SourceState, now: SystemTime) -> Markup {
    let (tone, words) = match source.last_success {
        _ if is_failing(source) => (Tone::Fault, "fails"),
        None => (Tone::Wait, "not asked yet"),
        Some(_) => (Tone::Good, "answers"),
    };
    let mut facts = vec![("Kind", html! { (source.kind) })];
    facts.extend(source.last_success.map(|at| ("Last answer", when(now, at))));
    facts.extend(
        source.last_failure.as_ref().map(|it| ("Last failure", html! { (it.class.label()) ", " (when(now, it.at)) })),
    );
    part("Source of credentials", tone, words, &facts)
}

fn redirect(redirect: Option<&RedirectState>, now: SystemTime) -> Markup {
    let Some(redirect) = redirect else {
        return part(
            "Redirect",
            Tone::Plain,
            "not watched",
            &[("Meaning", html! { "no watcher checks this node's rules" })],
        );
    };
    let (tone, words) = match redirect.present {
        false => (Tone::Fault, "missing"),
        true if redirect.error.is_some() || !redirect.foreign_rules.is_empty() => (Tone::Fault, "needs attention"),
        true => (Tone::Good, "in place"),
    };
    let connections = counted(redirect.redirected_connections, "connection", "connections");
    let mut facts = vec![
        ("Checked", html! { time title=(redirect.checked_at) { (Untrusted(&ago_text(now, &redirect.checked_at))) } }),
        ("Redirected", html! { (connections) }),
    ];
    facts.extend(redirect.foreign_rules.iter().map(|rule| ("Other program's rule", html! { (Untrusted(rule)) })));
    facts.extend(redirect.error.iter().map(|error| ("Error", html! { (Untrusted(error)) })));
    part("Redirect", tone, words, &facts)
}

fn configuration(configuration: &ConfigurationState, now: SystemTime) -> Markup {
    let (tone, words) = match &configuration.refused {
        Some(_) => (Tone::Fault, "last reload refused"),
        None => (Tone::Good, "adopted"),
    };
    let mut facts = vec![
        ("Adopted", when(now, configuration.adopted_at)),
        ("Generation", html! { (number(configuration.generation)) }),
    ];
    if let Some(refused) = &configuration.refused {
        facts.push(("Refused", when(now, refused.at)));
        facts.push(("Why", html! { pre { (Untrusted(&refused.error)) } }));
    }
    part("Configuration", tone, words, &facts)
}
