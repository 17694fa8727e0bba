"""The startup taint: a node that registers with it runs no pod until its gateway is ready. By the kustomize overlay."""

import unittest

from aws import ENVIRONMENT, Aws
from gateway import Gateway
from node import NODE, Node, until
from pods import Pod, manifest, namespace

TAINT = {"key": "metagate.io/agent-not-ready", "effect": "NoSchedule"}
# The gateway may not read pods: it starts, and is not ready.
WITHOUT_READS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "metagate"},
    "rules": [],
}


def setUpModule():
    global node, gateway
    node = Node.start("startup-taint", kubelet_flags=f"--register-with-taints={TAINT['key']}=:{TAINT['effect']}")
    Aws(node)
    gateway = Gateway(node)
    node.apply(namespace("payments"))
    node.apply(manifest("checkout-0", "payments-checkout"))


def taints():
    return [each for each in node.get("node", NODE)["spec"].get("taints", []) if each["key"] == TAINT["key"]]


class StartupTaint(unittest.TestCase):
    def test_it_is_taken_away_when_the_gateway_is_ready_and_not_before(self):
        with self.subTest("without a gateway no pod is scheduled"):
            self.assert_not_scheduled()
        with self.subTest("nor with one that is not ready"):
            gateway.apply("startup-taint", ENVIRONMENT, WITHOUT_READS)
            until("the gateway is not ready", lambda: gateway.ask("/readyz"), lambda seen: seen[0] == 503)
            self.assert_not_scheduled()
            # It has tried to read pods, and was refused: it will not be ready by itself.
            until("its log says why", lambda: "forbidden" in gateway.kubectl("logs", "daemonset/metagate", "--container=gateway").lower())
            self.assertEqual(gateway.ask("/readyz")[0], 503)
            self.assert_not_scheduled()
        with self.subTest("a ready one takes it away, and the pod that waited has its role"):
            gateway.apply("startup-taint", ENVIRONMENT)
            until("the taint is gone", lambda: not taints())
            self.assertEqual(gateway.ask("/readyz")[0], 200)
            gateway.await_rollout()
            pod = Pod(node, "checkout-0")
            pod.await_running()
            pod.await_role("payments-checkout")

    def assert_not_scheduled(self):
        self.assertEqual(taints(), [TAINT])
        conditions = until("the scheduler looked", lambda: Pod(node, "checkout-0").object()["status"].get("conditions"))
        (scheduled,) = [each for each in conditions if each["type"] == "PodScheduled"]
        self.assertEqual(scheduled["status"], "False")
        self.assertIn("untolerated taint", scheduled["message"])


if __name__ == "__main__":
    unittest.main()
