"""deploy/kustomize by `kubectl apply -k`: the base and the overlay `irsa`. test_startup_taint has the other overlay."""

import base64
import json
import unittest

from aws import ENVIRONMENT, NODE_ROLE, Aws
from gateway import DAEMONSET, Gateway
from node import Node, until
from pods import ACCOUNT, Pod, namespace

LEDGER = f"arn:aws:iam::{ACCOUNT}:role/ledger"


def setUpModule():
    global node, gateway, aws
    node = Node.start("kustomize")
    aws = Aws(node)
    gateway = Gateway(node)
    account = {"namespace": "payments", "name": "ledger", "annotations": {"eks.amazonaws.com/role-arn": LEDGER}}
    node.apply(namespace("payments"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})


def session(role, pod):
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/payments.{pod}"


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        gateway.apply("base", ENVIRONMENT)
        gateway.await_rollout()

    def test_a_pod_is_to_sts_who_its_annotation_says(self):
        pod = Pod.run(node, "checkout-0", "payments-checkout")
        self.assertEqual(aws.who(pod.await_role("payments-checkout")), session("payments-checkout", "checkout-0"))
        pod.delete()

    def test_a_pod_without_a_role_has_none_neither_its_accounts_nor_the_nodes(self):
        pod = Pod.run(node, "ledger-0", serviceAccountName="ledger")
        status, text = until("the gateway knows it", pod.ask, lambda seen: seen[0] != 503)
        self.assertIn(status, (403, 404))
        self.assertNotIn(NODE_ROLE, text)
        pod.delete()


class Irsa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        gateway.apply("irsa", ENVIRONMENT)
        # Only the configuration is another one, which would reach the gateway by itself within a minute or so.
        gateway.kubectl("rollout", "restart", DAEMONSET)
        gateway.await_rollout()
        cls.pod = Pod.run(node, "ledger-1", serviceAccountName="ledger")

    def test_a_pod_without_a_role_of_its_own_has_its_service_accounts(self):
        self.assertEqual(aws.who(self.pod.await_role("ledger")), session("ledger", "ledger-1"))

    def test_sts_is_given_a_token_of_the_api_server_that_is_bound_to_the_pod_for_ten_minutes(self):
        self.pod.await_role("ledger")
        token = aws.requests("AssumeRoleWithWebIdentity")[-1]["WebIdentityToken"]
        said = claims(token)
        self.assertEqual(said["sub"], "system:serviceaccount:payments:ledger")
        self.assertEqual(said["aud"], ["sts.amazonaws.com"])
        self.assertEqual(said["exp"] - said["iat"], 600)
        bound = said["kubernetes.io"]["pod"]
        self.assertEqual(bound, {"name": "ledger-1", "uid": self.pod.object()["metadata"]["uid"]})
        spec = {"token": token, "audiences": ["sts.amazonaws.com"]}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        reviewed = json.loads(node.kubectl("create", "--filename=-", "--output=json", given=review))["status"]
        self.assertTrue(reviewed.get("authenticated"), reviewed)

    def test_a_pod_with_a_role_of_its_own_keeps_it(self):
        pod = Pod.run(node, "both-0", "payments-checkout", serviceAccountName="ledger")
        self.assertEqual(aws.who(pod.await_role("payments-checkout")), session("payments-checkout", "both-0"))
        pod.delete()


if __name__ == "__main__":
    unittest.main()
