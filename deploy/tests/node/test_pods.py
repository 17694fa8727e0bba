"""Pods of every kind, and whose an address is when its pod has ended."""

import json
import unittest

from gateway import Gateway
from node import ROLE, SERVICE6, Node, until
from pods import ASK_UNTIL_SERVED, Pod, container, manifest, namespace

STATIC = "/etc/kubernetes/manifests/static.json"


def setUpModule():
    global node, gateway
    node = Node.start("pods")
    gateway = Gateway(node)
    gateway.create_namespace()
    gateway.install()
    node.apply(namespace("payments"))


class Ends(unittest.TestCase):
    """An address identifies nobody after its pod."""

    def served(self, name, *arguments, **more):
        """A pod that has its credentials, and its address."""
        pod = Pod.run(node, name, f"payments-{name}", *arguments, **more)
        pod.await_role(f"payments-{name}")
        return pod, pod.addresses()[0]

    def assert_nobodys(self, address, role):
        with node.at(address) as ask:
            for path in (ROLE, ROLE + role, ROLE + role):
                status, text = ask(path)
                self.assertIn(status, (404, 503), text)
                self.assertNotIn("AccessKeyId", text)
                self.assertNotEqual(text, role)

    def test_a_deleted_pods_address_is_nobodys(self):
        pod, address = self.served("deleted")
        pod.delete()
        self.assertFalse(pod.exists())
        self.assert_nobodys(address, "payments-deleted")

    def test_the_address_of_a_pod_that_ran_to_completion_is_nobodys(self):
        name = "completed"
        node.kubectl("create", "--filename=-", given=manifest(name, "payments-completed", ASK_UNTIL_SERVED, restartPolicy="Never"))
        pod = Pod(node, name)
        until("it completes", lambda: pod.object()["status"]["phase"], lambda seen: seen == "Succeeded")
        self.assertIn("served: payments-completed", [text for _, text in pod.log()])
        # Its object still shows the address.
        self.assert_nobodys(pod.addresses()[0], "payments-completed")
        pod.delete()

    def test_an_evicted_pod_is_served_until_it_has_ended_and_then_its_address_is_nobodys(self):
        pod, address = self.served("evicted", terminationGracePeriodSeconds=600)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted", "namespace": "payments"}}
        node.kubectl("create", "--raw=/api/v1/namespaces/payments/pods/evicted/eviction", "--filename=-", given=eviction)
        until("it is told to end", lambda: pod.object()["metadata"].get("deletionTimestamp"))
        self.assertEqual(pod.ask(), (200, "payments-evicted"))
        pod.kill()
        until("it is gone", lambda: not pod.exists())
        self.assert_nobodys(address, "payments-evicted")

    def test_credentials_go_with_the_address_of_a_sandbox_that_is_made_anew(self):
        pod, before = self.served("anew")
        pod.kill_sandbox()
        until("it has another address", lambda: pod.addresses()[:1], lambda seen: seen not in ([], [before]))
        until("its container runs again", lambda: pod.state().get("running") and pod.container() != pod.known)
        pod.known = pod.container()
        credentials = pod.await_role("payments-anew")
        self.assertEqual(credentials["AccessKeyId"], gateway.workload("payments/anew")["access_key_id"])
        self.assert_nobodys(before, "payments-anew")
        pod.delete()

    def test_the_next_pod_of_an_address_gets_its_own_credentials(self):
        pod, address = self.served("first")
        theirs = pod.credentials()["AccessKeyId"]
        pod.delete()
        # The network plugin gives out the address after this one last of all.
        node.run("sh", "-c", f"printf %s {previous(address)} >/var/lib/cni/networks/pods/last_reserved_ip.0")
        pod, again = self.served("second")
        self.assertEqual(again, address)
        self.assertNotEqual(pod.credentials()["AccessKeyId"], theirs)
        pod.delete()


def previous(address):
    start, _, last = address.rpartition(".")
    return f"{start}.{int(last) - 1}"


class Kinds(unittest.TestCase):
    def test_a_static_pod_has_the_role_of_its_manifests_annotation(self):
        text = json.dumps(manifest("static", "payments-static"))
        node.run("sh", "-c", f"cat >{STATIC}", given=text)
        pod = Pod(node, "static-node-1")
        until("kubelet shows it to the API server", pod.exists)
        pod.await_running()
        self.assertIn("kubernetes.io/config.mirror", pod.object()["metadata"]["annotations"])
        pod.await_role("payments-static")
        node.run("rm", STATIC)
        until("it is gone", lambda: not pod.exists())

    def test_init_and_sidecar_containers_are_served_as_the_pod_is(self):
        init = container("init", ASK_UNTIL_SERVED)
        sidecar = container("sidecar", ASK_UNTIL_SERVED + "sleep infinity", restartPolicy="Always")
        pod = Pod.run(node, "parts", "payments-parts", ASK_UNTIL_SERVED + "sleep infinity", initContainers=[sidecar, init])
        for name in ("init", "sidecar", "client"):
            until(f"{name} is served", lambda: [text for _, text in pod.log(name)], lambda seen: "served: payments-parts" in seen)
        pod.delete()

    def test_a_pod_has_the_same_role_by_both_address_families(self):
        pod = Pod.run(node, "dual", "payments-dual")
        self.assertEqual(len(pod.addresses()), 2, "this kernel has no IPv6")
        by_4 = pod.await_role("payments-dual")
        by_6 = pod.await_role("payments-dual", SERVICE6)
        self.assertEqual(by_4["AccessKeyId"], by_6["AccessKeyId"])
        pod.delete()


if __name__ == "__main__":
    unittest.main()
