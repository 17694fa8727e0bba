"""Pods of the node, and what they are told when they ask."""

import datetime
import itertools
import json
import re

from node import ASK, ROLE, SERVICE, answer, until

ACCOUNT = "123456789012"
PERMITTED = "iam.amazonaws.com/permitted"
ROLE_OF_POD = "iam.amazonaws.com/role"
# Asks, as ASK does, until there is an answer with 200, and says so.
ASK_UNTIL_SERVED = f"""
ask() {{ set -- {SERVICE} {ROLE}; {ASK} }}
until answer=$(ask) && [ "${{answer##*[!0-9]}}" = 200 ]; do sleep 0.2; done
echo "served: ${{answer%[!0-9]*}}"
"""
# Asks on and on, and writes the status of each answer; the container's log has the times.
ASK_ON = f"""
ask() {{ set -- {SERVICE} {ROLE}; {ASK} }}
while :; do answer=$(ask 2>/dev/null); echo "status ${{answer##*[!0-9]}}"; sleep 0.1; done
"""
counter = itertools.count()


def namespace(name):
    """A namespace whose pods may have each role whose name begins with the namespace's."""
    permitted = f"arn:aws:iam::{ACCOUNT}:role/{name}-.*"
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": {PERMITTED: permitted}}}


def manifest(name, role=None, script="sleep infinity", namespace="payments", **spec):
    """A pod with one container. It ignores SIGTERM, as the first process of a container does that handles no signal."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "annotations": {ROLE_OF_POD: role} if role else {}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container("client", script)], **spec},
    }


def container(name, script, **more):
    return {"name": name, "image": "localhost/client:1", "command": ["sh", "-c", script], **more}


class Pod:
    def __init__(self, node, name, namespace="payments"):
        self.node, self.name, self.namespace = node, name, namespace

    @classmethod
    def run(cls, node, name, *arguments, namespace="payments", **more):
        """Creates a pod, and waits until its container runs."""
        node.kubectl("create", "--filename=-", given=manifest(name, *arguments, namespace=namespace, **more))
        pod = cls(node, name, namespace)
        pod.await_running()
        return pod

    def await_running(self):
        until(f"{self.name} runs", lambda: self.state().get("running"))
        self.known = self.container()

    def object(self):
        return self.node.get("pod", self.name, "--namespace", self.namespace)

    def exists(self):
        return self.node.holds("kubectl", "get", "pod", self.name, "--namespace", self.namespace)

    def status(self):
        (status,) = self.object()["status"].get("containerStatuses") or [{}]
        return status

    def state(self):
        return self.status().get("state", {})

    def container(self):
        """containerd's name of its container."""
        return self.status()["containerID"].removeprefix("containerd://")

    def addresses(self):
        """Of each family, IPv4 first."""
        return [each["ip"] for each in self.object()["status"].get("podIPs", [])]

    def delete(self):
        self.node.kubectl("delete", "pod", self.name, "--namespace", self.namespace)

    def kill(self):
        """Ends its container at once, as the kernel does when it has no memory left."""
        self.node.run("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", self.known)

    def kill_sandbox(self):
        """Ends its first container, which holds its network: kubelet makes all of it anew."""
        uid = self.object()["metadata"]["uid"]
        of_pod = f'labels."io.kubernetes.pod.uid"=={uid},labels."io.cri-containerd.kind"==sandbox'
        (sandbox,) = self.node.run("ctr", "--namespace=k8s.io", "containers", "list", "--quiet", of_pod).split()
        self.node.run("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", sandbox)

    def sh(self, script, *arguments):
        """Runs a script in its container, by containerd: neither the API server nor kubelet takes part."""
        name = f"test-{next(counter)}"
        line = ["ctr", "--namespace=k8s.io", "tasks", "exec", "--exec-id", name, self.known, "sh", "-c", script, "sh"]
        return self.node.run(*line, *arguments)

    def ask(self, path=ROLE, service=SERVICE):
        """Status and text of an answer of the metadata service."""
        return answer(self.sh(ASK, service, path))

    def process(self):
        """The number of its container's process on the node."""
        tasks = self.node.run("ctr", "--namespace=k8s.io", "tasks", "list").splitlines()
        return next(line.split()[1] for line in tasks if line.startswith(self.known))

    def credentials(self, service=SERVICE):
        status, role = self.ask(service=service)
        assert status == 200, f"{status} {role}"
        status, document = self.ask(ROLE + role, service)
        assert status == 200, f"{status} {document}"
        return json.loads(document)

    def await_role(self, role, service=SERVICE):
        """Waits until it is told that role, and until it has its credentials: a pod may ask before the gateway knows it."""
        until(f"the role of {self.name}", lambda: self.ask(service=service), lambda seen: seen == (200, role))
        return self.credentials(service)

    def log(self, container="client"):
        """Its log as containerd writes it, which needs no API server: pairs of time and line."""
        pattern = f"/var/log/pods/{self.namespace}_{self.name}_*/{container}/*.log"
        lines = self.node.run("sh", "-c", f"cat {pattern}").splitlines()
        return [(time, text) for time, _, _, text in (line.split(" ", 3) for line in lines)]

    def statuses(self):
        """Of a pod that runs ASK_ON: pairs of time and status."""
        return [(seconds(time), int(text.split()[1])) for time, text in self.log() if re.fullmatch(r"status \d+", text)]


def seconds(time):
    """A moment of a log, whose fractions have nine digits."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", time).replace("Z", "+00:00")).timestamp()
