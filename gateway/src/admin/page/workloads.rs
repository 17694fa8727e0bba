//! Pods, what was decided for each, and the credential that is held for it.

use std::{collections::HashMap, time::SystemTime};

use maud::{Markup, html};

use super::{
    Filter, columns,
    icon::{Tone, badge},
    life::{Life, bar},
    query::explain_link,
    when,
    words::{Path, Shown, counted_len, until},
};
use crate::admin::state::{CredentialState, State, WorkloadState};

/// What the keeper has, by id.
type Kept<'a> = HashMap<&'a str, &'a CredentialState>;

pub(super) fn section(state: &State, filter: &Filter) -> Markup {
    let kept: Kept<'_> = state.credentials.iter().map(|it| (it.id.as_str(), it)).collect();
    let workloads: Vec<_> = state.workloads.iter().filter(|workload| filter.keeps(workload)).collect();
    html! {
        section #workloads aria-labelledby="workloads-title" {
            h2 #workloads-title { "Workloads" }
            (form(filter, workloads.len(), state.workloads.len()))
            @if workloads.is_empty() {
                p.none { "No pod of this node " @if filter.is_empty() { "is known." } @else { "matches." } }
            } @else {
                table.cards {
                    caption { "Pods of this node, by namespace and name" }
                    (columns(&["Pod", "Outcome", "Role", "Credential", "Decided"]))
                    tbody { @for workload in workloads { (row(workload, &kept, state.now)) } }
                }
            }
        }
    }
}

fn form(filter: &Filter, shown: usize, all: usize) -> Markup {
    html! {
        form #filter role="search" action="/#workloads" method="get" {
            label for="filter-pod" { "Pod or address" }
            input #filter-pod name="pod" type="search" value=(filter.pod)
                autocomplete="off" spellcheck="false" autocapitalize="none";
            button type="submit" { "Filter" }
            @if !filter.is_empty() {
                a href="/#workloads" { "Show all" }
                span { (shown) " of " (counted_len(all, "pod", "pods")) ", and their refusals" }
            }
        }
    }
}

fn row(workload: &WorkloadState, kept: &Kept<'_>, now: SystemTime) -> Markup {
    let title = format!("{}/{}", workload.namespace, workload.pod);
    html! {
        tr data-key=(title) {
            th scope="row" {
                bdi { span.namespace { (Shown(&workload.namespace)) "/" } (Shown(&workload.pod)) }
                small {
                    (Shown(&workload.ips.join(" ")))
                    @if !workload.service_account.is_empty() { " as " (Shown(&workload.service_account)) }
                }
            }
            td data-label="Outcome" { (outcome(workload, &title)) }
            td data-label="Role" { (role(workload)) }
            td data-label="Credential" { (credential(workload, kept, now)) }
            td data-label="Decided" { @if let Some(at) = workload.decided_at { (when(now, at)) } @else { "–" } }
        }
    }
}

fn outcome(workload: &WorkloadState, title: &str) -> Markup {
    html! {
        p {
            (badge(Tone::of_outcome(workload.outcome), workload.outcome.unwrap_or("not asked yet")))
            a.why href=(explain_link(title)) { "Why?" span.aloud { " " (Shown(title)) } }
        }
        @if let Some(reason) = &workload.reason { p { (Shown(reason)) } }
        @for audited in &workload.audited {
            p.audited { "audit: " (Shown(&audited.plugin)) ", " (audited.phase) ": " (Shown(&audited.answer)) }
        }
    }
}

fn role(workload: &WorkloadState) -> Markup {
    html! {
        @match &workload.role_arn {
            Some(arn) => { (Path(arn)) }
            None => { "–" }
        }
    }
}

fn credential(workload: &WorkloadState, kept: &Kept<'_>, now: SystemTime) -> Markup {
    let kept = workload.credential.as_deref().and_then(|id| kept.get(id));
    let failing = kept.and_then(|kept| Some((kept, kept.last_error?)));
    html! {
        @match workload.credential_expires {
            Some(expires) => { (bar(Life::of(workload.credential_issued, expires, now), now)) }
            None if workload.role_arn.is_some() && failing.is_none() => { "none held" }
            None if workload.role_arn.is_none() => { "–" }
            None => {}
        }
        @if let Some(id) = &workload.access_key_id { small { code { (Shown(id)) } } }
        @if let Some((kept, error)) = failing {
            a href={ "#credential-" (kept.id) } { (badge(Tone::Fault, error.label())) }
            @if let Some(next) = kept.next_fetch { small { "asked again " (until(now, next)) } }
        }
    }
}
