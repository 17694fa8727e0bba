"""Both admission policies on a real API server, each rule with a request that it must refuse and one that it must let through.

The requests carry tokens that the API server made for the gateway's service account. The gateway itself does not run: it would
take the startup taint before a test could.
"""

import json
import unittest

from gateway import NAMESPACE, Gateway, of_pods
from node import DEPLOY, NODE, Failed, Node, until
from pods import Pod, namespace

TAINT = {"key": "metagate.io/agent-not-ready", "effect": "NoSchedule"}
OTHER = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
NOWHERE = {"metagate.io/nowhere": "true"}
AUDIENCE = "sts.amazonaws.com"

ANOTHER_NODE = "metagate may change only the node that it runs on"
ANOTHER_TAINT = "metagate may remove only its startup taint from a node"
ANOTHER_FIELD = "metagate may change nothing of a node but its taints"
NO_POD = "metagate may create tokens only with the token of one of its own pods"
BAD_AUDIENCE = "metagate may create tokens only for the audiences in irsa.audiences"
NOT_BOUND = "metagate may create tokens only bound to a pod, by name and UID"
TOO_LONG = "metagate may create tokens for 600 seconds at most"


def setUpModule():
    global node, gateway, ledger
    node = Node.start("policies")
    gateway = Gateway(node)
    node.apply(namespace("payments"), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}})
    node.kubectl("create", "serviceaccount", "ledger", "--namespace=payments")
    ledger = Pod.run(node, "ledger-0", serviceAccountName="ledger")


