//! What the API server lets the gateway do, as SelfSubjectAccessReview tells.

use std::time::Duration;

use ::kube::{Api, Client, api::PostParams};
use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use tokio::time::timeout;

use super::{Finding, Verdict};
use crate::config::{Config, PluginCode};

pub(super) const CHECKS: [&str; 6] =
    ["right-pods", "right-namespaces", "right-serviceaccounts", "right-events", "right-tokens", "right-nodes"];

/// Verbs on one resource, in the whole cluster or on one object.
struct Right {
    check: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    object: Option<String>,
    verbs: &'static [&'static str],
    /// The verdict if the gateway lacks it.
    lack: Verdict,
    cure: &'static str,
    /// Why it is not needed. None: it is.
    idle: Option<&'static str>,
}

pub(super) async fn look(client: &Client, config: &Config, patience: Duration) -> Vec<Finding> {
    join_all(rights(config).into_iter().map(|right| judge(client, right, patience))).await
}

fn rights(config: &Config) -> [Right; 6] {
    let [pods, namespaces, accounts, events, tokens, nodes] = CHECKS;
    let watched = |check, resource| Right {
        check,
        group: "",
        resource,
        subresource: None,
        object: None,
        verbs: &["list", "watch"],
        lack: Verdict::Fail,
        cure: "The roster cannot be followed. Install deploy/ with its ClusterRole and binding (chart value \
               rbac.create).",
        idle: None,
    };
    let is_irsa = |code: &PluginCode| *code == PluginCode::Builtin("irsa-fallback".into());
    let has_irsa = config.plugins.iter().any(|plugin| is_irsa(&plugin.code));
    let taint = &config.kubernetes.startup_taint;
    [
        watched(pods, "pods"),
        watched(namespaces, "namespaces"),
        watched(accounts, "serviceaccounts"),
        Right {
            group: "events.k8s.io",
            verbs: &["create", "patch"],
            lack: Verdict::Warn,
            cure: "Refused pods get no Event. Set the chart value kubernetes.events, or `kubernetes.events = false`.",
            idle: (!config.kubernetes.events).then_some("kubernetes.events is false"),
            ..watched(events, "events")
        },
        Right {
            subresource: Some("token"),
            verbs: &["create"],
            lack: Verdict::Warn,
            cure: "Pods whose role comes from their service account get no credentials. Set the chart value \
                   irsa.enabled (read deploy/README.md first), or remove irsa-fallback from the plugins.",
            idle: (!has_irsa).then_some("no irsa-fallback plugin"),
            ..watched(tokens, "serviceaccounts")
        },
        Right {
            object: Some(config.roster.node.clone()).filter(|node| !node.is_empty()),
            verbs: &["get", "patch"],
            cure: "The startup taint stays, and keeps pods off this node. Set the chart value kubernetes.startupTaint, \
                   or leave `kubernetes.startup_taint` empty.",
            idle: taint.is_none().then_some("no kubernetes.startup_taint"),
            ..watched(nodes, "nodes")
        },
    ]
}

async fn judge(client: &Client, right: Right, patience: Duration) -> Finding {
    if let Some(why) = right.idle {
        return Finding::skip(right.check, why);
    }
    let what = match right.subresource {
        Some(subresource) => format!("{}/{subresource}", right.resource),
        None => right.resource.to_owned(),
    };
    let asked = join_all(right.verbs.iter().map(|verb| may(client, &right, verb)));
    let Ok(answers) = timeout(patience, asked).await else {
        let found = format!("no answer within {patience:?} to whether it may {} {what}", right.verbs.join(", "));
        return Finding::fail(right.check, found, "Check the API server's authorizers, such as a webhook that hangs.");
    };
    let mut missing = Vec::new();
    for (verb, answer) in right.verbs.iter().zip(answers) {
        match answer {
            Ok(true) => {}
            Ok(false) => missing.push(*verb),
            Err(error) => {
                let found = format!("the API server does not say whether it may {verb} {what}: {error}");
                return Finding::fail(right.check, found, "Check the API server and its authorizers.");
            }
        }
    }
    if missing.is_empty() {
        return Finding::pass(right.check, format!("may {} {what}", right.verbs.join(", ")));
    }
    let found = format!("may not {} {what}", missing.join(", "));
    Finding { check: right.check, verdict: right.lack, found, cure: Some(right.cure.to_owned()) }
}

async fn may(client: &Client, right: &Right, verb: &str) -> Result<bool, ::kube::Error> {
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        subresource: right.subresource.map(str::to_owned),
        name: right.object.clone(),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
