//! Recent refusals.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{
    Filter, columns,
    icon::{Tone, badge},
    query::explain_link,
    when,
    words::{Path, Untrusted, counted_len, number},
};
use crate::admin::state::{RefusalState, State};

/// As many as a person reads; `/api/v1/state` has all of them.
const SHOWN: usize = 50;

pub(super) fn section(state: &State, filter: &Filter) -> Markup {
    let refusals: Vec<_> = state.refusals.iter().filter(|refusal| filter.keeps_refusal(refusal)).collect();
    let left_out = refusals.len().saturating_sub(SHOWN);
    html! {
        section #refusals aria-labelledby="refusals-title" {
            h2 #refusals-title { "Recent refusals" }
            @if refusals.is_empty() {
                p.none { @if filter.is_empty() { "None since the gateway started." } @else { "No refusal matches." } }
            } @else {
                table.cards {
                    caption { "Newest first; repeated refusals of a pod are one row" }
                    (columns(&["Pod", "Refused", "Asked for", "Last", "Request"]))
                    tbody { @for refusal in refusals.iter().take(SHOWN) { (row(refusal, state.now)) } }
                }
                @if left_out > 0 {
                    p {
                        (counted_len(left_out, "older one is", "older ones are")) " not shown: filter by pod, or read "
                        a href="/api/v1/state" { "the state" } "."
                    }
                }
            }
        }
    }
}

fn row(refusal: &RefusalState, now: SystemTime) -> Markup {
    // A 4xx is the gateway's answer; a 5xx means that it had none.
    let tone = if refusal.status >= 500 { Tone::Fault } else { Tone::No };
    html! {
        tr data-key={ (refusal.pod.as_deref().unwrap_or(&refusal.peer)) " " (refusal.route) " " (refusal.cause) } {
            th scope="row" {
                @match &refusal.pod {
                    Some(pod) => { bdi { a href=(explain_link(pod)) { (Untrusted(pod)) } } }
                    None => { "unknown caller" }
                }
                small { (Untrusted(&refusal.peer)) }
            }
            td data-label="Refused" {
                p { (badge(tone, refusal.reason)) " " span.note { "status " (refusal.status) } }
                p { (Untrusted(&refusal.cause)) }
            }
            td data-label="Asked for" { (Path(refusal.route)) }
            td data-label="Last" {
                (when(now, refusal.at))
                @if refusal.times > 1 { small { (number(refusal.times)) " times" } }
            }
            td data-label="Request" { code { (Untrusted(&refusal.request_id)) } }
        }
    }
}
