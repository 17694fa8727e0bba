"""What an operator sees on a node that works, and why a pod has no credentials."""

import json
import unittest

from aws import STS, Aws
from gateway import Gateway
from node import Node, until
from pods import Pod, namespace

ROLE = "arn:aws:iam::123456789012:role/payments-checkout"


def setUpModule():
    global node, gateway, checkout
    node = Node.start("operator")
    Aws(node)
    gateway = Gateway(node)
    gateway.create_namespace()
    values = node.state / "values.json"
    image = {"repository": "localhost/metagate", "pullPolicy": "Never"}
    # A node of EC2 but for the address of STS. Every check of doctor has something to look at.
    config = {"credentials": {"sts_endpoint": STS}}
    taint = {"startupTaint": "metagate.io/agent-not-ready"}
    values.write_text(json.dumps({"image": image, "config": config, "kubernetes": taint, "irsa": {"enabled": True}}))
    gateway.install(values=values)
    node.apply(namespace("payments"), namespace("guests"))
    checkout = Pod.run(node, "checkout-0", "payments-checkout")


class Doctor(unittest.TestCase):
    def test_every_check_passes_right_after_the_first_pod_asked(self):
        checkout.await_role("payments-checkout")
        code, text = gateway.metagate("doctor", "--output=json")
        findings = json.loads(text)
        self.assertEqual([each for each in findings if each["verdict"] != "pass"], [])
        self.assertEqual(code, 0)
        self.assertGreater(len(findings), 20)


class Denial(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Its namespace permits roles of guests only.
        cls.visitor = Pod.run(node, "visitor-0", "payments-checkout", namespace="guests")

    def denied(self):
        return until("the visitor is refused", self.visitor.ask, lambda seen: seen[0] == 403)[1]

    def test_a_pod_is_told_why_it_has_no_role_and_nothing_of_others(self):
        text = self.denied()
        self.assertIn("not-permitted", text)
        self.assertNotIn("payments-.*", text)

    def test_the_reason_is_an_event_of_the_pod(self):
        self.denied()
        events = ["events", "--namespace=guests", "--field-selector=involvedObject.name=visitor-0,reason=RoleDenied"]
        (event,) = until("the event", lambda: node.get(*events)["items"])
        self.assertEqual(event["type"], "Warning")
        self.assertIn(ROLE, event["message"])
        self.assertIn(event["message"], node.kubectl("describe", "pod", "visitor-0", "--namespace=guests"))

    def test_explain_names_the_plugin_that_denied_and_the_next_step(self):
        self.denied()
        code, text = gateway.metagate("explain", "--pod=guests/visitor-0")
        self.assertEqual(code, 3)
        for part in ("namespace-regex", "denies", ROLE, "iam.amazonaws.com/permitted"):
            self.assertIn(part, text)

    def test_explain_says_of_a_pod_that_has_its_role_how_long_its_credentials_last(self):
        checkout.await_role("payments-checkout")
        code, text = gateway.metagate("explain", "--pod=payments/checkout-0")
        self.assertEqual(code, 0)
        self.assertRegex(text, rf"(?s)granted.*{ROLE}.*expires in")

    def test_explain_knows_no_pod_that_is_not_on_the_node(self):
        code, _ = gateway.metagate("explain", "--pod=guests/nobody-0")
        self.assertNotEqual(code, 0)


if __name__ == "__main__":
    unittest.main()
