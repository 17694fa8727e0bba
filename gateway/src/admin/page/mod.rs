//! The status page of a running gateway. Each answer is a whole page that needs no script; `live.js` only fetches it
//! repeatedly.
//!
//! Text from cluster objects is escaped by maud; nothing here is passed as ready markup. A page loads two files, both the
//! gateway's own, and [`CONTENT_SECURITY_POLICY`] makes the browser refuse any other.

mod credentials;
mod explain;
mod health;
mod icon;
mod life;
mod plugins;
mod query;
mod refusals;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod traffic;
mod verdict;
mod words;
mod workloads;

pub(super) use explain::{explain, no_such_pod};
pub(super) use query::{ExplainForm, Filter};

use std::time::SystemTime;

use maud::{DOCTYPE, Markup, html};

use self::{
    verdict::Verdict,
    words::{Untrusted, ago, clock_time, span_between},
};
use super::state::State;
use crate::clock::rfc3339;

/// For every page: the browser loads from this gateway only, and sends forms to it only.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// `/status.css`, as text/css.
pub(super) const STYLE: &str = include_str!("style.css");
/// `/status.js`, as text/javascript.
pub(super) const SCRIPT: &str = include_str!("live.js");

/// A gate, as a data URL: the browser needs no request for its icon.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Cpath fill='%233b6ea5' d='M1 3h14v2h-1v9h-3V8a3 3 0 0 0-6 0v6H2V5H1z'/%3E%3C/svg%3E";

/// Which gateway this is, for the head of every page.
pub(super) struct Masthead<'a> {
    pub(super) version: &'a str,
    pub(super) node: &'a str,
    /// May be empty.
    pub(super) cluster: &'a str,
    pub(super) started_at: SystemTime,
    pub(super) now: SystemTime,
}

/// What a page is about, besides its contents.
struct Sheet<'a> {
    title: &'a str,
    /// Whether the script refreshes it.
    live: bool,
}

/// `/`: a summary of the gateway, then each part.
pub(super) fn status(state: &State, filter: &Filter) -> Markup {
    let verdict = Verdict::of(state);
    let title = format!("{} – {}", verdict.headline(), state.node);
    let main = html! {
        (verdict::section(&verdict, state))
        (traffic::section(&state.traffic, state.started_at, state.now))
        (workloads::section(state, filter))
        (refusals::section(state, filter))
        (plugins::section(state))
        (credentials::section(state))
        (health::section(state))
    };
    layout(&Masthead::from(state), &Sheet { title: &title, live: true }, &main)
}

fn layout(masthead: &Masthead<'_>, sheet: &Sheet<'_>, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (Untrusted(sheet.title)) " – Metagate" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href="/status.css";
                @if sheet.live { script src="/status.js" defer {} }
            }
            body data-version=(masthead.version) {
                (icon::sprite())
                a.skip href="#main" { "Skip to the content" }
                (header(masthead, sheet.live))
                main #main tabindex="-1" { (main) }
                footer { (footer()) }
            }
        }
    }
}

fn header(masthead: &Masthead<'_>, live: bool) -> Markup {
    html! {
        header {
            div.bar {
                p.brand { a href="/" { "Metagate" } }
                dl #facts {
                    @if !masthead.node.is_empty() { div { dt { "Node" } dd { (Untrusted(masthead.node)) } } }
                    @if !masthead.cluster.is_empty() { div { dt { "Cluster" } dd { (Untrusted(masthead.cluster)) } } }
                    div { dt { "Version" } dd { (masthead.version) } }
                    div {
                        dt { "Up" }
                        dd {
                            time datetime=(rfc3339(masthead.started_at)) title=(rfc3339(masthead.started_at)) {
                                (span_between(masthead.started_at, masthead.now))
                            }
                        }
                    }
                }
                @if live { (indicator(masthead.now)) }
            }
            @if live { (sections()) }
        }
    }
}

/// The age of what is shown. The script writes here whether it still refreshes; screen readers hear only changes of that.
fn indicator(now: SystemTime) -> Markup {
    html! {
        div #live {
            p { span #live-say { "As of" } " " time #live-at datetime=(rfc3339(now)) { (clock_time(now)) } }
            button #live-pause type="button" hidden { "Pause" }
            p #live-aloud .aloud role="status" {}
        }
    }
}

fn sections() -> Markup {
    let names = ["Traffic", "Workloads", "Refusals", "Plugins", "Credentials", "Health"];
    html! {
        nav aria-label="Sections" {
            ul { @for name in names { li { a href={ "#" (name.to_ascii_lowercase()) } { (name) } } } }
        }
    }
}

fn footer() -> Markup {
    html! {
        nav aria-label="For programs" {
            ul {
                li { a href="/api/v1/state" { "State as JSON" } }
                li { a href="/metrics" { "Metrics" } }
                li { a href="/readyz" { "Readiness" } }
            }
        }
        p { "This page shows no secrets. Times are UTC; hover over one to see it in full." }
    }
}

/// The header row of a table.
fn columns(titles: &[&str]) -> Markup {
    html! { thead { tr { @for title in titles { th scope="col" { (title) } } } } }
}

/// A moment relative to now, with the exact moment as its title.
fn when(now: SystemTime, at: SystemTime) -> Markup {
    html! { time datetime=(rfc3339(at)) title=(rfc3339(at)) { (ago(now, at)) } }
}

impl<'a> From<&'a State> for Masthead<'a> {
    fn from(state: &'a State) -> Self {
        Self {
            version: state.version,
            node: &state.node,
            cluster: &state.cluster,
            started_at: state.started_at,
            now: state.now,
        }
    }
}
