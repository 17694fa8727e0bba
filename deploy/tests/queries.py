#!/usr/bin/env python3
"""Every query of deploy/dashboards, and the series that each reads. Run as a program, it checks a running Prometheus for data.

    queries.py --list [--window 15s]
        Prints one JSON object per line, {"where": "fleet.json: Success ratio", "expr": "…"}: the query of each panel and
        variable, with Grafana's variables replaced.

    queries.py --prometheus URL [--window 15s] [--except REGEX]
        Queries that Prometheus, which must have scraped a gateway and loaded deploy/dashboards/alerts.yaml, and prints what
        has no data. The exit code is 0 if everything has data, 1 if something has none, 2 if Prometheus cannot be reached.

        - Each query of a panel or variable must return something. NaN counts: it shows that the series exist and that
          nothing happened within the window.
        - Each rule must have been evaluated without an error. An alert that does not fire returns nothing, so the program
          checks the series that the alert reads.
        - Each selector (metric and labels) of panels and rules must have matched a series within --window, because
          `a or vector(0)` returns something even if `a` does not exist.

        The program checks every query. Some series exist only after an event (a plugin that failed, a renewal); --except
        omits each query whose `where` or expression matches REGEX.

Needs Python 3.9 or later and nothing else, so that a test can run it anywhere. It does not need PyYAML, because Prometheus
returns its rules as JSON.
"""

import argparse
import json
import pathlib
import re
import sys
import typing
import urllib.error
import urllib.parse
import urllib.request

DASHBOARDS = pathlib.Path(__file__).resolve().parent.parent / "dashboards"
PATIENCE = 10


class Query(typing.NamedTuple):
    where: str
    expr: str


# The queries of a dashboard.


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard):
    """All panels except rows, which only group panels."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def replaced(expr, window):
    """The query as Grafana sends it, with every value selected."""
    expr = re.sub(r"\$(__rate_interval|__range|__interval)\b", window, expr)
    return re.sub(r"\$(job|instance)\b", ".*", expr)


def queries(window):
    """The queries of panels, and the selectors from which variables take their values."""
    found = []
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                selector, _ = label_values(variable["query"]["query"])
                found.append(Query(f"{name}: ${variable['name']}", replaced(selector, window)))
        for panel in panels(dashboard):
            found += [Query(f"{name}: {panel['title']}", replaced(target["expr"], window)) for target in panel["targets"]]
    return found


def label_values(query):
    """(selector, label) from Grafana's function `label_values(selector, label)`."""
    return re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()


# The series and labels that a query reads. The sequence of PromQL's tokens suffices for that; promtool checks the syntax.


class Selector(typing.NamedTuple):
    metric: str
    # As written, with braces: `{reason="denied"}`, or empty.
    matchers: str

    def __str__(self):
        return self.metric + self.matchers


class Read(typing.NamedTuple):
    selectors: typing.List[Selector]
    # Each metric with each label that one of its matchers names.
    matched: typing.List[typing.Tuple[str, str]]
    # The labels in by, without, on, ignoring, group_left and group_right.
    grouped: typing.Set[str]


WORD = re.compile(
    r"""
    (?P<space> \s+ | \#[^\n]* )
  | (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` )
  | (?P<range> \[ [^\]]* \] )
  | (?P<number> (?: \d+(?:ms|[smhdwy]) )+ | 0x[0-9a-fA-F]+ | \d*\.?\d+(?:[eE][+-]?\d+)? )
  | (?P<name> [a-zA-Z_:][a-zA-Z0-9_:]* )
  | (?P<sign> =~ | !~ | != | == | >= | <= | [-+*/%^=<>(){},@] )
    """,
    re.VERBOSE,
)
LISTING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
KEYWORDS = LISTING | {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end"}


def words(expr):
    """(kind, text, start) of each token, without white space and comments."""
    at, found = 0, []
    while at < len(expr):
        match = WORD.match(expr, at)
        if not match:
            raise ValueError(f"no word of PromQL at {expr[at:at + 20]!r} in {expr!r}")
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group(), at))
        at = match.end()
    return found


