//! Why a pod has its role or has none: what is known about it, what each plugin answered, and what to do next.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{
    ExplainForm, Masthead, Sheet, columns,
    icon::{Tone, badge, icon},
    layout,
    life::{Life, bar},
    when,
    words::{Path, Sentence, Untrusted, microseconds, until},
};
use crate::{
    explain::{Answer, Explanation},
    remedy::Remedy,
};

/// An explanation's credential status with its moments parsed.
struct Held<'a> {
    access_key_id: Option<&'a str>,
    issued: Option<SystemTime>,
    expires: Option<SystemTime>,
    renews: Option<SystemTime>,
    last_error: Option<&'a str>,
}

/// `/explain?pod=NAMESPACE/NAME[&role=ROLE][&path=PATH]`
pub(in crate::admin) fn explain(masthead: &Masthead<'_>, form: &ExplainForm, explanation: &Explanation) -> Markup {
    let title = format!("{}: {}", explanation.pod, explanation.outcome);
    let main = html! {
        (verdict(explanation))
        (grant(explanation, masthead.now))
        (answers(&explanation.steps))
        (known(explanation))
        (ask(form))
    };
    layout(masthead, &Sheet { title: &title, live: false }, &main)
}

/// No pod on this node has that name, or no name was given.
pub(in crate::admin) fn no_such_pod(masthead: &Masthead<'_>, form: &ExplainForm) -> Markup {
    let title = if form.pod.is_empty() { "Which pod?" } else { "No such pod" };
    let main = html! {
        section {
            h1 { (icon(Tone::Wait)) (title) }
            @if form.pod.is_empty() {
                p { "Name the pod to explain." }
            } @else if form.pod().is_none() {
                p { bdi { (Untrusted(&form.pod)) } " is not a pod's name: write NAMESPACE/NAME." }
            } @else {
                p {
                    "No pod " bdi { strong { (Untrusted(&form.pod)) } } " is known on this node. "
                    "It may run on another, have ended, or share the node's network."
                }
            }
        }
        (ask(form))
    };
    layout(masthead, &Sheet { title, live: false }, &main)
}

fn verdict(explanation: &Explanation) -> Markup {
    let tone = Tone::of_outcome(Some(&explanation.outcome));
    html! {
        section.verdict.(tone.name()) {
            p.back { a href="/" { "All pods of this node" } }
            h1 { (icon(tone)) span { bdi { (Path(&explanation.pod)) } ": " (Untrusted(&explanation.outcome)) } }
            p {
                @match &explanation.asked {
                    Some(asked) => { "Asked for " code { (Untrusted(asked)) } ", it " }
                    None => { "Its request for credentials " }
                }
                "would be answered with status " strong { (explanation.status) } "."
            }
            @if let Some(reason) = &explanation.reason { p.say { (Untrusted(reason)) } }
            @if let Some(next) = &explanation.next_step { (next_step(next)) }
        }
    }
}

fn next_step(next: &Remedy) -> Markup {
    html! {
        div.next {
            h2 { "Next step" }
            p.first { (Sentence(&next.say)) }
            @if let Some(command) = &next.command { pre { code { (Untrusted(command)) } } }
        }
    }
}

fn grant(explanation: &Explanation, now: SystemTime) -> Markup {
    let facts = [
        ("Role", &explanation.role_arn),
        ("Session name", &explanation.session_name),
        ("Fetched by", &explanation.source),
    ];
    let held = Held::of(explanation);
    html! {
        @if facts.iter().any(|(_, fact)| fact.is_some()) || held.is_some() {
            section aria-labelledby="grant-title" {
                h2 #grant-title { "Role and credential" }
                dl {
                    @for (term, fact) in facts {
                        @if let Some(fact) = fact { div { dt { (term) } dd { (Path(fact)) } } }
                    }
                    @match &held {
                        Some(held) => { (credential(held, now)) }
                        None => { div { dt { "Credential" } dd { "none held" } } }
                    }
                }
            }
        }
    }
}

