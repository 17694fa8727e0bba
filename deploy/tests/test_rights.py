"""The chart grants exactly the rights that the README explains, and the admission policies limit them."""

import unittest

import celpy
import celpy.adapter

import chart

READS = {"apiGroups": [""], "resources": ["pods", "namespaces", "serviceaccounts"], "verbs": ["list", "watch"]}
EVENTS = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}
TOKENS = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}
NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}

ACCOUNT = "system:serviceaccount:metagate:metagate"
POD_NAME = "authentication.kubernetes.io/pod-name"
NODE_NAME = "authentication.kubernetes.io/node-name"
TAINT = "metagate.io/agent-not-ready"


class Rights(unittest.TestCase):
    def test_each_case_has_exactly_these_rights(self):
        for case, rights in {
            "default": {"metagate": [READS, EVENTS]},
            "without-redirect": {"metagate": [READS]},
            "irsa": {"metagate": [READS, EVENTS], "metagate-irsa": [TOKENS]},
            "startup-taint": {"metagate": [READS, EVENTS], "metagate-own-node": [NODES]},
        }.items():
            with self.subTest(case):
                roles = [d for d in chart.of_case(case) if d["kind"] == "ClusterRole"]
                self.assertEqual({role["metadata"]["name"]: role["rules"] for role in roles}, rights)

    def test_there_is_no_right_beside_cluster_roles(self):
        for case in chart.cases():
            self.assertNotIn("Role", [d["kind"] for d in chart.of_case(case)])

    def test_every_role_is_bound_to_the_gateways_account_and_to_nobody_else(self):
        for case in chart.cases():
            found = chart.of_case(case)
            account = chart.one(found, "ServiceAccount")["metadata"]
            roles = {d["metadata"]["name"] for d in found if d["kind"] == "ClusterRole"}
            bindings = [d for d in found if d["kind"] == "ClusterRoleBinding"]
            self.assertEqual({b["roleRef"]["name"] for b in bindings}, roles)
            subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
            for binding in bindings:
                self.assertEqual(binding["subjects"], [subject])
            self.assertEqual(chart.pod(found)["serviceAccountName"], account["name"])

    def test_no_right_is_given_without_the_policy_that_limits_it(self):
        for case in chart.cases():
            found = chart.of_case(case)
            wide = {d["metadata"]["name"] for d in found if d["kind"] == "ClusterRole"} - {
                chart.one(found, "DaemonSet")["metadata"]["name"]
            }
            policies = {d["metadata"]["name"] for d in found if d["kind"] == "ValidatingAdmissionPolicy"}
            bound = {
                d["spec"]["policyName"]: d["spec"]["validationActions"]
                for d in found
                if d["kind"] == "ValidatingAdmissionPolicyBinding"
            }
            self.assertEqual(wide, policies)
            self.assertEqual(bound, {name: ["Deny"] for name in wide})

    def test_without_rbac_nothing_is_made(self):
        found = chart.documents({"rbac": {"create": False, "serviceAccountName": "mine"}, "irsa": {"enabled": True}})
        self.assertEqual({d["kind"] for d in found}, {"ConfigMap", "DaemonSet"})


class Policy:
    """A ValidatingAdmissionPolicy, evaluated as in the API server: conditions, variables, validations."""

    def __init__(self, found):
        spec = chart.one(found, "ValidatingAdmissionPolicy")["spec"]
        self.conditions = [c["expression"] for c in spec["matchConditions"]]
        self.variables = {v["name"]: v["expression"] for v in spec.get("variables", [])}
        self.validations = [(v["expression"], v["message"]) for v in spec["validations"]]

    def refuses(self, **names):
        """The messages of the failed validations; None if the policy does not apply. An error counts as a refusal."""
        if not all(evaluated(condition, names) is True for condition in self.conditions):
            return None
        names["variables"] = {name: evaluated(text, names) for name, text in self.variables.items()}
        return [message for text, message in self.validations if evaluated(text, names) is not True]


def evaluated(text, names):
    environment = celpy.Environment()
    activation = {name: celpy.adapter.json_to_cel(value) for name, value in names.items()}
    try:
        value = environment.program(environment.compile(text)).evaluate(activation)
    except (celpy.CELEvalError, TypeError) as error:
        return error
    return bool(value) if isinstance(value, celpy.celtypes.BoolType) else value


