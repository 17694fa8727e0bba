//! Pods, the decision for each, and its credential.

use std::{collections::HashMap, time::SystemTime};

use maud::{Markup, html};

use super::{
    Filter, columns,
    icon::{Tone, badge},
    life::{Life, bar},
    query::explain_link,
    when,
    words::{Path, Untrusted, counted_len, until},
};
use crate::admin::state::{CredentialState, State, WorkloadState};

type CredentialsById<'a> = HashMap<&'a str, &'a CredentialState>;

pub(super) fn section(state: &State, filter: &Filter) -> Markup {
    let credentials: CredentialsById<'_> = state.credentials.iter().map(|it| (it.id.as_str(), it)).collect();
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
                    tbody { @for workload in workloads { (row(workload, &credentials, state.now)) } }
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

fn row(workload: &WorkloadState, credentials: &CredentialsById<'_>, now: SystemTime) -> Markup {
    let title = format!("{}/{}", workload.namespace, workload.pod);
    html! {
        tr data-key=(title) {
            th scope="row" {
                bdi { span.namespace { (Untrusted(&workload.namespace)) "/" } (Untrusted(&workload.pod)) }
                small {
                    (Untrusted(&workload.ips.join(" ")))
                    @if !workload.service_account.is_empty() { " as " (Untrusted(&workload.service_account)) }
                }
            }
            td data-label="Outcome" { (outcome(workload, &title)) }
            td data-label="Role" { (role(workload)) }
            td data-label="Credential" { (credential(workload, credentials, now)) }
            td data-label="Decided" { @if let Some(at) = workload.decided_at { (when(now, at)) } @else { "–" } }
        }
    }
}

fn outcome(workload: &WorkloadState, title: &str) -> Markup {
    html! {
        p {
            (badge(Tone::of_outcome(workload.outcome), workload.outcome.unwrap_or("not asked yet")))
            a.why href=(explain_link(title)) { "Why?" span.aloud { " " (Untrusted(title)) } }
        }
        @if let Some(reason) = &workload.reason { p { (Untrusted(reason)) } }
        @for audited in &workload.audited {
            p.audited { "audit: " (Untrusted(&audited.plugin)) ", " (audited.phase) ": " (Untrusted(&audited.answer)) }
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

fn credential(workload: &WorkloadState, credentials: &CredentialsById<'_>, now: SystemTime) -> Markup {
    let credential = workload.credential.as_deref().and_then(|id| credentials.get(id));
    let failing = credential.and_then(|credential| Some((credential, credential.last_error?)));
    html! {
        @match workload.credential_expires {
            Some(expires) => { (bar(Life::of(workload.credential_issued, expires, now), now)) }
            None if workload.role_arn.is_some() && failing.is_none() => { "none held" }
            None if workload.role_arn.is_none() => { "–" }
            None => {}
        }
        @if let Some(id) = &workload.access_key_id { small { code { (Untrusted(id)) } } }
        @if let Some((credential, error)) = failing {
            a href={ "#credential-" (credential.id) } { (badge(Tone::Fault, error.label())) }
            @if let Some(next) = credential.next_fetch { small { "retried " (until(now, next)) } }
        }
    }
}