impl<'a> Held<'a> {
    /// None: nothing is held, and no fetch has failed.
    fn of(explanation: &'a Explanation) -> Option<Self> {
        let life = explanation.credential.as_ref()?;
        let moment = |text: &Option<String>| text.as_deref().and_then(|text| humantime::parse_rfc3339(text).ok());
        Some(Self {
            access_key_id: life.access_key_id.as_deref(),
            issued: moment(&life.issued),
            expires: moment(&life.expires),
            renews: moment(&life.renews),
            last_error: life.last_error.as_deref(),
        })
    }
}

fn credential(held: &Held<'_>, now: SystemTime) -> Markup {
    html! {
        div {
            dt { "Credential" }
            dd {
                @match held.expires {
                    Some(expires) => { (bar(Life::of(held.issued, expires, now), now)) }
                    None => { "none held" }
                }
            }
        }
        @if let Some(id) = held.access_key_id {
            div { dt { "Access key, as CloudTrail shows it" } dd { code { (Untrusted(id)) } } }
        }
        @if let Some(issued) = held.issued { div { dt { "Issued" } dd { (when(now, issued)) } } }
        @if let Some(renews) = held.renews { div { dt { "Next fetch" } dd { (until(now, renews)) } } }
        @if let Some(error) = held.last_error {
            div { dt { "Last error" } dd { (icon(Tone::Fault)) (Untrusted(error)) } }
        }
    }
}

fn answers(steps: &[Answer]) -> Markup {
    html! {
        section aria-labelledby="answers-title" {
            h2 #answers-title { "Plugins' answers" }
            @if steps.is_empty() {
                p.none { "No plugin was asked." }
            } @else {
                table.cards.answers {
                    caption { "In the order in which plugins were asked" }
                    (columns(&["Plugin", "Question", "Answer", "Time"]))
                    tbody { @for (place, step) in (1u32..).zip(steps) { (answer(place, step)) } }
                }
            }
        }
    }
}

fn answer(place: u32, step: &Answer) -> Markup {
    html! {
        tr {
            th scope="row" { (place) ". " bdi { (Untrusted(&step.plugin)) } }
            td data-label="Question" { (Untrusted(&step.phase)) }
            td data-label="Answer" {
                p { (Untrusted(&step.answer)) }
                @if step.audited { (badge(Tone::Plain, "audit: not acted on")) }
            }
            td data-label="Time" { (microseconds(step.microseconds)) }
        }
    }
}

fn known(explanation: &Explanation) -> Markup {
    html! {
        section aria-labelledby="known-title" {
            h2 #known-title { "What is known about the pod" }
            dl {
                div { dt { "Addresses" } dd { (Untrusted(&explanation.ips.join(" "))) } }
                div { dt { "Service account" } dd { (Untrusted(&explanation.service_account)) } }
                div { dt { "UID" } dd { code { (Untrusted(&explanation.uid)) } } }
                @for (key, value) in &explanation.known { div { dt { (Untrusted(key)) } dd { (Path(value)) } } }
            }
            p.note { "Only labels and annotations that a plugin reads are listed." }
        }
    }
}

fn ask(form: &ExplainForm) -> Markup {
    html! {
        section aria-labelledby="ask-title" {
            h2 #ask-title { "Explain another pod" }
            form.ask role="search" action="/explain" method="get" aria-labelledby="ask-title" {
                (field("pod", "Pod", "NAMESPACE/NAME", Some(&form.pod)))
                (field("role", "Role, if not the pod's own", "name or ARN", form.role.as_deref()))
                (field("path", "Or a path", "meta-data/placement/region", form.path.as_deref()))
                button type="submit" { "Explain" }
            }
        }
    }
}

fn field(name: &str, label: &str, hint: &str, value: Option<&str>) -> Markup {
    html! {
        div {
            label for={ "ask-" (name) } { (label) }
            input id={ "ask-" (name) } name=(name) type="text" value=[value] placeholder=(hint) required[name == "pod"]
                autocomplete="off" spellcheck="false" autocapitalize="none";
        }
    }
}
