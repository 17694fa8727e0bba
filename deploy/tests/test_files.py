"""Files that are not rendered: Dockerfiles, examples, shell scripts."""

import pathlib
import subprocess
import sys
import unittest

import kubernetes_validate
import yaml

import chart
from test_chart import VERSIONS

ROOT = chart.DEPLOY.parent
BIN = pathlib.Path(sys.executable).parent


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


class Linted(unittest.TestCase):
    def passes(self, *command):
        done = run(*command)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_hadolint_passes_the_dockerfiles(self):
        self.passes(BIN / "hadolint", "deploy/images/Dockerfile", "deploy/node/Dockerfile")

    def test_yamllint_passes_everything_that_is_no_template(self):
        self.passes(BIN / "yamllint", "--strict", "--config-file", "deploy/yamllint.yaml", "deploy")

    def test_shellcheck_passes_every_script_of_the_repository(self):
        # Trusts a checkout of any owner: git refuses to read one that another user owns.
        git = ("git", "-c", "safe.directory=*")
        done = run(*git, "ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run")
        listed = done.stdout.split()
        self.assertIn(".ci/run", listed, done.stderr)
        self.passes(BIN / "shellcheck", *listed)


class Image(unittest.TestCase):
    def setUp(self):
        text = chart.DEPLOY.joinpath("images", "Dockerfile").read_text()
        self.stages = dict(self.stage(block) for block in text.split("\nFROM ")[1:])

    @staticmethod
    def stage(block):
        first, *rest = block.splitlines()
        return first.split(" AS ")[1], [first, *rest]

    def test_an_image_is_files_alone_so_that_any_machine_builds_every_architecture(self):
        for stage in self.stages.values():
            self.assertTrue(stage[0].startswith("scratch "))
            self.assertFalse([line for line in stage if line.startswith("RUN")])

    def test_the_gateways_image_is_not_root_and_is_the_user_that_the_chart_names(self):
        context = chart.container(chart.of_case("default"), "gateway")["securityContext"]
        self.assertIn(f"USER {context['runAsUser']}:{context['runAsGroup']}", self.stages["gateway"])
        self.assertEqual(chart.pod(chart.of_case("default"))["securityContext"]["fsGroup"], context["runAsGroup"])


class Examples(unittest.TestCase):
    def read(self, name):
        return list(yaml.safe_load_all(chart.DEPLOY.joinpath(name).read_text()))

    def test_the_network_policy_is_valid_and_lets_pods_to_the_charts_port(self):
        (policy,) = self.read("networkpolicy-workloads.yaml")
        for version in VERSIONS:
            kubernetes_validate.validate(policy, version, strict=True)
        ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
        self.assertEqual(ports, [self.port(), 80])

    def test_cilium_redirects_to_the_charts_pods_and_port(self):
        redirect, deny, allow = self.read("cilium-local-redirect.yaml")
        found = chart.of_case("default")
        labels = chart.one(found, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
        backend = redirect["spec"]["redirectBackend"]
        self.assertLessEqual(backend["localEndpointSelector"]["matchLabels"].items(), labels.items())
        self.assertEqual(backend["toPorts"][0]["port"], str(self.port()))
        self.assertEqual(allow["spec"]["egress"][0]["toPorts"][0]["ports"][0]["port"], str(self.port()))
        self.assertIn(redirect["spec"]["redirectFrontend"]["addressMatcher"]["ip"] + "/32", deny["spec"]["egressDeny"][0]["toCIDR"])
        self.assertEqual(deny["spec"]["enableDefaultDeny"], {"egress": False})

    def test_uninstall_goes_where_the_chart_went_with_the_same_privilege(self):
        (document,) = self.read("uninstall.yaml")
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
        found = chart.of_case("default")
        ours, theirs = document["spec"]["template"]["spec"], chart.pod(found)
        for key in ("hostNetwork", "tolerations", "nodeSelector", "affinity", "automountServiceAccountToken"):
            self.assertEqual(ours[key], theirs[key])
        install = chart.container(found, "intercept-install")
        for container in ours["initContainers"] + ours["containers"]:
            self.assertEqual(container["image"], install["image"])
            for key in ("capabilities", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "runAsUser"):
                self.assertEqual(container["securityContext"][key], install["securityContext"][key])

    def port(self):
        ports = chart.container(chart.of_case("default"), "gateway")["ports"]
        return {port["name"]: port["containerPort"] for port in ports}["imds"]


if __name__ == "__main__":
    unittest.main()
