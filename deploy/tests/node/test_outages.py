"""A program of the node ends: who is served goes on being served, and afterwards new pods are."""

import unittest

from gateway import Gateway
from node import ASK, ROLE, SERVICE, Node, answer, until
from pods import ASK_ON, Pod, manifest, namespace


def setUpModule():
    global node, gateway, asking
    node = Node.start("outages")
    gateway = Gateway(node)
    gateway.create_namespace()
    gateway.install()
    node.apply(namespace("payments"))
    asking = Pod.run(node, "asking-0", "payments-checkout", ASK_ON)
    asking.await_role("payments-checkout")


class Outages(unittest.TestCase):
    def setUp(self):
        self.before = gateway.container()["containerID"]
        self.answered = len(asking.statuses())

    def tearDown(self):
        self.assertEqual(gateway.container()["containerID"], self.before, "the gateway was not started again")

    def await_answers(self, count=20):
        """Waits for that many more answers."""
        have = len(asking.statuses())
        until("the pod goes on asking", lambda: len(asking.statuses()), lambda seen: seen >= have + count)

    def assert_served(self):
        """That each answer since the test began gave the role."""
        seen = asking.statuses()[self.answered :]
        self.assertEqual([each for each in seen if each[1] != 200], [])
        self.assertGreaterEqual(len(seen), 20)

    def serve_new_pod(self, name):
        pod = Pod.run(node, name, f"payments-{name}")
        credentials = pod.await_role(f"payments-{name}")
        self.assertEqual(credentials["AccessKeyId"], gateway.workload(f"payments/{name}")["access_key_id"])
        pod.delete()

    def restart(self, program, while_gone):
        node.kill_program(program)
        try:
            while_gone()
        finally:
            node.start_program(program)

    def test_without_the_api_server_pods_are_served_and_a_pod_that_comes_after_it_too(self):
        def while_gone():
            self.await_answers()
            self.assertEqual(gateway.ask("/readyz")[0], 200)

        self.restart("kube-apiserver", while_gone)
        until("the API server is back", lambda: node.holds("kubectl", "get", "--raw", "/readyz"))
        self.serve_new_pod("late")
        self.await_answers()
        self.assert_served()

    def test_a_role_that_was_changed_after_an_outage_of_the_api_server_is_told(self):
        pod = Pod.run(node, "changed", "payments-changed")
        pod.await_role("payments-changed")
        self.restart("kube-apiserver", self.await_answers)
        annotation = "iam.amazonaws.com/role=payments-again"
        annotate = ("kubectl", "annotate", "pod", "changed", "--namespace=payments", "--overwrite", annotation)
        until("the API server takes the change", lambda: node.holds(*annotate))
        pod.await_role("payments-again")
        pod.delete()

    def test_while_kubelet_restarts_pods_are_served_and_a_pod_that_waited_for_it_too(self):
        def while_gone():
            node.apply(manifest("waiting", "payments-waiting"))
            self.await_answers()

        self.restart("kubelet", while_gone)
        pod = Pod(node, "waiting")
        pod.await_running()
        pod.await_role("payments-waiting")
        self.await_answers()
        self.assert_served()
        pod.delete()

    def test_while_containerd_restarts_pods_are_served_and_new_ones_after_it_too(self):
        # containerd writes the logs of pods and runs commands in them: for as long as it is gone, ask where the pod asks.
        network = f"--net=/proc/{asking.process()}/ns/net"
        ask = lambda: answer(node.run("nsenter", network, "sh", "-c", ASK, "ask", SERVICE, ROLE))
        self.restart("containerd", lambda: self.assertEqual({ask() for _ in range(20)}, {(200, "payments-checkout")}))
        until("containerd is back", lambda: node.holds("ctr", "version"))
        self.serve_new_pod("fresh")
        self.await_answers()
        self.assert_served()


if __name__ == "__main__":
    unittest.main()
