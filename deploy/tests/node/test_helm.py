"""The chart by Helm: install, upgrade, a value that is refused, rollout, uninstall, and what is left of it."""

import json
import unittest

from aws import NODE_ROLE, Aws
from gateway import DAEMONSET, Gateway
from node import DEPLOY, Failed, Node, until
from pods import ASK_ON, Pod, namespace

TOKENLESS = 'curl -s -m 10 -o /dev/null -w "%{http_code}" http://169.254.169.254/latest/meta-data/iam/security-credentials/'


def setUpModule():
    global node, gateway, checkout
    # A changed ConfigMap reaches its pods at the next look, each minute by default.
    node = Node.start("helm", kubelet_flags="--sync-frequency=5s")
    Aws(node)
    gateway = Gateway(node)
    gateway.create_namespace()
    node.apply(namespace("payments"))
    gateway.install()
    checkout = Pod.run(node, "checkout-0", "payments-checkout")


class Helm(unittest.TestCase):
    def setUp(self):
        gateway.install()

    def releases(self):
        return [each["revision"] for each in json.loads(gateway.helm("history", "metagate", "--output=json"))]

    def installed(self):
        """Everything of the release, with the number that changes when it does; the DaemonSet's without its status."""
        kinds = "daemonset,configmap,serviceaccount,clusterrole,clusterrolebinding"
        found = node.get(kinds, "--all-namespaces", "--selector=app.kubernetes.io/instance=metagate")["items"]
        return {
            (each["kind"], each["metadata"]["name"]): each["metadata"].get("generation") or each["metadata"]["resourceVersion"]
            for each in found
        }

    def test_a_pod_has_its_role_by_the_redirect(self):
        credentials = checkout.await_role("payments-checkout")
        self.assertEqual(credentials["AccessKeyId"], gateway.workload("payments/checkout-0")["access_key_id"])
        self.assertTrue(gateway.redirect())

    def test_an_upgrade_changes_what_is_reloaded_at_once_and_says_what_waits_for_a_restart(self):
        idle = Pod.run(node, "idle-0")
        until("a pod without a role has none", idle.ask, lambda seen: seen[0] == 404)
        pod = gateway.pod()["metadata"]["uid"]
        gateway.install("--set=config.policy.default_role=payments-idle", "--set=config.imds.token=required")
        idle.await_role("payments-idle")
        self.assertEqual(gateway.pod()["metadata"]["uid"], pod, "it was reloaded, not replaced")
        until("the log names the other key", lambda: "imds.token" in gateway.kubectl("logs", DAEMONSET, "--container=gateway"))
        self.assertEqual(checkout.sh(TOKENLESS), "200")
        gateway.kubectl("rollout", "restart", DAEMONSET)
        gateway.await_rollout()
        until("a request without a session token is refused", lambda: checkout.sh(TOKENLESS), lambda seen: seen == "401")
        idle.delete()

    def test_an_upgrade_of_the_port_takes_the_redirect_with_it(self):
        gateway.install("--set=host.port=8282")
        checkout.await_role("payments-checkout")
        self.assertIn(":8282", node.run("nft", "list", "table", "inet", "metagate"))

    def test_a_value_that_the_schema_refuses_is_refused_with_a_sentence_and_changes_nothing(self):
        before = self.releases(), self.installed()
        for flag, sentence in {
            "host.port=http": "got string, want integer",
            "host.prot=8181": "additional properties 'prot' not allowed",
            "probe.enabled=true": "remove it: the probes use admin.listen",
            "config.pods.listen=0.0.0.0:80": "set the value host.port instead",
        }.items():
            with self.subTest(flag), self.assertRaises(Failed) as refused:
                gateway.install(f"--set={flag}")
            self.assertIn(sentence, str(refused.exception))
        self.assertEqual((self.releases(), self.installed()), before)
        checkout.await_role("payments-checkout")

    def test_a_rollout_ends_and_pods_are_served_after_it(self):
        asking = Pod.run(node, "asking-0", "payments-checkout", ASK_ON)
        until("it is served", lambda: asking.statuses()[-3:], lambda seen: [status for _, status in seen] == [200] * 3)
        before = gateway.pod()["metadata"]["uid"]
        since = asking.statuses()[-1][0]
        gateway.kubectl("rollout", "restart", DAEMONSET)
        gateway.await_rollout()
        self.assertNotEqual(gateway.pod()["metadata"]["uid"], before)
        until("it is served again", lambda: asking.statuses()[-3:], lambda seen: [status for _, status in seen] == [200] * 3)
        answers = [(time, status) for time, status in asking.statuses() if time >= since]
        refused = [(time, status) for time, status in answers if status != 200]
        # From the last answer before it to the first after it.
        lasted = max((after[0] - before[0] for before, after in served(answers)), default=0)
        print(f"\n    rollout: {len(refused)} requests refused or not answered; at most {lasted:.2f} s from one answer to the next")
        asking.delete()

    def test_uninstall_leaves_the_redirect_until_its_manifest_takes_it_away(self):
        checkout.await_role("payments-checkout")
        gateway.helm("uninstall", "metagate", "--wait")
        self.assertEqual(self.installed(), {})
        until("the gateway has ended", lambda: not node.get("pods", "--namespace=metagate")["items"])
        self.assertTrue(gateway.redirect())
        self.assertEqual(checkout.ask(), (0, ""), "no role, neither its own nor the node's")

        text = (DEPLOY / "uninstall.yaml").read_text().replace("image: metagate:", "image: localhost/metagate:")
        node.run("kubectl", "apply", "--filename=-", given=text)
        gateway.await_rollout("daemonset/metagate-uninstall")
        self.assertFalse(gateway.redirect())
        self.assertEqual(checkout.ask(), (200, NODE_ROLE), "as on a node that never had it")
        node.run("kubectl", "delete", "--filename=-", given=text)


def served(answers):
    """Each answer that gave the role, with the next one that did."""
    good = [each for each in answers if each[1] == 200]
    return zip(good, good[1:])


if __name__ == "__main__":
    unittest.main()
