//! What decides: the plugins in the order in which they are asked, then the gateway's own rules.

use std::{collections::BTreeMap, time::SystemTime};

use maud::{Markup, html};

use super::{
    icon::{Tone, badge, icon},
    when,
    words::{Path, Untrusted, counted, microseconds, number},
};
use crate::admin::state::{FaultState, PluginState, PolicyState, State};

/// Characters of a digest that are enough to tell two files apart.
const DIGEST: usize = 12;

pub(super) fn section(state: &State) -> Markup {
    html! {
        section #plugins aria-labelledby="plugins-title" {
            h2 #plugins-title { "Plugins" }
            @if state.plugins.is_empty() {
                p.none { "No plugin is configured, so no pod has a role." }
            } @else {
                p { "In the order in which they are asked. Counts are since the gateway started." }
                ol.parts {
                    @for (place, plugin) in (1..).zip(&state.plugins) { li { (part(place, plugin, state.now)) } }
                }
            }
            (policy(&state.policy))
        }
    }
}

fn part(place: u32, plugin: &PluginState, now: SystemTime) -> Markup {
    html! {
        article data-key=(plugin.name) {
            h3 { (place) ". " bdi { (Untrusted(&plugin.name)) } " " (mode(plugin.mode)) }
            dl {
                div { dt { "Code" } dd { (code(plugin)) } }
                div { dt { "Interface" } dd { (Untrusted(&plugin.interface)) } }
                div { dt { "Decisions" } dd { (number(plugin.decisions)) } }
                div { dt { "Time of a call" } dd { (time_of_calls(plugin)) } }
                (tally("Denials", &plugin.denials, Tone::No))
                (tally("Would have refused", &plugin.audited, Tone::Plain))
                (tally("Failures", &plugin.faults, Tone::Fault))
                @if let Some(fault) = &plugin.last_fault { (last_fault(fault, now)) }
            }
            details data-key="reads" { summary { "What it reads" } (reads(plugin)) }
        }
    }
}

fn mode(mode: &str) -> Markup {
    html! { @if mode == "audit" { (badge(Tone::Plain, "audit")) } @else { (badge(Tone::Good, mode)) } }
}

fn code(plugin: &PluginState) -> Markup {
    let short: String = plugin.sha256.chars().take(DIGEST).collect();
    html! {
        @match &plugin.path {
            Some(path) => { (Path(path)) }
            None => { "built in" }
        }
        details.digest data-key="digest" {
            summary title=(plugin.sha256) { "SHA-256 " code { (short) "…" } }
            code.whole { (plugin.sha256) }
        }
    }
}

fn time_of_calls(plugin: &PluginState) -> Markup {
    html! {
        @match (plugin.mean_microseconds, plugin.longest_microseconds) {
            (Some(mean), Some(longest)) => { (microseconds(mean)) ", " (microseconds(longest)) " at most" }
            (Some(one), None) | (None, Some(one)) => { (microseconds(one)) }
            (None, None) => { "not called yet" }
        }
    }
}

fn tally<K: AsRef<str>>(title: &str, counts: &BTreeMap<K, u64>, tone: Tone) -> Markup {
    html! {
        @if !counts.is_empty() {
            div {
                dt { (title) }
                dd {
                    ul {
                        @for (code, count) in counts {
                            li.(tone.name()) {
                                (icon(tone))
                                span { (Untrusted(code.as_ref())) " " (counted(*count, "time", "times")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn last_fault(fault: &FaultState, now: SystemTime) -> Markup {
    html! { div.wide { dt { "Last failure, " (when(now, fault.at)) } dd { (Untrusted(&fault.text)) } } }
}

fn reads(plugin: &PluginState) -> Markup {
    let groups = [
        ("Annotations", &plugin.annotations),
        ("Labels", &plugin.labels),
        ("Attributes", &plugin.attributes),
        ("Namespace annotations", &plugin.namespace_annotations),
        ("Namespace labels", &plugin.namespace_labels),
        ("Service account annotations", &plugin.service_account_annotations),
    ];
    let some: Vec<_> = groups.into_iter().filter(|(_, keys)| !keys.is_empty()).collect();
    html! {
        @if some.is_empty() { p { "Only the pod's namespace, name and service account." } }
        @else {
            dl {
                @for (title, keys) in some {
                    div { dt { (title) } dd { ul { @for key in keys { li { (Path(key)) } } } } }
                }
            }
        }
    }
}

/// Denials by the gateway's own rules.
fn policy(policy: &PolicyState) -> Markup {
    html! {
        article.policy {
            h3 { "The gateway's own rules " (mode(policy.mode)) }
            p { "They deny a role that no plugin allows, and an annotation that names no valid role." }
            dl {
                (tally("Denials", &policy.denials, Tone::No))
                (tally("Would have refused", &policy.audited, Tone::Plain))
                @if policy.denials.is_empty() && policy.audited.is_empty() { div { dt { "Denials" } dd { "none" } } }
            }
        }
    }
}
