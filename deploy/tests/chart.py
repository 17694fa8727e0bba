"""The chart, rendered by Helm's own engine."""

import functools
import pathlib

import helm_python
import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
CHART = DEPLOY / "chart"
CASES = DEPLOY / "tests" / "values"
NAME = NAMESPACE = "metagate"


def values(case):
    """The values of one test case; `default` has none."""
    return {} if case == "default" else yaml.safe_load((CASES / f"{case}.yaml").read_text())


def cases():
    return ["default", *sorted(path.stem for path in CASES.glob("*.yaml"))]


def templates(given):
    with helm_python.Chart.load(CHART) as chart:
        return chart.render(given, name=NAME, namespace=NAMESPACE)


def documents(given):
    """Every document that Helm would apply, in the order of the templates."""
    rendered = sorted((path, text) for path, text in templates(given).items() if not path.endswith("NOTES.txt"))
    return [document for _, text in rendered for document in yaml.safe_load_all(text) if document]


@functools.cache
def of_case(case):
    return documents(values(case))


def one(found, kind, name=None):
    """The only document of the given kind (and name)."""
    (document,) = [d for d in found if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    return document


def pod(found):
    return one(found, "DaemonSet")["spec"]["template"]["spec"]


def container(found, name):
    spec = pod(found)
    (which,) = [c for c in spec.get("initContainers", []) + spec["containers"] if c["name"] == name]
    return which


def toml(found):
    return one(found, "ConfigMap")["data"]["metagate.toml"]
