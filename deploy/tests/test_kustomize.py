"""deploy/kustomize is what the chart renders: there is one source and two ways to apply it.

UPDATE_GOLDEN=1 writes it again.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import yaml

import chart

KUSTOMIZE = chart.DEPLOY / "kustomize"
BASE = {"namespace": {"create": True}}
OVERLAYS = {"irsa": chart.values("irsa"), "startup-taint": chart.values("startup-taint")}
HEADER = "# Rendered from deploy/chart by deploy/tests/test_kustomize.py; do not edit.\n"

# Labels for Helm only: kustomize applies these files.
HELMS = ("app.kubernetes.io/managed-by", "helm.sh/chart")


class Plain(yaml.SafeDumper):
    """YAML in block style throughout, with multi-line texts as block scalars."""

    def ignore_aliases(self, data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Plain.add_representer(str, text)


def written(*documents):
    return HEADER + "---\n".join(yaml.dump(d, Dumper=Plain, sort_keys=False, width=1000) for d in documents)


def rendered(values):
    found = {}
    for document in chart.documents(values):
        for label in HELMS:
            document["metadata"].get("labels", {}).pop(label, None)
        kind = re.sub(r"(?<=.)(?=[A-Z])", "-", document["kind"]).lower()
        found[kind, document["metadata"]["name"]] = document
    return found


def kustomization(resources, patches=()):
    top = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(resources)}
    if patches:
        top["patches"] = [{"path": path} for path in patches]
    return written(top)


def expected():
    """Every file below deploy/kustomize: the base, and what each overlay adds to it or changes in it."""
    base = rendered(BASE)
    files = {f"base/{kind}.yaml": written(document) for (kind, _), document in base.items()}
    # The namespace comes first: a user who applies the files one by one needs it before the others.
    files["base/kustomization.yaml"] = kustomization(
        sorted((path.removeprefix("base/") for path in files), key=lambda path: (path != "namespace.yaml", path))
    )
    for overlay, values in OVERLAYS.items():
        with_it = rendered({**BASE, **values})
        assert base.keys() <= with_it.keys(), "an overlay cannot take away"
        added = {key: document for key, document in with_it.items() if key not in base}
        changed = {key: document for key, document in with_it.items() if key in base and document != base[key]}
        for (kind, _), document in {**added, **changed}.items():
            files[f"{overlay}/{kind}.yaml"] = written(document)
        files[f"{overlay}/kustomization.yaml"] = kustomization(
            ["../base", *sorted(f"{kind}.yaml" for kind, _ in added)], sorted(f"{kind}.yaml" for kind, _ in changed)
        )
    return files


def builds_patches(kubectl):
    """The kustomize in Debian's kubectl 1.20 lacks `patches`; a kubectl that reports its kustomize version has it."""
    done = subprocess.run([kubectl, "version", "--client", "--output=json"], capture_output=True, text=True)
    return "kustomizeVersion" in done.stdout


class Kustomize(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if os.environ.get("UPDATE_GOLDEN") != "1":
            return
        shutil.rmtree(KUSTOMIZE, ignore_errors=True)
        for path, content in expected().items():
            target = KUSTOMIZE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)

    def test_what_is_in_the_folder_is_what_the_chart_renders(self):
        there = {str(p.relative_to(KUSTOMIZE)): p.read_text() for p in KUSTOMIZE.rglob("*") if p.is_file()}
        self.assertEqual(there, expected(), "UPDATE_GOLDEN=1 make manifests writes it anew")

    def test_kubectl_builds_exactly_what_the_chart_renders(self):
        kubectl = os.environ.get("KUBECTL") or shutil.which("kubectl")
        if not kubectl or not builds_patches(kubectl):
            notice = "NOT CHECKED: kubectl kustomize. There is no kubectl of 1.25 or later: name one in KUBECTL."
            print(f"\n{notice}", file=sys.stderr)
            self.skipTest(notice)
        for folder, values in {"base": {}, **OVERLAYS}.items():
            with self.subTest(folder):
                built = subprocess.run(
                    [kubectl, "kustomize", pathlib.Path(KUSTOMIZE, folder)], capture_output=True, text=True, check=True
                ).stdout
                found = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(built)}
                wanted = {(d["kind"], d["metadata"]["name"]): d for d in rendered({**BASE, **values}).values()}
                self.assertEqual(found, wanted)


if __name__ == "__main__":
    unittest.main()