def read(expr):
    """The series and labels that the query reads. A name is a metric unless it is a keyword, a function (followed by a
    parenthesis or `by`), in a list of labels, or in braces."""
    listed = words(expr) + [("end", "", len(expr))]
    result = Read([], [], set())
    at = 0
    while at < len(listed) - 1:
        kind, text, begin = listed[at]
        following = listed[at + 1][1]
        if kind == "name" and text in LISTING and following == "(":
            at += 2
            while listed[at][1] != ")":
                if listed[at][0] == "name":
                    result.grouped.add(listed[at][1])
                at += 1
        elif kind == "name" and text.lower() not in KEYWORDS and following not in ("(", "by", "without"):
            matchers = ""
            if following == "{":
                opened = at = at + 1
                while listed[at][1] != "}":
                    if listed[at][0] == "name":
                        result.matched.append((text, listed[at][1]))
                    at += 1
                matchers = expr[listed[opened][2] : listed[at][2] + 1]
            result.selectors.append(Selector(text, matchers))
        elif text == "{":
            raise ValueError(f"a selector without a metric's name in {expr!r}")
        at += 1
    return result


# A running Prometheus.


class Unanswered(Exception):
    pass


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        # Ignores a proxy from the environment, which would be used for loopback too.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            # Prometheus explains a fault of the query in a 4xx answer; other errors propagate.
            try:
                raise Unanswered(json.load(error)["error"]) from error
            except (ValueError, KeyError):
                raise Unanswered(f"{url}: {error}") from error

    def count(self, expr):
        data = self.get("query", query=expr)
        return 1 if data["resultType"] in ("scalar", "string") else len(data["result"])

    def rules(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


def faults(prometheus, window, leave_out):
    """One message for each query, rule and selector without data."""
    asked = queries(window)
    rules = prometheus.rules()
    if not rules:
        yield "rules: this Prometheus has none; load deploy/dashboards/alerts.yaml (rule_files)"
    for rule in rules:
        where = f"rule {rule['name']}"
        if rule["health"] != "ok" and not leave_out(where):
            yield f"{where}: {rule['health']}: {rule.get('lastError') or 'not evaluated yet'}"
    selectors = {}
    for query in asked + [Query(f"rule {rule['name']}", rule["query"]) for rule in rules]:
        for selector in read(query.expr).selectors:
            if not leave_out(query.where):
                selectors.setdefault(str(selector), query.where)
    for where, expr in asked:
        if not leave_out(where) and not leave_out(expr):
            yield from fault(prometheus, where, expr)
    for expr, where in selectors.items():
        if not leave_out(expr):
            yield from fault(prometheus, where, f"last_over_time({expr}[{window}])")


def fault(prometheus, where, expr):
    try:
        if prometheus.count(expr) == 0:
            yield f"{where}: no data: {expr}"
    except Unanswered as error:
        yield f"{where}: {error}: {expr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the panels' queries")
    parser.add_argument("--prometheus", metavar="URL", help="such as http://127.0.0.1:9090")
    parser.add_argument("--window", default="5m", help="what $__rate_interval becomes (default: %(default)s)")
    parser.add_argument("--except", dest="excepted", metavar="REGEX", help="what need have no answer")
    given = parser.parse_args()
    if given.list == bool(given.prometheus):
        parser.error("either --list or --prometheus")
    if given.list:
        for query in queries(given.window):
            print(json.dumps(query._asdict()))
        return 0
    excepted = re.compile(given.excepted) if given.excepted else None
    leave_out = (lambda text: bool(excepted.search(text))) if excepted else (lambda text: False)
    try:
        found = list(faults(Prometheus(given.prometheus), given.window, leave_out))
    except (OSError, Unanswered) as error:
        print(f"{given.prometheus} cannot be asked: {error}", file=sys.stderr)
        return 2
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
