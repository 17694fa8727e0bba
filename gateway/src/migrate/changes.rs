//! Intended differences from the peer, as far as they concern a setup.

use super::{conversion::Conversion, notes::Note, settings::Settings};

pub(super) fn of_kube2iam(settings: &Settings, conversion: &mut Conversion) {
    let mut change = |about: &str, text: &str, instead: &str| conversion.note(Note::change(about, text, instead));
    change(
        "pods without a role",
        "the list of roles answers 404, as on an instance without a role; kube2iam answers 200 with an empty body",
        "",
    );
    if settings.get("default-role").is_some_and(|role| !role.is_empty()) {
        let text = "the namespace's annotation applies to it as to any other role; kube2iam exempts it";
        change("the default role", text, "add it to the annotation of namespaces that list other roles");
    }
    if settings.is_on("namespace-restrictions") {
        if settings.get("namespace-restriction-format").is_some_and(|format| format.eq_ignore_ascii_case("regexp")) {
            let text = "an expression must match the whole role: `web` no longer permits `web-admin`, and `a|b` permits \
                        a and b only";
            change("regular expressions", text, "write `web.*` where that was meant");
        }
    } else {
        let text = "any pod may still have any role (missing = \"allow\"), but the annotation of a namespace that \
                     has one is enforced; kube2iam enforces it only with --namespace-restrictions";
        let instead = "annotate every namespace, then remove the line; remove annotations that should not apply";
        change("namespaces", text, instead);
    }
    change(
        "other metadata",
        "user-data, the signatures of the instance identity document, iam/info of the node and identity-credentials are \
         not passed on; iam/info is made up from the pod's own role",
        "add \"user-data\" or \"dynamic/instance-identity\" to imds.allow where pods need them",
    );
    change(
        "metrics, health, debug",
        "they are on admin.listen, which pods do not reach by default: /metrics, /livez, /readyz, /api/v1/state",
        "point probes and Prometheus there; the metrics have other names",
    );
    change(
        "external ids",
        "pods with different external ids never share credentials; kube2iam gives one pod those that it fetched for \
         another",
        "",
    );
    change(
        "malformed annotations",
        "a malformed role, external id or list is refused with its reason; kube2iam sends it to STS or skips it",
        "`metagate explain --pod NAMESPACE/NAME` shows the reason",
    );
    change(
        "session names",
        "CloudTrail shows {namespace}.{pod}; kube2iam's are a hash of the pod's address and the role's name",
        "set another in credentials.session_name where a trust policy checks it",
    );
}

pub(super) fn of_kiam(settings: &Settings, conversion: &mut Conversion) {
    let assumed = settings.get("assume-role-arn").is_some_and(|role| !role.is_empty());
    let mut change = |about: &str, text: &str, instead: &str| conversion.note(Note::change(about, text, instead));
    let instead = if assumed {
        "let the nodes' role, or Metagate's own (IRSA), assume --assume-role-arn; the pods' roles trust that role \
         already"
    } else {
        "let the nodes' role, or Metagate's own (IRSA), assume the pods' roles, or a role that may: \
         credentials.assume_role_arn"
    };
    change("calls to STS", "each node makes them for its own pods; with kiam only the servers do", instead);
    change(
        "permitted",
        "the expression as a whole must match: `a|b` permits a and b, but no longer every ARN that begins with a or ends in b",
        "",
    );
    change(
        "refusals",
        "403 where policy denies, 404 without a role, 503 while a pod is not known or STS fails; kiam answers 500. A \
         role that is denied is no longer listed",
        "check alerts that count 500s",
    );
    change(
        "metrics and health",
        "they are on admin.listen: /metrics, /livez, /readyz instead of /ping and /health on the pods' port",
        "point probes and Prometheus there; the metrics have other names",
    );
    change(
        "malformed annotations",
        "a malformed role, external id or session name is refused with its reason, for that pod alone",
        "`metagate explain --pod NAMESPACE/NAME` shows the reason",
    );
    if settings.get("region").is_none_or(str::is_empty) {
        let text = "Metagate calls the endpoint of the node's region; kiam without --region calls the global endpoint";
        change("STS", text, "");
    }
    change(
        "other metadata",
        "user-data, the signatures of the instance identity document, iam/info of the node and identity-credentials are \
         not passed on by default",
        "",
    );
}
