//! Credentials that the keeper holds, renews and waits for.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{
    columns,
    icon::{Tone, badge},
    life::{Life, bar},
    words::{Path, Sentence, Untrusted, counted_len, until},
};
use crate::{
    admin::state::{CredentialState, State},
    clock::rfc3339,
};

/// A longer table is folded.
const FOLDED: usize = 10;

pub(super) fn section(state: &State) -> Markup {
    let credentials = &state.credentials;
    html! {
        section #credentials aria-labelledby="credentials-title" {
            h2 #credentials-title { "Credentials" }
            @if credentials.is_empty() {
                p.none { "None is held or needed." }
            } @else if credentials.len() > FOLDED {
                details data-key="credentials" {
                    summary {
                        (counted_len(credentials.len(), "credential", "credentials")) ", by role and session name"
                    }
                    (table(credentials, state.now))
                }
            } @else {
                (table(credentials, state.now))
            }
        }
    }
}

fn table(credentials: &[CredentialState], now: SystemTime) -> Markup {
    html! {
        table.cards {
            caption { "One per distinct request to the source, renewed at about half of its life while a pod needs it" }
            (columns(&["Role", "Session", "Life", "Next fetch", "Last error"]))
            tbody { @for credential in credentials { (row(credential, now)) } }
        }
    }
}

fn row(credential: &CredentialState, now: SystemTime) -> Markup {
    html! {
        tr id={ "credential-" (credential.id) } {
            th scope="row" { (Path(&credential.role_arn)) }
            td data-label="Session" {
                code { (Untrusted(&credential.session_name)) }
                @if !credential.wanted { small { "no pod needs it now" } }
            }
            td data-label="Life" {
                @match credential.expires {
                    Some(expires) => { (bar(Life::of(None, expires, now), now)) }
                    None => { "none held" }
                }
            }
            td data-label="Next fetch" {
                @match credential.next_fetch {
                    Some(next) => { time datetime=(rfc3339(next)) title=(rfc3339(next)) { (until(now, next)) } }
                    None => { "–" }
                }
            }
            td data-label="Last error" {
                @match credential.last_error {
                    Some(error) => { (badge(Tone::Fault, error.label())) }
                    None => { "none" }
                }
                @if let Some(remedy) = &credential.remedy { small { (Sentence(&remedy.say)) } }
            }
        }
    }
}
