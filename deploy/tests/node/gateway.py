"""Metagate on the node, as the manifests of deploy/ install it."""

import json
import os

from node import DEPLOY, Failed

NAMESPACE = "metagate"
DAEMONSET = "daemonset/metagate"
# The sandbox in place of AWS.
VALUES = DEPLOY / "node" / "values.yaml"


def of_pods(spec):
    """A patch of kustomize for the pods of the DaemonSet."""
    metadata = {"name": "metagate", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"template": {"spec": spec}}}


class Gateway:
    def __init__(self, node):
        self.node = node

    def kubectl(self, *arguments, given=None):
        return self.node.kubectl("--namespace", NAMESPACE, *arguments, given=given)

    def create_namespace(self):
        """As deploy/README.md says."""
        self.node.kubectl("create", "namespace", NAMESPACE)
        self.node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")

    def helm(self, *arguments):
        return self.node.run("helm", *arguments, "--namespace", NAMESPACE)

    def install(self, *flags, values=VALUES):
        """Installs the chart with exactly these values, or upgrades to them, and waits until each node is served."""
        self.helm("upgrade", "--install", "metagate", DEPLOY / "chart", "--reset-values", "--values", values, "--hide-notes", *flags)
        self.await_rollout()

    def apply(self, overlay, environment, *patches):
        """`kubectl apply -k` of a kustomization on top of deploy/kustomize, as deploy/README.md says: it names the image."""
        folder = self.node.state / f"kustomization-{overlay}"
        folder.mkdir(exist_ok=True)
        container = {"name": "gateway", "env": [{"name": name, "value": value} for name, value in environment.items()]}
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(DEPLOY / "kustomize" / overlay, folder)],
            "images": [{"name": "metagate", "newName": "localhost/metagate"}],
            "patches": [{"patch": json.dumps(each)} for each in (of_pods({"containers": [container]}), *patches)],
        }
        (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
        self.node.kubectl("apply", "--kustomize", folder)

    def await_rollout(self, name=DAEMONSET):
        try:
            self.kubectl("rollout", "status", name, "--timeout=240s")
        except Failed as failed:
            logs = self.kubectl("logs", name, "--all-containers", "--tail=20")
            raise Failed(f"{failed}\n{self.kubectl('get', 'pods', '--output=wide')}{logs}") from None

    def pod(self):
        """Its only pod; a pod that ends does not count."""
        found = self.node.get("pods", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=metagate")["items"]
        (pod,) = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return pod

    def container(self, name="gateway"):
        (status,) = [status for status in self.pod()["status"]["containerStatuses"] if status["name"] == name]
        return status

    def metagate(self, *arguments):
        """`kubectl exec … metagate …`: its exit code, which is kubectl's too, and what it writes."""
        line = ["kubectl", "--namespace", NAMESPACE, "exec", DAEMONSET, "--container=gateway", "--", "metagate", *arguments]
        done = self.node.attempt(*line)
        return done.returncode, done.stdout

    def ask(self, path):
        """What the admin listener answers: status and text."""
        written = self.node.run("sh", "-c", 'curl -sS -w "\\n%{http_code}" "$0" || true', f"http://127.0.0.1:9620{path}")
        text, _, status = written.rpartition("\n")
        return int(status), text

    def workload(self, pod):
        """What it says of a pod ("namespace/name") in its state. None: it does not know the pod."""
        found = json.loads(self.ask("/api/v1/state")[1])["workloads"]
        return next((each for each in found if f"{each['namespace']}/{each['pod']}" == pod), None)

    def redirect(self):
        """Whether the node has the redirect's table."""
        return self.node.holds("nft", "list", "table", "inet", "metagate")