class Policies:
    """Run once for each way to install: see the end of this file."""

    @classmethod
    def setUpClass(cls):
        cls.install()
        # It has the gateway's account and is on this node, which is all that a token tells.
        cls.agent = Pod.run(node, "agent", namespace=NAMESPACE, serviceAccountName="metagate")
        cls.bound = cls.token("--bound-object-kind=Pod", "--bound-object-name=agent", f"--bound-object-uid={cls.uid(cls.agent)}")
        cls.unbound = cls.token()
        taints = {"spec": {"taints": [TAINT, OTHER]}}
        for name in (NODE, "node-2"):
            node.kubectl("patch", "node", name, "--type=merge", "--patch", json.dumps(taints))
        cls.await_policies()

    @classmethod
    def tearDownClass(cls):
        # By the administrator: no pod tolerates them.
        node.kubectl("patch", "node", NODE, "--type=merge", "--patch", '{"spec": {"taints": null}}')

    @classmethod
    def await_policies(cls):
        """The API server reads a new policy some time after it took it."""
        refusals = [(lambda: cls.label("node-2"), ANOTHER_NODE), (lambda: cls.create_token(audiences=["api"]), BAD_AUDIENCE)]
        for ask, sentence in refusals:
            until(f"the policy is in force that says: {sentence}", ask, lambda seen: sentence in seen)

    @staticmethod
    def uid(pod):
        return pod.object()["metadata"]["uid"]

    @staticmethod
    def token(*flags):
        return node.kubectl("create", "token", "metagate", "--namespace", NAMESPACE, *flags).strip()

    @classmethod
    def as_gateway(cls, *arguments, given=None, token=None):
        """What kubectl says with the token of the gateway's account."""
        file = node.state / "gateway.conf"
        config = json.loads(node.kubectl("config", "view", "--raw", "--output=json"))
        config["users"][0]["user"] = {"token": token or cls.bound}
        file.write_text(json.dumps(config))
        try:
            return node.kubectl("--kubeconfig", file, *arguments, given=given)
        except Failed as failed:
            return str(failed)

    @classmethod
    def patch(cls, name, patch, **more):
        return cls.as_gateway("patch", "node", name, "--type=merge", "--patch", json.dumps(patch), **more)

    @classmethod
    def label(cls, name):
        return cls.patch(name, {"metadata": {"labels": {"tier": "trusted"}}})

    @classmethod
    def create_token(cls, token=None, **changed):
        """Asks for a token of the account `ledger`, as the gateway does, but for what is changed."""
        reference = {"apiVersion": "v1", "kind": "Pod", "name": "ledger-0", "uid": cls.uid(ledger)}
        spec = {"audiences": [AUDIENCE], "boundObjectRef": reference, "expirationSeconds": 600, **changed}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = "/api/v1/namespaces/payments/serviceaccounts/ledger/token"
        return cls.as_gateway("create", "--raw", path, "--filename=-", given=request, token=token)

    def taints(self, name=NODE):
        return node.get("node", name)["spec"].get("taints", [])

    def test_its_own_taint_is_taken_from_its_own_node(self):
        rest = [taint for taint in self.taints() if taint["key"] != TAINT["key"]]
        self.assertIn("patched", self.patch(NODE, {"spec": {"taints": rest}}))
        self.assertEqual(self.taints(), rest)
        node.kubectl("taint", "node", NODE, f"{TAINT['key']}=:{TAINT['effect']}")

    def test_another_nodes_taint_is_refused(self):
        self.assertIn(ANOTHER_NODE, self.patch("node-2", {"spec": {"taints": [OTHER]}}))
        self.assertIn(TAINT["key"], [taint["key"] for taint in self.taints("node-2")])

    def test_a_token_that_names_no_node_may_change_none(self):
        self.assertIn(ANOTHER_NODE, self.patch(NODE, {"spec": {"taints": [OTHER]}}, token=self.unbound))

    def test_another_taint_of_its_own_node_is_refused(self):
        for taints in ([TAINT], [TAINT, {**OTHER, "value": "web"}], [TAINT, OTHER, {"key": "new", "effect": "NoExecute"}]):
            with self.subTest(taints):
                self.assertIn(ANOTHER_TAINT, self.patch(NODE, {"spec": {"taints": taints}}))

    def test_anything_but_a_taint_of_its_own_node_is_refused(self):
        for patch in (
            {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
            {"metadata": {"annotations": {"a": "b"}}},
            {"spec": {"unschedulable": True}},
        ):
            with self.subTest(patch):
                self.assertIn(ANOTHER_FIELD, self.patch(NODE, patch))

    def test_a_node_may_be_changed_by_others(self):
        node.kubectl("label", "node", "node-2", "tier=trusted", "--overwrite")
        node.kubectl("label", "node", "node-2", "tier-")

    def test_the_token_that_the_gateway_asks_for_is_made(self):
        self.assertIn('"token":', self.create_token())

    def test_a_token_for_another_audience_is_refused(self):
        for audiences in ([], ["https://kubernetes.default.svc"], [AUDIENCE, "vault"]):
            with self.subTest(audiences):
                self.assertIn(BAD_AUDIENCE, self.create_token(audiences=audiences))

    def test_a_token_that_is_not_bound_to_a_pod_by_name_and_uid_is_refused(self):
        by_name = {"apiVersion": "v1", "kind": "Pod", "name": "ledger-0"}
        secret = {"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "1"}
        for reference in (None, by_name, {**by_name, "uid": ""}, secret):
            with self.subTest(reference):
                self.assertIn(NOT_BOUND, self.create_token(boundObjectRef=reference))

    def test_a_token_that_outlives_ten_minutes_is_refused(self):
        for seconds in (601, 3600, None):
            with self.subTest(seconds):
                self.assertIn(TOO_LONG, self.create_token(expirationSeconds=seconds))

    def test_a_token_that_names_no_pod_may_create_none(self):
        self.assertIn(NO_POD, self.create_token(token=self.unbound))

    def test_tokens_may_be_created_by_others(self):
        self.assertTrue(node.kubectl("create", "token", "ledger", "--namespace=payments", "--duration=1h"))


class Chart(Policies, unittest.TestCase):
    @classmethod
    def install(cls):
        gateway.create_namespace()
        flags = ["irsa.enabled=true", f"kubernetes.startupTaint={TAINT['key'].replace('.', chr(92) + '.')}"]
        selector = "nodeSelector=" + json.dumps(NOWHERE)
        values = DEPLOY / "node" / "values.yaml"
        gateway.helm("install", "metagate", DEPLOY / "chart", "--values", values, *(f"--set={flag}" for flag in flags), "--set-json", selector)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        gateway.helm("uninstall", "metagate", "--wait")
        node.kubectl("delete", "namespace", NAMESPACE)


class Kustomize(Policies, unittest.TestCase):
    @classmethod
    def install(cls):
        for overlay in ("irsa", "startup-taint"):
            gateway.apply(overlay, {}, of_pods({"nodeSelector": NOWHERE}))


if __name__ == "__main__":
    unittest.main()
