"""Files that are not rendered: the Dockerfile, examples, shell scripts."""

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

    def test_hadolint_passes_the_dockerfile(self):
        self.passes(BIN / "hadolint", "deploy/Dockerfile")

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
        text = chart.DEPLOY.joinpath("Dockerfile").read_text()
        self.stages = dict(self.stage(block) for block in text.split("\nFROM ")[1:])

    @staticmethod
    def stage(block):
        first, *rest = block.splitlines()
        return first.split(" AS ")[1], [first, *rest]

    def test_the_builder_is_the_toolchain_that_the_repository_pins(self):
        pinned = ROOT.joinpath("rust-toolchain.toml").read_text().split('channel = "')[1].split('"')[0]
        self.assertEqual(self.stages["build"][0].split("rust:")[1].split("-")[0], pinned)

    def test_the_gateways_image_is_not_root_and_is_the_user_that_the_chart_names(self):
        user = chart.container(chart.of_case("default"), "gateway")["securityContext"]["runAsUser"]
        self.assertIn(f"USER {user}:{user}", self.stages["gateway"])

    def test_builder_and_images_are_of_one_debian_release(self):
        """The builder's glibc must not be newer than that of the image."""
        releases = {"bookworm": "12"}
        release = self.stages["build"][0].split("-")[1].split()[0]
        self.assertIn(release, self.stages["intercept"][0])
        self.assertIn(f"debian{releases[release]}", self.stages["gateway"][0])

    def test_the_build_context_has_every_member_of_the_workspace(self):
        """cargo reads the manifest of every member, even of members that it does not build."""
        kept = [line[1:] for line in ROOT.joinpath(".dockerignore").read_text().splitlines() if line.startswith("!")]
        manifest = ROOT.joinpath("Cargo.toml").read_text().split("members = [")[1].split("]")[0]
        for member in manifest.replace('"', "").replace(",", "").split():
            self.assertIn(member.split("/")[0], kept)
        self.assertLessEqual({"Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "config"}, set(kept))


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
        self.assertEqual(ours["initContainers"][0]["image"], install["image"])
        for key in ("capabilities", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "runAsUser"):
            self.assertEqual(ours["initContainers"][0]["securityContext"][key], install["securityContext"][key])

    def port(self):
        ports = chart.container(chart.of_case("default"), "gateway")["ports"]
        return {port["name"]: port["containerPort"] for port in ports}["imds"]


if __name__ == "__main__":
    unittest.main()
