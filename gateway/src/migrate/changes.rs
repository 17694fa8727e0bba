//! Where Metagate behaves otherwise on purpose, as far as it concerns a setup.

use super::{conversion::Conversion, notes::Note, settings::Settings};

pub(super) fn of_kube2iam(settings: &Settings, conversion: &mut Conversion) {
    let mut change = |about: &str, text: &str, instead: &str| conversion.note(Note::change(about, text, instead));
    change(
        "pods without a role",
        "the list of roles is a 404, as on an instance without one; kube2iam's is a 200 with an empty body",
        "",
    );
    if settings.get("default-role").is_some_and(|role| !role.is_empty()) {
        let text = "it obeys the namespace's annotation as any other role; kube2iam lets it past";
        change("the default role", text, "add it to the annotation of namespaces that list other roles");
    }
    if settings.is_on("namespace-restrictions") {
        if settings.get("namespace-restriction-format").is_some_and(|format| format.eq_ignore_ascii_case("regexp")) {
            let text = "an expression must match the whole role: `web` no longer permits `web-admin`, and `a|b` permits a \
                        and b only";
            change("regular expressions", text, "write `web.*` where that was meant");
        }
    } else {
        let text = "any pod may still have any role (missing = \"allow\"), but a namespace that carries the annotation is \
                    held to it, which kube2iam does not without --namespace-restrictions";
        change("namespaces", text, "annotate every namespace, then take the line out; remove annotations not meant");
    }
    change(
        "other metadata",
        "user-data, iam/info of the node and identity-credentials are never passed on; iam/info is made up from the pod's \
         own role",
        "add \"user-data\" to imds.allow where pods read it",
    );
    change(
        "metrics, health, debug",
        "they are on admin.listen, which pods do not reach by default: /metrics, /livez, /readyz, /api/v1/state",
        "point probes and Prometheus there; the metrics have other names",
    );
    change(
        "external ids",
        "pods with different external ids never share credentials; kube2iam gives one what it fetched for the other",
        "",
    );
    change(
        "malformed annotations",
        "a role, external id or list that cannot be right is refused with its reason; kube2iam sends it to STS or skips it",
        "`metagate explain --pod NAMESPACE/NAME` tells",
    );
    change(
        "session names",
        "CloudTrail shows {namespace}.{pod}; kube2iam's are a hash of the pod's address and the role's name",
        "credentials.session_name sets another, for trust policies that look at it",
    );
}

pub(super) fn of_kiam(settings: &Settings, conversion: &mut Conversion) {
    let assumed = settings.get("assume-role-arn").is_some_and(|role| !role.is_empty());
    let mut change = |about: &str, text: &str, instead: &str| conversion.note(Note::change(about, text, instead));
    let instead = if assumed {
        "let the nodes' role, or Metagate's own (IRSA), assume --assume-role-arn; the pods' roles trust that one already"
    } else {
        "let the nodes' role, or Metagate's own (IRSA), assume the pods' roles, or one that may: credentials.assume_role_arn"
    };
    change("who asks STS", "each node for its own pods; with kiam only the servers do", instead);
    change(
        "permitted",
        "the expression is one group between its anchors: `a|b` permits a and b, no longer all that begins with a or ends \
         in b",
        "",
    );
    change(
        "refusals",
        "403 where policy denies, 404 without a role, 503 while a pod is not known or STS fails; kiam answers 500. A role \
         that is denied is no longer listed",
        "look at alerts that count 500s",
    );
    change(
        "metrics and health",
        "they are on admin.listen: /metrics, /livez, /readyz instead of /ping and /health on the pods' port",
        "point probes and Prometheus there; the metrics have other names",
    );
    change(
        "malformed annotations",
        "a role, external id or session name that cannot be right is refused with its reason, for that pod alone",
        "`metagate explain --pod NAMESPACE/NAME` tells",
    );
    if settings.get("region").is_none_or(str::is_empty) {
        change("STS", "the node's own region is asked; kiam without --region asks the global endpoint", "");
    }
    change(
        "other metadata",
        "user-data, iam/info of the node and identity-credentials are not passed on by default",
        "",
    );
}