class Tokens(unittest.TestCase):
    def setUp(self):
        self.policy = Policy(chart.of_case("irsa"))

    def refuses(self, user=ACCOUNT, extra=None, **spec):
        extra = {POD_NAME: ["metagate-x"], NODE_NAME: ["node-a"]} if extra is None else extra
        asked = {
            "audiences": ["sts.amazonaws.com"],
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "checkout-0", "uid": "6f1c"},
            "expirationSeconds": 600,
            **spec,
        }
        asked = {key: value for key, value in asked.items() if value is not None}
        user_info = {"username": user, **({"extra": extra} if extra else {})}
        return self.policy.refuses(object={"spec": asked}, request={"userInfo": user_info})

    def test_what_the_gateway_asks_for_is_allowed(self):
        self.assertEqual(self.refuses(), [])

    def test_others_are_left_alone(self):
        self.assertIsNone(self.refuses(user="system:node:node-a", audiences=["api"], expirationSeconds=86400))

    def test_a_token_for_the_api_server_is_refused(self):
        audience = "metagate may create tokens only for the audiences in irsa.audiences"
        for audiences in (None, [], ["https://kubernetes.default.svc"], ["sts.amazonaws.com", "vault"]):
            with self.subTest(audiences):
                self.assertEqual(self.refuses(audiences=audiences), [audience])

    def test_a_token_that_is_bound_to_no_pod_is_refused(self):
        bound = "metagate may create tokens only bound to a pod, by name and UID"
        for reference in (
            None,
            {"kind": "Secret", "apiVersion": "v1", "name": "s", "uid": "1"},
            {"kind": "Node", "apiVersion": "v1", "name": "n", "uid": "1"},
            {"kind": "Pod", "apiVersion": "v1", "name": "checkout-0"},
            {"kind": "Pod", "apiVersion": "v1", "name": "checkout-0", "uid": ""},
        ):
            with self.subTest(reference):
                self.assertEqual(self.refuses(boundObjectRef=reference), [bound])

    def test_a_token_that_outlives_its_use_is_refused(self):
        for seconds in (None, 601, 3600):
            with self.subTest(seconds):
                self.assertEqual(self.refuses(expirationSeconds=seconds), ["metagate may create tokens for 600 seconds at most"])

    def test_a_caller_without_a_pod_is_refused(self):
        for extra in ({}, {NODE_NAME: ["node-a"]}):
            with self.subTest(extra):
                (message,) = self.refuses(extra=extra)
                self.assertIn("one of its own pods", message)

    def test_nulls_as_the_api_server_writes_them_are_refused(self):
        for key in ("audiences", "boundObjectRef", "expirationSeconds"):
            with self.subTest(key):
                spec = {"audiences": ["sts.amazonaws.com"], "boundObjectRef": {"kind": "Pod", "name": "p", "uid": "u"}}
                asked = {"spec": {**spec, "expirationSeconds": 600, key: None}}
                request = {"userInfo": {"username": ACCOUNT, "extra": {POD_NAME: ["metagate-x"]}}}
                self.assertEqual(len(self.policy.refuses(object=asked, request=request)), 1)

    def test_audiences_are_those_of_the_values(self):
        self.policy = Policy([d for d in chart.documents({"irsa": {"enabled": True, "audiences": ["a.example"]}})])
        self.assertEqual(self.refuses(audiences=["a.example"]), [])
        self.assertNotEqual(self.refuses(audiences=["sts.amazonaws.com"]), [])


class OwnNode(unittest.TestCase):
    def setUp(self):
        self.policy = Policy(chart.of_case("startup-taint"))
        self.own = {"key": TAINT, "effect": "NoSchedule"}
        self.other = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}

    def refuses(self, before, after, node="node-a", extra=None, **changed):
        old = {"metadata": {"name": node, "labels": {"a": "b"}}, "spec": {"providerID": "aws:///i"}}
        new = {"metadata": {**old["metadata"], **changed.get("metadata", {})}, "spec": {**old["spec"], **changed.get("spec", {})}}
        for document, taints in ((old, before), (new, after)):
            if taints:
                document["spec"]["taints"] = taints
        extra = {NODE_NAME: ["node-a"]} if extra is None else extra
        user_info = {"username": ACCOUNT, **({"extra": extra} if extra else {})}
        return self.policy.refuses(object=new, oldObject=old, request={"userInfo": user_info})

    def test_its_own_taint_on_its_own_node_is_taken(self):
        self.assertEqual(self.refuses([self.own], []), [])
        self.assertEqual(self.refuses([self.own, self.other], [self.other]), [])

    def test_another_node_is_refused(self):
        for extra in ({}, {NODE_NAME: ["node-b"]}, {POD_NAME: ["metagate-x"]}):
            with self.subTest(extra):
                self.assertEqual(self.refuses([self.own], [], extra=extra), ["metagate may change only the node that it runs on"])

    def test_another_taint_is_refused(self):
        only = ["metagate may remove only its startup taint from a node"]
        self.assertEqual(self.refuses([self.own, self.other], []), only)
        self.assertEqual(self.refuses([], [self.other]), only)
        self.assertEqual(self.refuses([self.other], [{**self.other, "value": "web"}]), only)

    def test_anything_but_a_taint_is_refused(self):
        nothing = ["metagate may change nothing of a node but its taints"]
        for changed in (
            {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
            {"metadata": {"annotations": {"a": "b"}}},
            {"spec": {"unschedulable": True}},
        ):
            with self.subTest(changed):
                self.assertEqual(self.refuses([self.own], [], **changed), nothing)


if __name__ == "__main__":
    unittest.main()
